"""Now: what each lane is doing and awaits from whom, the list of tasks, the last blocks, the sums in escrow."""

from explorer.chain.calls import View
from explorer.chain.events import Event
from explorer.figures import Cell, Facts, Figure, InEvent, Page, Part, Rows, Said, Table
from explorer.fold.tasks import TaskView, fold_task
from explorer.fold.totals import Lane
from explorer.site import Snapshot
from explorer.views.cells import NOTHING, arg, time_of, viewed
from pole.chain.gradient_structs import HeightPhase
from pole.chain.structs import Phase, Pot

_AWAITED = {
    Phase.KEYS: "the client: its functional keys",
    Phase.TRAINING: "miners: commitments to trained models",
    Phase.OVERTIME: "miners: any model at all",
    Phase.RELEASE: "the client: its test set",
    Phase.REVEAL: "miners: their models",
    Phase.VOTING: "verifiers: their votes",
    Phase.FINALISED: "anyone: the next round",
    Phase.ABORTED: "anyone: the next round",
    Phase.NONE: "anyone: the first round",
}
_SHOWN = 20
_VALUED = 200
"""Of a longer list, only so many are compared by their value."""


def now(snapshot: Snapshot) -> Page:
    parts: list[Part] = [_lanes(snapshot), _tasks(snapshot), _blocks(snapshot), _sums(snapshot)]
    return Page("Now", "now", "", parts)


def _lanes(snapshot: Snapshot) -> Table:
    rows = [_lane(snapshot, label) for label in snapshot.site.kinds.learning]
    rows += [_gradient_lane(snapshot, label) for label in snapshot.site.kinds.gradient]
    columns = ("lane", "works on", "task", "phase", "since", "until", "awaited from")
    return Table("Lanes", columns, rows)


def _lane(snapshot: Snapshot, label: str) -> list[Cell]:
    site, lane = snapshot.site, snapshot.totals.lanes.get(label, Lane())
    number = viewed(site, lane.round_id, "round", View(label, "roundCount"), Rows("count", ("RoundOpened",)))
    if not lane.round_id:
        return [Said(label), Said("no round yet"), NOTHING, Said("none"), NOTHING, NOTHING, Said(_AWAITED[Phase.NONE])]
    round_ = (lane.round_id,)
    task = (
        viewed(site, lane.task_id, "task", View(label, "round", round_, ("taskId",))) if lane.task_id else Said("idle")
    )
    phase = viewed(site, lane.phase, "phase", View(label, "round", round_, ("phase",)))
    until = (
        viewed(site, lane.deadline, "time", View(label, "round", round_, ("deadline",))) if lane.deadline else NOTHING
    )
    key = ("round", site.kinds.value(label, "round", lane.round_id))
    changed = snapshot.read.newest(*key, 1, names=["PhaseChanged"])
    awaited = _AWAITED.get(Phase(lane.phase), "anyone") if lane.phase in list(Phase) else "anyone"
    return [Said(label), number, task, phase, time_of(changed[0]) if changed else NOTHING, until, Said(awaited)]


def _gradient_lane(snapshot: Snapshot, label: str) -> list[Cell]:
    found = [event for event in snapshot.read.named(["HeightPhaseChanged"], 5) if event.contract == label]
    if not found:
        return [Said(label), Said("nothing"), NOTHING, Said("idle"), NOTHING, NOTHING, Said("anyone: the first task")]
    event = found[0]
    phase = event.args["phase"]
    awaited = {
        HeightPhase.SEARCH: "miners: a proposal",
        HeightPhase.COLLECT: "miners: more proposals",
        HeightPhase.VOTING: "verifiers: their votes",
    }.get(phase, "anyone: the next task")
    said = arg(event, "phase", unit="height phase")
    opened = [each for each in snapshot.read.named(["GradientBlockAppended"], 5) if each.contract == label]
    is_active = bool(opened) and phase != HeightPhase.IDLE
    until = arg(event, "deadline", unit="time") if event.args["deadline"] else NOTHING
    return [
        Said(label),
        arg(event, "height", unit="gradient_block"),
        arg(opened[0], "header", "taskId", unit="gradient_task") if is_active else NOTHING,
        said,
        time_of(event),
        until,
        Said(awaited),
    ]


