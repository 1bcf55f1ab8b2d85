"""Commissions a prepared gradient task: escrows reward and fee of all blocks, exactly once."""

from dataclient.gradient.prepare import prepare
from dataclient.gradient.task_folder import GradientOrder, OrderHome, PreparedOrder, open_order_home
from dataclient.task_folder import Submitted
from pole.chain.gradient_structs import GradientParameters
from pole.errors import BadInput, InsufficientFunds
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.storage.cid import Cid


def submit_order(client: RoleContext, order: GradientOrder) -> tuple[Submitted, PreparedOrder]:
    """Prepares the task and pays for it; called again, it continues, and never pays twice."""
    gradient_chain = client.contracts.gradient_chain
    parameters = gradient_chain.parameters()
    _check_order(order, parameters)
    home = open_order_home(client.home, order)
    known = _submitted_here(client, home)
    prepared = prepare(order, home, client.store, parameters)
    if known is not None:
        return known, prepared
    terms = prepared.terms(order)
    cost_wei = gradient_chain.cost_wei(terms)
    key = f"gradient-submit/{order.name}"
    if client.journal.transactions.newest(key) is None:
        _check_balance(client, cost_wei)
        _check_stored(client, prepared)
    receipt = client.contracts.gradient_chain.submit(terms, value_wei=cost_wei, key=key)
    [event] = client.chain.events_of(receipt, "GradientChain", "GradientTaskSubmitted")
    submitted = Submitted(
        task_id=int(event.arguments["taskId"]),
        deployment=client.chain.deployment.identity,
        client=client.address,
    )
    home.keep_submitted(submitted)
    return submitted, prepared


def require_submitted(client: RoleContext, home: OrderHome) -> Submitted:
    """Where the task is on this chain. Raises BadInput if it is not."""
    submitted = _submitted_here(client, home)
    if submitted is None:
        raise BadInput(f"gradient task {home.name!r} is not on the chain yet; run `gradient submit` again")
    return submitted


def _submitted_here(client: RoleContext, home: OrderHome) -> Submitted | None:
    submitted = home.submitted()
    if submitted is not None and submitted.deployment != client.chain.deployment.identity:
        raise BadInput(
            f"gradient task {home.name!r} was submitted on another chain or deployment ({submitted.deployment}); "
            "give this one another --name"
        )
    return submitted


def _check_order(order: GradientOrder, parameters: GradientParameters) -> None:
    """Refuses what the chain would refuse, before anything is computed. Raises BadInput."""
    if order.block_reward_wei < parameters.min_block_reward_wei:
        raise BadInput(
            f"block reward {wei_to_ether(order.block_reward_wei)} ether is under the chain's minimum of "
            f"{wei_to_ether(parameters.min_block_reward_wei)}; raise --block-reward"
        )
    fee_wei = -(-order.block_reward_wei * parameters.verifier_fee_ppm // 1_000_000)
    if fee_wei > parameters.miner_bond_wei:
        raise BadInput(
            f"the verifiers' fee of {wei_to_ether(fee_wei)} ether a block exceeds a miner's bond of "
            f"{wei_to_ether(parameters.miner_bond_wei)}; lower --block-reward"
        )
    limit_s = order.block_time_limit_s or order.target_interval_s
    if limit_s > parameters.max_block_time_limit_s or order.target_interval_s > limit_s:
        raise BadInput(
            f"interval {order.target_interval_s} s, limit {limit_s} s: the interval must be at most the limit, which "
            f"must be at most {parameters.max_block_time_limit_s} s"
        )


def _check_balance(client: RoleContext, cost_wei: int) -> None:
    balance_wei = client.chain.balance_wei(client.address)
    if balance_wei <= cost_wei:
        raise InsufficientFunds(
            f"{client.address} has {wei_to_ether(balance_wei)} ether, but all blocks cost "
            f"{wei_to_ether(cost_wei)} and gas; fund the account, or order fewer or cheaper blocks"
        )


def _check_stored(client: RoleContext, prepared: PreparedOrder) -> None:
    """Miners must find what is paid for: a task prepared with another store is not submitted with this one."""
    for cid in (prepared.manifest, prepared.genesis_weights):
        if not client.store.has(Cid.parse(cid)):
            raise BadInput(
                f"the task was prepared with another store ({cid} is not in this one); give the same --store"
            )
