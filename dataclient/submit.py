"""Submits prepared tasks: pays reward, fee and bond into escrow, exactly once per task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataclient.drafting.costs import CLIENT_GAS, Payment, payment_for
from dataclient.prepare import keep_rows, prepare
from dataclient.task_file import TaskFile, TaskSource, read_task_file
from dataclient.task_folder import Prepared, Submitted, TaskHome, all_task_homes, check_private, open_task_home
from pole.chain.client import ChainClient
from pole.chain.commitments import test_set_commitment
from pole.chain.node_errors import RevertDecoder, node_errors
from pole.chain.structs import MarketParameters, TaskTerms
from pole.errors import BadInput, InsufficientFunds
from pole.journal.transactions import TransactionState
from pole.learning.round_files import fetch_manifest
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.storage.cid import Cid
from pole.timing import OnProgress


@dataclass(frozen=True)
class TaskOrder:
    """One task on its way to the market; `submitted` is None until it is there."""

    home: TaskHome
    task: TaskFile
    payment: Payment
    submitted: Submitted | None


def read_orders(client: RoleContext, paths: Sequence[Path], *, is_new: bool) -> list[TaskOrder]:
    """Reads and checks all task files before anything is encrypted or spent; the first problem stops them all."""
    check_private(client.home)
    sources = [read_task_file(path) for path in paths]
    names = [source.task.name for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BadInput(f"several of the task files are named {', '.join(repeated)}; give each task its own name")
    parameters = client.contracts.task_market.parameters()
    for source in sources:
        check_terms(source, parameters)
    orders = [_order(client, source, parameters, is_new) for source in sources]
    for order in orders:
        keep_rows(order.task, order.home)
    check_balance(client, orders)
    return orders


def _order(client: RoleContext, source: TaskSource, parameters: MarketParameters, is_new: bool) -> TaskOrder:
    home = open_task_home(client.home, source, is_new=is_new)
    submitted = home.submitted()
    identity = client.chain.deployment.identity
    if submitted is not None and submitted.deployment != identity:
        raise BadInput(
            f"task {home.name!r} was submitted on another chain or deployment ({submitted.deployment}); "
            "say --again to commission it on this one, with a new key"
        )
    return TaskOrder(home, source.task, payment_for(source.task.terms.reward_wei, parameters), submitted)


def check_terms(source: TaskSource, parameters: MarketParameters) -> None:
    """Refuses what the market would refuse. Raises BadInput."""
    problem, terms, limit_s = "", source.task.terms, source.task.terms.time_limit_s
    if terms.reward_wei < parameters.min_reward_wei:
        least = wei_to_ether(parameters.min_reward_wei)
        problem = f"reward {terms.reward_ether} ether is under the market's minimum of {least}; raise reward_ether"
    elif limit_s > (most_s := parameters.max_time_limit_s):
        problem = f"time limit {limit_s} s is over the market's maximum of {most_s} s; lower time_limit_s"
    elif limit_s < (least_s := parameters.min_time_limit_s):
        problem = f"time limit {limit_s} s is under the market's minimum of {least_s} s; raise time_limit_s"
    elif terms.earliest_close_s > limit_s:
        after = f"commits would close after {terms.earliest_close_s} s or later"
        problem = f"{after}, but the time limit is {limit_s} s; lower earliest_close_s"
    if problem:
        raise BadInput(f"{source.path}: {problem}")


def check_balance(client: RoleContext, orders: Sequence[TaskOrder]) -> None:
    """Refuses to begin what the account cannot pay to the end. Raises InsufficientFunds."""
    open_orders = [order for order in orders if order.submitted is None and not _was_sent(client, order)]
    if not open_orders:
        return
    gas_wei = len(open_orders) * CLIENT_GAS * gas_price_wei(client.chain)
    needed_wei = sum(order.payment.value_wei for order in open_orders) + gas_wei
    balance_wei = client.chain.balance_wei(client.address)
    if balance_wei < needed_wei:
        raise InsufficientFunds(
            f"{client.address} has {wei_to_ether(balance_wei)} ether, but {len(open_orders)} task(s) need "
            f"{wei_to_ether(needed_wei)} with gas; fund the account or lower the rewards"
        )


def _was_sent(client: RoleContext, order: TaskOrder) -> bool:
    return client.journal.transactions.newest(_key(order.home)) is not None


def _key(home: TaskHome) -> str:
    return f"submit/{home.name}"


def gas_price_wei(chain_client: ChainClient) -> int:
    """The node's suggestion, for estimates only."""
    with node_errors(RevertDecoder([]), "reading the gas price"):
        return int(chain_client.web3.eth.gas_price)


def submit(client: RoleContext, order: TaskOrder, progress: OnProgress | None = None) -> Submitted:
    """Prepares one task and puts it on the market; called again, it continues, and never pays twice."""
    if order.submitted is not None:
        return order.submitted
    prepared = prepare(order.task, order.home, client.store, progress)
    check_stored(client, order, prepared)
    receipt = client.contracts.task_market.submit(
        terms_of(client, order.task, prepared),
        value_wei=order.payment.value_wei,
        key=_key(order.home),
    )
    [event] = client.chain.events_of(receipt, "TaskMarket", "TaskSubmitted")
    submitted = Submitted(
        task_id=int(event.arguments["taskId"]),
        deployment=client.chain.deployment.identity,
        client=client.address,
    )
    order.home.keep_submitted(submitted)
    return submitted


def finish_interrupted(client: RoleContext) -> None:
    """Takes note of tasks whose payment was signed before `submit` was killed: they are on chain, and need serving."""
    for home in all_task_homes(client.home):
        if home.submitted() is not None or home.prepared() is None:
            continue
        attempt = client.journal.transactions.newest(_key(home))
        if attempt is not None and attempt.state in (TransactionState.SENT, TransactionState.MINED):
            task = read_task_file(home.task_file).task
            payment = payment_for(task.terms.reward_wei, client.contracts.task_market.parameters())
            submit(client, TaskOrder(home, task, payment, None))


def check_stored(client: RoleContext, order: TaskOrder, prepared: Prepared) -> None:
    """Miners must find what is paid for, and take it: a task prepared with another store, or by a version whose
    manifests are refused by now, is not submitted. Raises BadInput or ManifestInvalid.
    """
    cids = [prepared.manifest, *(part.cid for part in order.home.progress().parts)]
    missing = [cid for cid in cids if not client.store.has(Cid.parse(cid))]
    if missing:
        raise BadInput(
            f"task {order.home.name!r} was prepared with another store ({missing[0]} is not in this one); "
            "give the same --store, or say --again to prepare it once more"
        )
    fetch_manifest(client.store, prepared.manifest_cid)


def terms_of(client: RoleContext, task: TaskFile, prepared: Prepared) -> TaskTerms:
    """The terms as the market takes them; the commitment binds the test set to this client and market."""
    deployment = client.chain.deployment
    commitment = test_set_commitment(
        deployment.chain_id,
        deployment.address("TaskMarket"),
        client.address,
        prepared.test_set_cid,
        prepared.salt_bytes,
    )
    return TaskTerms(
        manifest=prepared.manifest_cid,
        test_set_commitment=commitment,
        time_limit_s=task.terms.time_limit_s,
        required_train_ppm=task.terms.required_train_ppm,
        min_test_ppm=task.terms.min_test_ppm,
        solutions_wanted=task.terms.solutions_wanted,
        earliest_close_s=task.terms.earliest_close_s,
    )
