"""Checks of the Ethereum node, and of the deployment on it."""

import time
from collections.abc import Callable
from pathlib import Path

from web3 import Web3
from web3.exceptions import Web3RPCError

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import Deployment
from pole.chain.fees import DEFAULT_MAX_FEE_GWEI, GWEI, TIP_WEI, FeePolicy, gwei
from pole.chain.node_errors import rpc_message
from pole.chain.node_faults import NodeFault
from pole.chain.provider import NodeProvider
from pole.errors import BadInput
from pole.node.doctor.check import Check, check, ok, problem, warning
from pole.urls import shown

_TIMEOUT_S = 5.0
# What one pass of a role asks of a node, about.
_BURST = 12
_SLOW_S, _STILL_S, _AHEAD_S = 45, 120, 15
_OWN_CHAIN = "for a chain of your own: anvil --block-time 1"


def node_at(rpc: str) -> Web3:
    """A node that is asked only once for everything; raises BadInput for what is no address of one."""
    return Web3(NodeProvider([rpc], _TIMEOUT_S, is_patient=False))


def node_fault(exc: Exception) -> Check | None:
    """What an error of a request to the node means; a limit on requests is told apart from a node that is down."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, NodeFault):
            return problem(cause.text, cause.remedy)
        if isinstance(cause, Web3RPCError):
            return problem(f"the node answers: {rpc_message(cause)}", "see the node's own log, or give another --rpc")
        cause = cause.__cause__
    return None


@check("node", node_fault)
def check_rpc(rpc: str) -> Check:
    chain_id = node_at(rpc).eth.chain_id
    return ok(f"{shown(rpc)} is chain {chain_id}")


@check("requests", node_fault)
def check_rate(web3: Web3) -> Check:
    """As many requests as one pass of a role takes, one after the other."""
    started_s = time.monotonic()
    for _ in range(_BURST):
        web3.eth.get_block("latest")
    return ok(f"{_BURST} answered in {time.monotonic() - started_s:.2f} s")


@check("synced", node_fault)
def check_synced(web3: Web3) -> Check:
    state = web3.eth.syncing
    if not state:
        return ok("the node follows the chain")
    at, goal = ("?", "?") if state is True else (state["currentBlock"], state["highestBlock"])
    return problem(f"the node is at block {at} of {goal}", "wait until it has caught up, or give another --rpc")


@check("clock", node_fault)
def check_clock(web3: Web3, now_s: Callable[[], float] = time.time) -> Check:
    """The newest block's time against this machine's, since deadlines are in block time."""
    block = web3.eth.get_block("latest")
    age_s, number = now_s() - block["timestamp"], block["number"]
    if age_s < -_AHEAD_S:
        return warning(
            f"block {number} is {-age_s:.0f} s ahead of this machine's clock",
            "timedatectl set-ntp true (a development chain may have been warped ahead on purpose)",
        )
    if age_s < _SLOW_S:
        return ok(f"block {number} is {max(age_s, 0):.0f} s old")
    text = f"block {number}, the newest, is {age_s:.0f} s old"
    remedy = f"check this machine's clock and the node's peers; {_OWN_CHAIN}"
    return problem(f"{text}: the chain stands still", remedy) if age_s > _STILL_S else warning(text, remedy)


@check("gas price", node_fault)
def check_gas_price(web3: Web3) -> Check:
    price_wei = gas_price_wei(web3)
    policy = FeePolicy(int(DEFAULT_MAX_FEE_GWEI * GWEI))
    if price_wei <= policy.cap_wei:
        return ok(f"{gwei(price_wei)} gwei")
    text, _, remedy = policy.refusal(price_wei - TIP_WEI).partition("; ")
    return warning(text, remedy)


def gas_price_wei(web3: Web3) -> int:
    """What a transaction would pay for a unit of gas in the next block, about."""
    return int(web3.eth.get_block("latest").get("baseFeePerGas", 0)) + TIP_WEI


def find_deployment(path: Path | None, chain_id: int | None) -> Deployment:
    """As a role finds it; raises BadInput."""
    if path is not None:
        return Deployment.load(path)
    if chain_id is None:
        raise BadInput("the node's chain is unknown; give --deployment PATH, or another --rpc")
    return Deployment.find(chain_id)


@check("deployment")
def check_deployment(path: Path | None, chain_id: int | None) -> Check:
    if path is None and chain_id is None:
        return warning("not looked for, since the node's chain is unknown", "give --deployment PATH, or another --rpc")
    found = find_deployment(path, chain_id)
    return ok(f"chain {found.chain_id}, profile {found.profile}, since block {found.block_number}")


@check("contracts", node_fault)
def check_contracts(rpc: str, deployment: Deployment) -> Check:
    """Chain id, genesis and this version's code at every address; that it answers as this version expects."""
    client = ChainClient(node_at(rpc), deployment)
    client.check_chain()
    client.check_code()
    contracts = Contracts.of(client)
    for contract in (
        contracts.task_market,
        contracts.verifier_committee,
        contracts.learning_chain,
        contracts.gradient_chain,
    ):
        contract.parameters()
    return ok(f"code at all {len(deployment.contracts)} addresses, genesis as deployed")
