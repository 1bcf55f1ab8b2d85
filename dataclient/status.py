"""The status of a client's tasks: state, round, what it waits for, how much of the data its keys have given away."""

from collections.abc import Sequence

from rich.table import Table

from dataclient.serve import leaked_rank, waiting_in_round
from dataclient.served_tasks import ServedTask, served_tasks
from pole.chain.structs import Round, TaskState
from pole.errors import ContentNotFound
from pole.learning.functional_keys import warning_rank
from pole.learning.round_files import fetch_manifest
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.task.manifest import ConvolutionalMapping, InnerProductEncryption, Manifest


def status_table(client: RoleContext) -> Table:
    """One row per task on this chain."""
    table = Table("task", "number", "state", "round", "waits for", "until", "in escrow (ETH)", "leak")
    rounds = [lane.learning_chain.current_round() for lane in client.contracts.lanes]
    now_s = client.chain.block_time()
    for served in served_tasks(client):
        table.add_row(*_row(client, served, rounds, now_s))
    return table


def _row(client: RoleContext, served: ServedTask, rounds: Sequence[Round | None], now_s: int) -> list[str]:
    """`rounds`: those in progress, by lane."""
    task = served.task
    current = rounds[task.lane]
    mine = current if current is not None and current.task_id == task.task_id else None
    where = f" (lane {task.lane + 1})" if len(rounds) > 1 else ""
    round_text = f"{mine.round_id}: {mine.phase.name.lower()}{where}" if mine else "-"
    is_held = task.state in (TaskState.PENDING, TaskState.IN_ROUND)
    escrow_wei = task.reward_wei + task.verifier_fee_wei + task.bond_wei if is_held else 0
    state = task.state.name.lower().replace("_", " ")
    return [
        served.home.name,
        str(task.task_id),
        state,
        round_text,
        _waits_for(served, mine),
        _until(mine, now_s),
        wei_to_ether(escrow_wei),
        _leak(client, served),
    ]


def _waits_for(served: ServedTask, mine: Round | None) -> str:
    if mine is not None:
        return waiting_in_round(mine, served.home.name).what
    return "a round to open" if served.task.state is TaskState.PENDING else "-"


def _until(mine: Round | None, now_s: int) -> str:
    """Seconds of block time to the end of the phase."""
    if mine is None or not mine.deadline:
        return "-"
    left_s = mine.deadline - now_s
    return f"in {left_s} s" if left_s >= 0 else f"overdue by {-left_s} s"


def _leak(client: RoleContext, served: ServedTask) -> str:
    """Rank of all keys ever issued, against where recovery starts to be practical and where keys are refused."""
    try:
        manifest = fetch_manifest(client.store, served.task.terms.manifest)
    except ContentNotFound:
        return "unknown (the manifest is not in this store)"
    if not isinstance(manifest.encryption, InnerProductEncryption):
        return "published in the clear"
    if isinstance(manifest.mapping, ConvolutionalMapping):
        return "all, once a round has opened" if served.home.issued().previous_hashes else "nothing yet"
    return _rank_text(manifest, manifest.encryption.rank_limit, leaked_rank(served.home, manifest))


def _rank_text(manifest: Manifest, limit: int, rank: int) -> str:
    warning = warning_rank(manifest)
    note = f"; above {warning}, recovery is a matter of effort" if rank > warning else ""
    return f"rank {rank} of at most {limit}{note}"