def _tasks(snapshot: Snapshot) -> Table:
    ids = sorted(snapshot.totals.pending, reverse=True)
    views = [fold_task(snapshot.read.events("task", str(task_id), limit=50)) for task_id in ids[:_VALUED]]
    ranked = sorted(views, key=lambda view: (-view.value(snapshot.site.windows_s), view.task_id))[:_SHOWN]
    note = (
        f"{len(ids)} on the list." if len(ids) <= _VALUED else f"{len(ids)} on the list; the newest {_VALUED} compared."
    )
    rows = [task_row(snapshot, view) for view in ranked]
    return Table("Tasks by value", TASK_COLUMNS, rows, note, more="tasks")


TASK_COLUMNS = ("task", "state", "reward", "time limit", "reward a second", "client", "submitted")


def task_row(snapshot: Snapshot, view: TaskView) -> list[Cell]:
    """What lists of tasks say of one."""
    site, event = snapshot.site, view.submitted
    if event is None:
        return [NOTHING] * len(TASK_COLUMNS)
    one = (view.task_id,)
    limit: Cell = NOTHING
    if "timeLimitS" in view.terms:
        seconds = view.terms["timeLimitS"]
        limit = viewed(site, seconds, "seconds", View(view.contract, "task", one, ("terms", "timeLimitS")))
    return [
        arg(event, "taskId", unit="task"),
        viewed(site, view.state, "task state", View(view.contract, "task", one, ("state",))),
        viewed(
            site,
            view.reward_wei,
            "wei",
            View(view.contract, "task", one, ("rewardWei",)),
            InEvent(event, ("rewardWei",)),
        ),
        limit,
        Figure(
            view.value(site.windows_s),
            "wei",
            Rows("per second", (event.name, "RewardRaised"), ("task", str(view.task_id)), str(site.windows_s)),
        ),
        arg(event, "client", unit="address"),
        time_of(event),
    ]


def _blocks(snapshot: Snapshot) -> Table:
    events = [event for event in snapshot.read.named(["BlockAppended"], 8) if event.args["height"]]
    return Table("Last blocks", BLOCK_COLUMNS, [block_row(snapshot, event) for event in events], more="blocks")


BLOCK_COLUMNS = ("height", "task", "winner", "training", "test", "model", "round", "time")


def block_row(snapshot: Snapshot, event: Event) -> list[Cell]:
    """What lists of blocks say of one."""
    site, height = snapshot.site, event.args["height"]
    value = site.kinds.value(event.contract, "block", height)
    task: Cell = arg(event, "header", "taskId", unit="task") if event.args["header"].get("taskId") else Said("idle")
    return [
        Figure(value, "block", InEvent(event, ("height",))),
        task,
        arg(event, "header", "winner", unit="address"),
        arg(event, "header", "trainPpm", unit="ppm"),
        arg(event, "header", "testPpm", unit="ppm"),
        arg(event, "header", "model", unit="cid"),
        Figure(site.kinds.value(event.contract, "round", event.args["roundId"]), "round", InEvent(event, ("roundId",))),
        time_of(event),
    ]


def _sums(snapshot: Snapshot) -> Facts:
    totals, items = snapshot.totals, {}
    for pot in Pot:
        view = View("RewardReservoir", "total", (int(pot),))
        rows = Rows("pot", ("Deposited", "Moved", "Credited"), None, str(int(pot)))
        items[f"{pot.name.lower()}s held"] = viewed(snapshot.site, totals.pots_wei[pot], "wei", view, rows)
    credits_ = View("RewardReservoir", "totalCredits")
    owed = Rows("credits", ("Credited", "Withdrawn"))
    items["credits to withdraw"] = viewed(snapshot.site, totals.credits_wei, "wei", credits_, owed)
    items["tokens issued"] = viewed(snapshot.site, totals.issued, "token", View("RewardToken", "totalSupply"))
    return Facts("Sums", items)
