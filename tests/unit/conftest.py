"""Shared by the unit tests: a real node, the compiled contracts and a real deployment on that node."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import torch
from eth_account import Account
from eth_account.signers.local import LocalAccount
from hypothesis import HealthCheck, settings
from web3 import Web3

from pole.chain.deployment import CONTRACT_NAMES, DeployedContract, Deployment
from pole.chain.profiles import LOCAL
from pole.journal.journal import Journal
from pole.settings import variable
from pole.storage.cid import cid_of
from testbed.artifacts import compiled
from testbed.chain import development_chain, web3_at
from testbed.deployer import create_contract, deploy_with_web3
from tests.unit.account_client import AccountClient
from tests.unit.commission import commission_digits
from tests.unit.local_nodes import LocalChain, start_local_chain

HERE = Path(__file__).parent
ETHER = 10**18

# How long an example takes is up to the machine and whatever else runs on it.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def logs_as_at_the_start() -> Iterator[None]:
    """No test logs at the level, or to the captured stderr, that a command line before it has chosen."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """What prepares torch for training lets this process flush them to zero; hypothesis draws them."""
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def no_open_websockets() -> Iterator[None]:
    """Their threads draw from `random`, which would fail whichever property test comes next."""
    yield
    for thread in threading.enumerate():
        if thread.name.endswith("(keepalive)"):
            thread.join(20)
            assert not thread.is_alive(), "the test left a WebSocket open"


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Other test runs on this machine use the same published accounts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable("locks"), str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session")
def artifacts() -> dict[str, dict[str, Any]]:
    """ABI and bytecode of every contract, harnesses included."""
    return compiled() | compiled(HERE / "contracts")


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE.parent / "vectors" / "commitments.json").read_text())
    return content


@pytest.fixture(scope="session")
def anvil() -> Iterator[str]:
    """Address of an anvil that mines every second, and transactions at once: time passes, and nothing waits for it."""
    with development_chain("anvil", block_time_s=1, mines_at_once=True) as chain:
        yield chain.rpc_url


@pytest.fixture(scope="session")
def web3(anvil: str) -> Web3:
    return web3_at(anvil)


def funded(web3: Web3, balance_wei: int = 100 * ETHER) -> LocalAccount:
    """A new account with ether, by anvil's own method."""
    account: LocalAccount = Account.create()
    web3.provider.make_request("anvil_setBalance", [account.address, hex(balance_wei)])  # type: ignore[arg-type]
    return account


@pytest.fixture
def new_account(web3: Web3) -> Callable[..., LocalAccount]:
    """`new_account(balance_wei=...)` on the session's anvil."""
    return lambda balance_wei=100 * ETHER: funded(web3, balance_wei)


@pytest.fixture(scope="session")
def deployment(web3: Web3) -> Deployment:
    """All contracts with the local profile, deployed once on the session's anvil."""
    return deploy_with_web3(web3, funded(web3), LOCAL, cid_of(b"idle manifest"))


def probe_deployment(web3: Web3, artifacts: dict[str, dict[str, Any]]) -> Deployment:
    """A deployment whose every contract is one Probe, to test sending without the protocol."""
    probe = artifacts["Probe"]
    created: DeployedContract = create_contract(web3, funded(web3), probe["abi"], probe["bytecode"], [])
    return Deployment(
        chain_id=web3.eth.chain_id,
        genesis_hash=web3.eth.get_block(0)["hash"].to_0x_hex(),
        block_number=created.block_number,
        profile="probe",
        deployer=created.address,
        parameters={},
        idle_manifest="",
        contracts=dict.fromkeys(CONTRACT_NAMES, created),
    )


@pytest.fixture(scope="session")
def manual_rpc() -> Iterator[str]:
    """Address of an anvil that mines per transaction, until told otherwise."""
    with development_chain("anvil", block_time_s=None) as chain:
        yield chain.rpc_url


@pytest.fixture(scope="session")
def digits_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    """Its idle task is that of `commission_digits`; whoever uses it leaves it as it was."""
    idle = commission_digits(tmp_path_factory.mktemp("digits"))
    with start_local_chain(idle.manifest_cid) as chain:
        yield chain


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def connect(anvil: str, deployment: Deployment, web3: Web3) -> Callable[..., AccountClient]:
    """`connect(account=...)`: a client of the real deployment, by default with a new funded account."""

    def connected(account: LocalAccount | None = None) -> AccountClient:
        return AccountClient.connect_as(account or funded(web3), anvil, deployment)

    return connected
