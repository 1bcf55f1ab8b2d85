"""`ape run deploy` and a round on public networks, rehearsed on anvil with their chain ids, block times and rules.

Nothing is asked of the node that a public one would refuse: accounts are key files, blocks come when they come.
Arbitrum's system contract is a stand-in, put there by the genesis file.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account

from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.chain.networks import ARB_SYS
from pole.chain.profiles import PUBLIC
from pole.chain.sender import MAX_GAS
from pole.chain.structs import AnchorSource, Phase
from pole.learning.advance import keep_anchor
from testbed.artifacts import compiled
from testbed.chain import DevChain, development_chain, web3_at
from testbed.contracts import development_key
from tests.e2e.scripted import ScriptedMiner, ScriptedVerifier
from tests.e2e.site import Site
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(600)]
PASSWORD = "rehearsal"


@dataclass(frozen=True)
class Rehearsal:
    network: str
    chain_id: int
    block_time_s: float
    anchor: AnchorSource


SEPOLIA = Rehearsal("ethereum:sepolia", 11155111, 2, AnchorSource.BLOCK_HASH)
OPTIMISM = Rehearsal("optimism:sepolia", 11155420, 2, AnchorSource.KEPT_BLOCK_HASH)
ARBITRUM = Rehearsal("arbitrum:sepolia", 421614, 0.25, AnchorSource.ARB_SYS)


@contextmanager
def rehearsed(rehearsal: Rehearsal, folder: Path) -> Iterator[DevChain]:
    genesis = None
    if rehearsal.anchor is AnchorSource.ARB_SYS:
        genesis = folder / "genesis.json"
        genesis.write_text(json.dumps(arbitrum_genesis(rehearsal.chain_id)))
    with development_chain(block_time_s=rehearsal.block_time_s, chain_id=rehearsal.chain_id, genesis=genesis) as chain:
        yield chain


def arbitrum_genesis(chain_id: int) -> dict[str, object]:
    """With the stand-in's code at ArbSys' address."""
    code = compiled()["ArbSysStandIn"]["runtime"]
    return {
        "config": {"chainId": chain_id},
        "difficulty": "0x0",
        "gasLimit": hex(30_000_000),
        "alloc": {ARB_SYS: {"balance": "0x0", "code": code}},
    }


def deploy(rehearsal: Rehearsal, chain: DevChain, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """As a person does it, with a key file of ape's."""
    accounts = folder / "ape" / "accounts"
    accounts.mkdir(parents=True)
    key_file = Account.encrypt(development_key(0).key, PASSWORD, iterations=1024)
    (accounts / "deployer.json").write_text(json.dumps(key_file))
    command = [str(Path(sys.executable).with_name("ape")), "run", "deploy"]
    command += ["--network", f"{rehearsal.network}:{chain.rpc_url}", "--account", "deployer", "--profile", "public"]
    command += ["--out", str(folder / "deployment.json"), "--store", str(folder / "store"), *options]
    environment = os.environ | {
        "APE_DATA_FOLDER": str(folder / "ape"),
        "APE_ACCOUNTS_deployer_PASSPHRASE": PASSWORD,
        "SOLCX_BINARY_PATH": str(ROOT / "tools" / "solc"),
        "PATH": f"{ROOT / 'node_modules' / '.bin'}:{os.environ['PATH']}",
    }
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.parametrize("rehearsal", [SEPOLIA, OPTIMISM, ARBITRUM], ids=lambda each: each.network)
def test_deploy__public_network__has_its_own_source_and_an_idle_round_begins(
    rehearsal: Rehearsal, tmp_path: Path
) -> None:
    with rehearsed(rehearsal, tmp_path) as chain, ExitStack() as resources:
        result = deploy(rehearsal, chain, tmp_path, "--lanes", "1")
        assert result.returncode == 0, result.stdout + result.stderr
        deployment = Deployment.load(tmp_path / "deployment.json")
        assert (deployment.chain_id, deployment.profile) == (rehearsal.chain_id, "public")
        assert deployment.parameters["ledger"]["anchor"] == rehearsal.anchor
        assert deployment.parameters["gradient"]["anchor"] == rehearsal.anchor
        assert_no_transaction_asked_for_too_much(chain, deployment)
        site = Site(chain.rpc_url, deployment, tmp_path)
        bind_an_idle_round(site, rehearsal.anchor, resources)


def assert_no_transaction_asked_for_too_much(chain: DevChain, deployment: Deployment) -> None:
    """Nor for much more than it used."""
    web3 = web3_at(chain.rpc_url)
    for contract in deployment.contracts.values():
        transaction = web3.eth.get_transaction(contract.transaction_hash)  # type: ignore[arg-type]
        used = web3.eth.get_transaction_receipt(contract.transaction_hash)["gasUsed"]  # type: ignore[arg-type]
        assert used <= transaction["gas"] <= min(MAX_GAS, 2 * used)


def bind_an_idle_round(site: Site, anchor: AnchorSource, resources: ExitStack) -> None:
    """PHS becomes known, is written down where it must be, and a commit names it."""
    verifier = resources.enter_context(closing(ScriptedVerifier(site, 1)))
    miner = resources.enter_context(closing(ScriptedMiner(site, 2)))
    verifier.stake(PUBLIC.committee.min_stake_wei)
    miner.send("LearningChain", "openIdleRound")
    chain, contracts = miner.chain, Contracts.of(miner.chain, miner.sender)
    while not (current := contracts.learning_chain.round(1)).is_bound:
        kept = keep_anchor(chain, contracts, current)
        assert not kept or anchor.is_kept
        time.sleep(0.2)
    assert current.phase is Phase.TRAINING
    miner.commit(current, b"a model", 990_000)
    assert miner.contracts.learning_chain.round(current.round_id).submission_count == 1


def test_deploy__arbitrum_with_the_block_hash__is_refused_by_name(tmp_path: Path) -> None:
    with rehearsed(ARBITRUM, tmp_path) as chain:
        result = deploy(ARBITRUM, chain, tmp_path, "--anchor", "blockhash")
    assert result.returncode != 0
    assert "--anchor blockhash is insecure on Arbitrum Sepolia (chain 421614)" in result.stdout + result.stderr
    assert not (tmp_path / "deployment.json").exists()
