"""A chain with a miner and a verifier as objects inside the test, for rounds that are played step by step."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.types import RPCEndpoint

from miner.learning.node import MinerNode, MinerOptions
from miner.limits import MinerLimits
from miner.training.api import Trainer
from miner.training.default import train
from pole.chain.client import ChainClient
from pole.chain.commitments import test_set_commitment
from pole.chain.deployment import Deployment
from pole.chain.profiles import LOCAL
from pole.chain.structs import Phase, Round, TaskTerms
from pole.journal.journal import Journal
from pole.node.context import RoleContext, context_of
from pole.node.loop import Node, Waiting
from pole.storage.cid import Cid
from testbed.chain import development_chain, undone, web3_at
from testbed.deployer import deploy_with_web3
from tests.unit.commission import Commission
from verifier.judging.messages import JudgingLimits
from verifier.node import VerifierNode

ETHER = 10**18
SALT = bytes(32)


@dataclass(frozen=True)
class LocalChain:
    """A chain that mines every transaction at once, and one deployment on it."""

    rpc_url: str
    web3: Web3
    deployment: Deployment


@dataclass
class LocalNodes:
    """One chain, one deployment, one store."""

    rpc_url: str
    web3: Web3
    deployment: Deployment
    commission: Commission
    folder: Path
    resources: ExitStack

    def context(self, role: str, home: str, account: LocalAccount) -> RoleContext:
        """What a process of this role would start with; the same home and account again: what it restarts with."""
        folder = self.folder / home
        folder.mkdir(exist_ok=True)
        client = ChainClient.connect(self.rpc_url, self.deployment, poll_s=0.02)
        journal = self.resources.enter_context(Journal(folder / "journal.sqlite", is_exclusive=False))
        return context_of(role, client, account, journal, self.commission.store, folder, poll_s=0.02)

    def funded(self, balance_wei: int = 100 * ETHER) -> LocalAccount:
        account: LocalAccount = Account.create()
        self.rpc("anvil_setBalance", account.address, hex(balance_wei))
        return account

    def rpc(self, method: str, *parameters: object) -> None:
        reply = self.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in reply, reply

    def pass_time(self, seconds: int) -> None:
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")

    def miner(
        self, account: LocalAccount, *, is_idle_allowed: bool = True, trainer: Trainer = train, lane: int | None = None
    ) -> MinerNode:
        context = self.context("miner", account.address, account)
        options = MinerOptions(
            trainer=trainer,
            device=torch.device("cpu"),
            seed=1,
            limits=MinerLimits(min_reward_wei=0, max_data_bytes=1 << 30),
            commit_latency_s=None,
            is_idle_allowed=is_idle_allowed,
            withdraw_over_wei=None,
            lane=lane,
        )
        return MinerNode(context, options)

    def verifier(self, account: LocalAccount, *, stake_wei: int = ETHER, reserve_s: float = 3.0) -> VerifierNode:
        node = VerifierNode(self.context("verifier", account.address, account), JudgingLimits(), reserve_s, stake_wei)
        self.resources.callback(node.close)
        return node

    def submit(self, client: LocalAccount, commission: Commission) -> int:
        """The client's task, on the list; returns its id."""
        context = self.context("client", client.address, client)
        market = self.deployment.address("TaskMarket")
        commitment = test_set_commitment(self.deployment.chain_id, market, client.address, commission.test_set, SALT)
        terms = TaskTerms(commission.manifest_cid, commitment, 60, 700_000, 0, 1, 0)
        value_wei = ETHER + LOCAL.market.client_bond_wei
        market_contract = context.contracts.task_market
        market_contract.submit(terms, value_wei=value_wei, key=f"submit/{market_contract.task_count()}")
        return market_contract.task_count()

    def publish_keys(self, client: LocalAccount, current: Round, keys: Cid) -> None:
        context = self.context("client", client.address, client)
        key = f"keys/{current.round_id}"
        context.contracts.learning_chain.publish_keys(current.round_id, current.previous_hash, keys, key=key)


def round_of(node: Node) -> Round:
    """The newest round, as the node reads it."""
    latest = node.context.contracts.learning_chain.latest_round()
    assert latest is not None
    return latest


def step_until(nodes: list[Node], is_reached: Callable[[], bool], steps: int = 60) -> Waiting:
    """Lets the nodes act in turn; returns what the last one waits for."""
    for _ in range(steps):
        for node in nodes:
            waiting = node.act()
            if is_reached():
                bind(nodes[0])
                return waiting
        nodes[0].context.chain.web3.provider.make_request(RPCEndpoint("evm_mine"), [])  # turns go by blocks
    raise AssertionError(f"not reached in {steps} steps; waiting for {waiting.what}; {round_of(nodes[0])}")


def bind(node: Node) -> None:
    """Mines the block that the previous hash of the round in progress comes from."""
    current = node.context.contracts.learning_chain.current_round()
    while current is not None and not current.is_bound:
        node.context.chain.web3.provider.make_request(RPCEndpoint("evm_mine"), [])
        current = node.context.contracts.learning_chain.current_round()


def until_phase(nodes: list[Node], phase: Phase) -> Waiting:
    return step_until(
        nodes, lambda: nodes[0].context.contracts.learning_chain.round_count() > 0 and round_of(nodes[0]).phase is phase
    )


@contextmanager
def start_local_chain(idle: Cid, lanes: int = 1) -> Iterator[LocalChain]:
    """A fresh chain; `idle` is the manifest of its idle task."""
    with development_chain("anvil", block_time_s=None) as chain:
        web3 = web3_at(chain.rpc_url)
        deployer: LocalAccount = Account.create()
        web3.provider.make_request(RPCEndpoint("anvil_setBalance"), [deployer.address, hex(100 * ETHER)])
        yield LocalChain(chain.rpc_url, web3, deploy_with_web3(web3, deployer, LOCAL, idle, lanes=lanes))


@contextmanager
def start_local_nodes(
    chain: LocalChain, folder: Path, idle: Commission, *, has_absent_verifier: bool = False
) -> Iterator[LocalNodes]:
    """The chain is as before afterwards. `idle` is its idle task; without a seated verifier, nobody opens a round."""
    with undone(chain.web3), ExitStack() as resources:
        local_nodes = LocalNodes(chain.rpc_url, chain.web3, chain.deployment, idle, folder, resources)
        if has_absent_verifier:
            absent = local_nodes.context("verifier", "absent", local_nodes.funded())
            absent.contracts.verifier_committee.stake(ETHER, key="stake")
        yield local_nodes
