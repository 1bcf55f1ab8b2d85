"""A node's faults are told apart, without its key; a deployment is compared with the chain."""

import time
from pathlib import Path

import pytest

from pole.chain import artifacts
from pole.chain.artifacts import Artifact, artifact
from pole.chain.deployment import Deployment
from pole.node.doctor import chain
from pole.node.doctor.check import Verdict
from pole.urls import keep_secret
from testbed.chain import development_chain
from tests.unit.checking import KEY, OK, PROBLEM, WARNING, http, rpc_error, rpc_result, says
from tests.unit.peer import nobody, peer

FAULTS = {
    "HTTP 429": (
        http("429 Too Many Requests", headers="Retry-After: 7\r\n"),
        "fewer requests than you send (HTTP 429, try",
    ),
    "-32005": (rpc_error(-32005, "daily limit"), "fewer requests than you send (JSON-RPC error -32005"),
    "HTTP 403": (http("403 Forbidden"), "refuses you (HTTP 403)"),
    "HTTP 502": (http("502 Bad Gateway"), "answers HTTP 502"),
    "a web page": (http("200 OK", b"<html>"), "not JSON-RPC"),
    "no response": (http("200 OK", b"[]"), ""),
    "its own error": (rpc_error(-32000, f"no key {KEY}"), "the node answers"),
    "silence": (lambda talk: time.sleep(1.5), "timed out"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rpc__fault__told_apart_without_the_key(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "_TIMEOUT_S", 0.5)
    answer, text = FAULTS[fault]
    with peer(answer) as node:
        rpc = f"{node.url}/v3/{KEY}?token={KEY}"
        keep_secret(rpc)
        found = chain.check_rpc(rpc)
        says(found, PROBLEM, text, "")
        assert KEY not in str(found)


def test_rpc__nobody__is_down() -> None:
    says(chain.check_rpc(nobody()), PROBLEM, "nobody listens", "anvil --block-time 1")


@pytest.mark.parametrize("rpc", ["ipc://localhost:8546", "localhost:8545", "", "http://[", "file:///etc/passwd"])
def test_rpc__no_address_of_a_node__problem(rpc: str) -> None:
    assert chain.check_rpc(rpc).verdict is PROBLEM


def test_rate__limit_after_a_few__problem(anvil: str) -> None:
    answers = [rpc_result({"number": "0x1", "timestamp": "0x1"})] * 5
    with peer(lambda talk: (answers.pop() if answers else FAULTS["HTTP 429"][0])(talk)) as node:
        says(chain.check_rate(chain.node_at(node.url)), PROBLEM, "fewer requests", "--poll-interval")


@pytest.mark.parametrize(
    ("age_s", "verdict"), [(-3600, WARNING), (-5, OK), (0, OK), (60, WARNING), (400, PROBLEM), (10**6, PROBLEM)]
)
def test_clock__age_of_the_newest_block(age_s: float, verdict: Verdict) -> None:
    with peer(rpc_result({"number": "0x7", "timestamp": hex(10**9)})) as node:
        says(chain.check_clock(chain.node_at(node.url), lambda: 10**9 + age_s), verdict, "block 7")


def test_synced__far_behind__problem() -> None:
    state = {"startingBlock": "0x0", "currentBlock": "0x10", "highestBlock": "0x20"}
    with peer(rpc_result(state)) as node:
        says(chain.check_synced(chain.node_at(node.url)), PROBLEM, "block 16 of 32", "wait")


def test_gas_price__over_the_cap__warning() -> None:
    with peer(rpc_result({"number": "0x7", "baseFeePerGas": hex(400 * 10**9)})) as node:
        says(chain.check_gas_price(chain.node_at(node.url)), WARNING, "400 gwei", "wait")


def test_node__well__all_ok() -> None:
    """A node of its own: on the shared one, tests let time pass."""
    with development_chain("anvil") as well:
        node = chain.node_at(well.rpc_url)
        looks = (chain.check_rate, chain.check_synced, chain.check_clock, chain.check_gas_price)
        assert [look(node).verdict for look in looks] == [OK] * 4
        says(chain.check_rpc(f"{well.rpc_url}/?key={KEY}"), OK, f"{well.rpc_url} is chain 31337")


def test_deployment__no_file__problem(tmp_path: Path) -> None:
    says(chain.check_deployment(tmp_path / "31337.json", 31337), PROBLEM, "No such file", "ape run deploy")


def test_deployment__not_one__problem(tmp_path: Path) -> None:
    (tmp_path / "31337.json").write_text("{}")
    says(chain.check_deployment(tmp_path / "31337.json", None), PROBLEM, "is not a deployment file", "ape run deploy")


def test_contracts__other_genesis__problem(anvil: str, deployment: Deployment) -> None:
    other = deployment.model_copy(update={"genesis_hash": "0x" + "ab" * 32})
    says(chain.check_contracts(anvil, other), PROBLEM, "0xabab", "deploy again")


def test_contracts__no_code__problem(anvil: str, deployment: Deployment) -> None:
    empty = deployment.contracts["TaskMarket"].model_copy(update={"address": "0x" + "11" * 20})
    other = deployment.model_copy(update={"contracts": {**deployment.contracts, "TaskMarket": empty}})
    says(chain.check_contracts(anvil, other), PROBLEM, "no code at", "deploy again")


def test_contracts__other_code__problem(anvil: str, deployment: Deployment) -> None:
    token = deployment.contracts["TaskMarket"].model_copy(update={"address": deployment.address("RewardToken")})
    other = deployment.model_copy(update={"contracts": {**deployment.contracts, "TaskMarket": token}})
    assert chain.check_contracts(anvil, other).verdict is PROBLEM


def test_contracts__code_of_another_version__problem(
    anvil: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = artifact("TaskMarket").bytecode[:-8] + "00" * 4
    monkeypatch.setattr(artifacts, "artifact", lambda name: Artifact([], older))
    says(chain.check_contracts(anvil, deployment), PROBLEM, "TaskMarket", "install that version")


def test_contracts__as_deployed__ok(anvil: str, deployment: Deployment) -> None:
    says(chain.check_contracts(anvil, deployment), OK, "code at all 8 addresses")
