"""The status of a client's gradient tasks: state, blocks, accuracy, interval, money left."""

from rich.table import Table

from dataclient.gradient.task_folder import OrderHome, all_order_homes
from pole.chain.contracts import GradientChain
from pole.chain.gradient_structs import GradientHeader, GradientTask, GradientTaskState, HeightPhase
from pole.chain.structs import Pot
from pole.errors import BadInput
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.storage.cid import Cid

_ACCOUNT_BYTES = 32


def status_table(client: RoleContext) -> Table:
    """One row per gradient task on this chain."""
    table = Table("task", "number", "state", "blocks", "test accuracy", "mean interval", "now", "in escrow (ETH)")
    gradient_chain = client.contracts.gradient_chain
    for home in all_order_homes(client.home):
        submitted = home.submitted()
        if submitted is None:
            table.add_row(home.name, "-", "not submitted", *["-"] * 5)
        elif submitted.deployment == client.chain.deployment.identity:
            table.add_row(*_row(client, gradient_chain, home, submitted.task_id))
    return table


def _row(client: RoleContext, gradient_chain: GradientChain, home: OrderHome, task_id: int) -> list[str]:
    task = gradient_chain.task(task_id)
    newest = newest_header(gradient_chain, task)
    mean = f"{task.searched_s / task.blocks_done:.1f} s" if task.blocks_done else "-"
    return [
        home.name,
        str(task_id),
        _state(task),
        f"{task.blocks_done} of {task.terms.block_count}",
        "-" if newest is None or newest.is_opening else f"{newest.test_ppm / 10_000:.2f} %",
        f"{mean} (wanted {task.terms.target_interval_s} s)",
        _now(gradient_chain, task_id),
        wei_to_ether(_escrow_wei(client, task_id)),
    ]


def newest_header(gradient_chain: GradientChain, task: GradientTask) -> GradientHeader | None:
    """The newest block of a task; the opening one if none was mined yet, None if it was never opened."""
    if task.state in (GradientTaskState.PENDING, GradientTaskState.CANCELLED):
        return None
    for height in range(gradient_chain.height(), 0, -1):
        header = gradient_chain.header(height)
        if header.task_id == task.task_id:
            return header
    return None


def newest_weights(gradient_chain: GradientChain, task: GradientTask) -> tuple[GradientHeader, Cid]:
    """Of a task that was opened. Raises BadInput."""
    header = newest_header(gradient_chain, task)
    if header is None or header.weights is None:
        raise BadInput(f"gradient task {task.task_id} is {_state(task)}: there are no weights yet")
    return header, header.weights


def _state(task: GradientTask) -> str:
    name = task.state.name.lower()
    if task.state is GradientTaskState.STOPPED:
        return f"{name}: {task.stop_reason.name.lower().replace('_', ' ')}"
    return name


def _now(gradient_chain: GradientChain, task_id: int) -> str:
    current = gradient_chain.current()
    if current.task_id != task_id or current.phase is HeightPhase.IDLE:
        return "-"
    return f"height {current.height}: {current.phase.name.lower()}"


def _escrow_wei(client: RoleContext, task_id: int) -> int:
    chain = client.chain.deployment.address("GradientChain")
    account = task_id.to_bytes(_ACCOUNT_BYTES, "big")
    return int(client.chain.call("RewardReservoir", "balanceOf", chain, Pot.ESCROW, account))
