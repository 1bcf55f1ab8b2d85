"""Statistics: block times and their distribution, scores, reward per second, gas per step, over time."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from explorer.chain.calls import View
from explorer.figures import Cell, Facts, Figure, Page, Part, Picture, Receipts, Rows, Said, Table
from explorer.fold.totals import SLOTS, Lane
from explorer.index.reading import Transaction
from explorer.site import Snapshot
from explorer.views.cells import NOTHING, counted, viewed
from explorer.views.text import duration
from pole.chain.structs import AbortReason, TaskState

_GAS_OF = 2_000
SERIES = 500
"""Blocks in a chart, the newest."""


def statistics_page(snapshot: Snapshot) -> Page:
    source = "api/series/blocks"
    parts: list[Part] = [
        _counts(snapshot),
        _times(snapshot),
        Picture("Block time over height", "chart", {"source": source, "columns": ["seconds"], "unit": "s"}),
        Picture("Scores over height", "chart", {"source": source, "columns": ["train", "test"], "unit": "%"}),
        Picture("Reward per second over height", "chart", {"source": source, "columns": ["reward"], "unit": "ETH/s"}),
        _gas(snapshot),
    ]
    return Page("Statistics", "statistics", "", parts)


def _counts(snapshot: Snapshot) -> Facts:
    totals, items = snapshot.totals, {}
    for label in snapshot.site.kinds.learning:
        lane = totals.lanes.get(label, Lane())
        of_lane = "" if len(snapshot.site.kinds.learning) == 1 else f" of {label}"
        items[f"height{of_lane}"] = viewed(
            snapshot.site, max(0, lane.height), "count", View(snapshot.site.kinds.ledger_of(label), "height")
        )
        items[f"rounds{of_lane}"] = viewed(snapshot.site, lane.round_id, "count", View(label, "roundCount"))
    items["tasks"] = viewed(snapshot.site, len(totals.task_states), "count", View("TaskMarket", "taskCount"))
    for reason, count in sorted(totals.abort_reasons.items()):
        name = AbortReason(reason).name.lower().replace("_", " ") if reason in list(AbortReason) else str(reason)
        items[f"aborted: {name}"] = Figure(
            count, "count", Rows("matching", ("RoundAborted",), None, f"reason={reason}")
        )
    for outcome in (TaskState.SOLVED, TaskState.REFUNDED, TaskState.CANCELLED):
        count = sum(state == outcome for state in totals.task_states.values())
        proof = Rows("matching", ("TaskClosed",), None, f"outcome={int(outcome)}")
        items[f"tasks {outcome.name.lower()}"] = Figure(count, "count", proof)
    items["commits"] = counted(("SolutionCommitted",), totals.events["SolutionCommitted"])
    items["votes revealed"] = counted(("VoteRevealed",), totals.events["VoteRevealed"])
    return Facts("Counts", items)


def _times(snapshot: Snapshot) -> Table:
    """Of one lane; several lanes have a table each in the API."""
    label = snapshot.site.kinds.learning[0]
    rows: list[list[Cell]] = []
    most = max(snapshot.totals.block_times.values(), default=0)
    for number in range(SLOTS):
        count = snapshot.totals.block_times[number]
        if count:
            low, high = (0, 1) if not number else (1 << number - 1, 1 << number)
            proof = Rows("slot", ("BlockAppended",), None, str(number), snapshot.site.kinds.ledger_of(label))
            bar = "█" * max(1, round(20 * count / most))
            rows.append([Said(f"{duration(low)} to {duration(high)}"), Figure(count, "count", proof), Said(bar)])
    return Table("Distribution of block times", ("from one block to the next", "blocks", "bar"), rows)


def _gas(snapshot: Snapshot) -> Table:
    found = snapshot.read.newest_transactions(_GAS_OF)
    by_step: dict[str, list[Transaction]] = defaultdict(list)
    for each in found:
        if each.step and each.gas_used is not None:
            by_step[each.step].append(each)
    rows = [_gas_row(step, sent) for step, sent in sorted(by_step.items())]
    note = f"Of the newest {len(found):,} transactions; each one's page has its receipt." + (
        " Some are still to be read." if snapshot.read.has_unread() else ""
    )
    return Table("Gas per step", ("step", "times", "median gas", "most"), rows or [[NOTHING] * 4], note)


def _gas_row(step: str, sent: Sequence[Transaction]) -> list[Cell]:
    hashes = tuple(each.hash for each in sent)
    used = [each.gas_used for each in sent if each.gas_used is not None]
    figures = (("number", len(used)), ("median", round(statistics.median(used))), ("most", max(used)))
    return [Said(step), *(Figure(value, "count", Receipts(rule, "gasUsed", hashes)) for rule, value in figures)]


def block_series(snapshot: Snapshot) -> dict[str, list[Any]]:
    """For the charts: height, seconds since the block before, scores in percent, reward in ether a second."""
    events = list(reversed(snapshot.read.named(["BlockAppended"], SERIES + 1)))
    label = snapshot.site.kinds.ledgers[0]
    series: dict[str, list[Any]] = {name: [] for name in ("x", "seconds", "train", "test", "reward")}
    before = None
    for event in (event for event in events if event.contract == label):
        seconds = None if before is None or not before.args["height"] else event.time - before.time
        before = event
        if not event.args["height"]:
            continue
        header = event.args["header"]
        series["x"].append(event.args["height"])
        series["seconds"].append(seconds)
        series["train"].append(header["trainPpm"] / 10_000)
        series["test"].append(header["testPpm"] / 10_000)
        series["reward"].append(_reward_a_second(snapshot, header.get("taskId", 0), seconds))
    return series


def _reward_a_second(snapshot: Snapshot, task_id: int, seconds: int | None) -> float | None:
    if not task_id or not seconds:
        return None
    found = snapshot.read.events("task", str(task_id), ["TaskSubmitted"], 1)
    return found[0].args.get("rewardWei", 0) / 10**18 / seconds if found else None
