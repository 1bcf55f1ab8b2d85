"""What Prometheus is told: requests by method, errors by kind, the round and the account's money."""

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from pole import metrics
from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.chain.gradient_structs import HeightPhase
from pole.chain.order import Turns
from pole.chain.structs import Phase
from pole.errors import BadInput, TransientChainError
from pole.node import figures
from pole.node.loop import Node, Waiting
from pole.node.notify.notices import NOBODY


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def served(port: int) -> Iterator[str]:
    with metrics.served("127.0.0.1", port):
        yield f"http://127.0.0.1:{port}/metrics"


def read(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url, timeout=120) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


class Looper(Node):
    """Acts out one wait or one error."""

    def __init__(self, context: Any, step: Exception | None) -> None:
        super().__init__(context)
        self.to_raise = step

    def act(self) -> Waiting:
        if self.to_raise is not None:
            raise self.to_raise
        return Waiting("nothing", None, "go on")


def context_of(client: Any, contracts: Any, home: Path, address: str | None) -> Any:
    return SimpleNamespace(
        role="verifier",
        chain=client,
        contracts=contracts,
        address=address,
        has_account=address is not None,
        home=home,
        log=structlog.get_logger(),
        notices=NOBODY,
        poll_s=0.01,
    )


def stand_in(home: Path) -> Any:
    client = SimpleNamespace(
        block_time=lambda: 1_800_000_000,
        balance_wei=lambda _address: 5,
        still_s=lambda: 0,
        viewing=nullcontext,
        last_time=1,
        turns=Turns(),
    )
    idle = SimpleNamespace(lane=1, learning_chain=SimpleNamespace(current_round=lambda: None))
    contracts = SimpleNamespace(
        lane=0,
        learning_chain=SimpleNamespace(current_round=lambda: SimpleNamespace(round_id=7, phase=Phase.VOTING)),
        reward_reservoir=SimpleNamespace(credit_wei=lambda _address: 11),
        verifier_committee=SimpleNamespace(verifier=lambda _address: SimpleNamespace(stake_wei=13)),
        gradient_chain=SimpleNamespace(
            current=lambda: SimpleNamespace(height=17, phase=HeightPhase.COLLECT),
            miner=lambda _address: SimpleNamespace(bond_wei=19),
        ),
    )
    contracts.lanes = (contracts, idle)
    return context_of(client, contracts, home, "0xVerifier")


def test_served__port_taken__says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = f"cannot serve metrics on 127.0.0.1:{port}: Address already in use; choose another --metrics-port"
        with pytest.raises(BadInput, match=message), metrics.served("127.0.0.1", port):
            pass


def test_served__afterwards__the_port_is_free(port: int) -> None:
    for _ in range(2):
        with metrics.served("127.0.0.1", port):
            pass


def test_step__transient_error__is_counted_by_kind(served: str, tmp_path: Path) -> None:
    name = 'pole_errors_total{kind="TransientChainError"}'
    before = read(served).get(name, 0)
    Looper(stand_in(tmp_path), TransientChainError("away")).step()
    assert read(served)[name] == before + 1


def test_step__success__shows_round_phase_and_money(served: str, tmp_path: Path) -> None:
    Looper(stand_in(tmp_path), None).step()
    found = read(served)
    names = ('pole_round{lane="1"}', 'pole_round{lane="2"}', "pole_balance_wei", "pole_credit_wei", "pole_stake_wei")
    assert [found[name] for name in names] == [7, 0, 5, 11, 13]
    assert found['pole_phase{lane="1",pole_phase="voting"}'] == 1
    assert found['pole_phase{lane="1",pole_phase="keys"}'] == 0
    assert found['pole_phase{lane="2",pole_phase="none"}'] == 1
    assert 0 <= found["pole_seconds_since_poll"] < 60


def test_step__of_a_miner__shows_the_gradient_chain_and_the_bond(served: str, tmp_path: Path) -> None:
    context = stand_in(tmp_path)
    context.role = "miner"
    Looper(context, None).step()
    found = read(served)
    assert [found["pole_gradient_height"], found["pole_gradient_bond_wei"]] == [17, 19]
    assert found['pole_gradient_phase{pole_gradient_phase="collect"}'] == 1
    assert found['pole_gradient_phase{pole_gradient_phase="idle"}'] == 0


def test_step__not_served__asks_the_node_nothing(tmp_path: Path) -> None:
    context = stand_in(tmp_path)
    context.contracts = None
    figures.polled(context)


def test_refresh__node_away__is_an_error_and_no_end(served: str, tmp_path: Path) -> None:
    name = 'pole_errors_total{kind="TransientChainError"}'
    before = read(served).get(name, 0)

    def away() -> None:
        raise TransientChainError("away")

    context = stand_in(tmp_path)
    context.contracts.learning_chain.current_round = away
    figures.polled(context)
    assert read(served)[name] == before + 1


def test_gateway__requests__are_counted_by_method(
    served: str, anvil: str, deployment: Deployment, tmp_path: Path
) -> None:
    chain_client = ChainClient.connect(anvil, deployment)
    before = read(served)
    chain_client.block_number()
    chain_client.block_time()
    figures.polled(context_of(chain_client, Contracts.of(chain_client), tmp_path, None))
    found = read(served)
    grown = {name: found[name] - before.get(name, 0) for name in found if name.startswith("pole_rpc_calls_total")}
    assert grown['pole_rpc_calls_total{method="eth_getBlockByNumber"}'] == 3
    assert grown['pole_rpc_calls_total{method="eth_call"}'] >= 1
    assert found["pole_last_block"] >= 1
    assert found["pole_block_time_seconds"] > 1_600_000_000
