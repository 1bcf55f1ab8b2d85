"""A higher reward for a task that is still on the list, so that a round takes it sooner."""

from dataclient.collect import require_submitted
from dataclient.drafting.costs import payment_for
from dataclient.task_folder import TaskHome
from pole.chain.structs import Task, TaskState
from pole.errors import BadInput
from pole.money import ether_to_wei, wei_to_ether
from pole.node.context import RoleContext


def raise_reward(client: RoleContext, home: TaskHome, reward_ether: str) -> Task:
    """Pays what is missing to a reward of `reward_ether`, with the verifiers' fee on it; returns the task afterwards.

    What was sent already, and not mined when the process died, is what counts: it is never paid twice.

    Raises BadInput for an amount that is none or not more than the reward, and for a task that is not on the list;
    InsufficientFunds before anything is sent, see `Sender.transact`.
    """
    try:
        reward_wei = ether_to_wei(reward_ether)
    except ValueError as exc:
        raise BadInput(f"reward: {exc}") from exc
    task_id = require_submitted(client, home).task_id
    market = client.contracts.task_market
    task = market.task(task_id)
    if task.state is not TaskState.PENDING:
        state = task.state.name.lower().replace("_", " ")
        raise BadInput(f"task {home.name!r} is {state}, no longer pending; its reward is what it is")
    if reward_wei <= task.reward_wei:
        raise BadInput(
            f"task {home.name!r} pays {wei_to_ether(task.reward_wei)} ether already; name a reward above that"
        )
    raised = payment_for(reward_wei, market.parameters())
    value_wei = raised.reward_wei + raised.verifier_fee_wei - task.reward_wei - task.verifier_fee_wei
    key = f"raise/{task_id}/from/{task.reward_wei}"
    market.raise_reward(task_id, key=key, value_wei=value_wei)
    return market.task(task_id)
