"""The gradient chain: accuracy and interval over height, threshold, proposals; and its tasks."""

from collections.abc import Sequence

from explorer.chain.calls import View
from explorer.chain.events import Event
from explorer.contents import Contents
from explorer.figures import Cell, Facts, Figure, InEvent, Page, Part, Picture, Rows, Said, Table
from explorer.fold.gradient import GradientTaskView, fold_gradient_task, fold_height
from explorer.site import Snapshot
from explorer.views.cells import arg, summed, time_of, viewed, words_of
from explorer.views.heights import outcome_of_height
from explorer.views.manifests import describe_gradient
from explorer.views.proposals import proposals_table

_SHOWN = 50
_UNITS = {
    "manifest": "cid",
    "genesisWeights": "cid",
    "rules": "rules",
    "blockRewardWei": "wei",
    "targetTestPpm": "ppm",
    "targetIntervalS": "seconds",
    "blockTimeLimitS": "seconds",
}
BLOCK_COLUMNS = ("height", "task", "miner", "training", "test", "interval", "threshold", "step", "time")
TASK_COLUMNS = ("task", "client", "state", "blocks", "budget", "submitted")


def gradient_page(snapshot: Snapshot) -> Page:
    events = snapshot.read.named(["GradientBlockAppended"], _SHOWN)
    tasks = snapshot.read.named(["GradientTaskSubmitted"], _SHOWN)
    parts: list[Part] = [
        *(_current(snapshot, label) for label in snapshot.site.kinds.gradient),
        *_charts("api/series/gradient"),
        Table("Blocks", BLOCK_COLUMNS, [block_row(snapshot, event) for event in events if event.args["height"]]),
        Table("Tasks", TASK_COLUMNS, [task_row(snapshot, event) for event in tasks]),
    ]
    return Page("Gradient chain", "gradient", "", parts)


def _current(snapshot: Snapshot, label: str) -> Table:
    """Proposals at the height that is being worked on."""
    title = "Proposals at the moment" if len(snapshot.site.kinds.gradient) == 1 else f"Proposals at the moment, {label}"
    phases = [event for event in snapshot.read.named(["HeightPhaseChanged"], 5) if event.contract == label]
    if not phases:
        return proposals_table([], title, "No task was opened yet.")
    value = snapshot.site.kinds.value(label, "gradient_block", phases[0].args["height"])
    view = fold_height(snapshot.read.events("gradient_block", value))
    return proposals_table(view.proposals, title, f"Height {value} {_stands(outcome_of_height(view))}.", view)


def _stands(outcome: str) -> str:
    return f"is {outcome}" if outcome.startswith("in ") else outcome


def _charts(source: str) -> list[Part]:
    """The paper's Figure 1, as far as the chain has come."""
    return [
        Picture("Accuracy over height", "chart", {"source": source, "columns": ["train", "test"], "unit": "%"}),
        Picture("Interval over height", "chart", {"source": source, "columns": ["interval", "target"], "unit": "s"}),
        Picture("Threshold over height", "chart", {"source": source, "columns": ["threshold"], "unit": ""}),
    ]


def block_row(snapshot: Snapshot, event: Event) -> list[Cell]:
    value = snapshot.site.kinds.value(event.contract, "gradient_block", event.args["height"])
    header = event.args["header"]
    is_opening = not header.get("proof")
    figures = (("trainPpm", "ppm"), ("testPpm", "ppm"), ("intervalS", "seconds"), ("threshold", "count"))
    return [
        Figure(value, "gradient_block", InEvent(event, ("height",))),
        arg(event, "header", "taskId", unit="gradient_task"),
        Said("opening: genesis weights") if is_opening else arg(event, "header", "miner", unit="address"),
        *(Said("—") if is_opening else arg(event, "header", name, unit=unit) for name, unit in figures),
        Said("—") if is_opening else arg(event, "header", "step", unit="count"),
        time_of(event),
    ]


def task_row(snapshot: Snapshot, event: Event) -> list[Cell]:
    value = snapshot.site.kinds.value(event.contract, "gradient_task", event.args["taskId"])
    view = fold_gradient_task(snapshot.read.events("gradient_task", value))
    return [
        Figure(value, "gradient_task", InEvent(event, ("taskId",))),
        arg(event, "client", unit="address"),
        _part(snapshot, view, "state", view.state, "gradient state"),
        _part(snapshot, view, "blocksDone", len(view.mined), "count"),
        arg(event, "budgetWei", unit="wei"),
        time_of(event),
    ]


def _part(snapshot: Snapshot, view: GradientTaskView, field: str, value: object, unit: str) -> Cell:
    """A field of the contract's struct, as the events have it."""
    return viewed(snapshot.site, value, unit, View(view.contract, "task", (view.task_id,), (field,)))


def gradient_task_page(snapshot: Snapshot, contents: Contents, value: str) -> Page | None:
    view = fold_gradient_task(snapshot.read.events("gradient_task", value))
    if view.submitted is None:
        return None
    blocks = [block_row(snapshot, each) for each in reversed(view.blocks[-_SHOWN:])]
    parts: list[Part] = [
        _terms(snapshot, view, view.submitted),
        *_charts(f"api/series/gradient?task={value}"),
        Table("Blocks", BLOCK_COLUMNS, blocks),
        *describe_gradient(contents, view.manifest),
        _cost(view, value),
    ]
    return Page(f"Gradient task {value}", "gradient-task", value, parts, feed=f"gradient-task/{value}/feed.atom")


def _terms(snapshot: Snapshot, view: GradientTaskView, event: Event) -> Facts:
    items: dict[str, Cell] = {
        "client": arg(event, "client", unit="address"),
        "state": _part(snapshot, view, "state", view.state, "gradient state"),
        "blocks so far": _part(snapshot, view, "blocksDone", len(view.mined), "count"),
        "budget": arg(event, "budgetWei", unit="wei"),
        "submitted": time_of(event),
    }
    for name, term in view.terms.items():
        proof = View(view.contract, "task", (view.task_id,), ("terms", name))
        items[words_of(name)] = viewed(snapshot.site, term, _UNITS.get(name, "count"), proof)
    if view.closed is not None:
        items["closed"] = time_of(view.closed)
        if "reason" in view.closed.args:
            items["stopped because"] = arg(view.closed, "reason", unit="stop reason")
        items["returned to the client"] = arg(view.closed, "refundWei", unit="wei")
    return Facts("Terms", items, "Terms: from a call when it was submitted.")


def _cost(view: GradientTaskView, value: str) -> Facts:
    """To the client, gas apart."""
    key = ("gradient_task", value)
    paid = sum(each.args["amountWei"] for each in view.money if each.name == "Deposited")
    back = [each for each in view.money if each.name == "Credited" and each.args["payee"] == view.client]
    returned = sum(each.args["amountWei"] for each in back)
    items: dict[str, Cell] = {
        "paid in": summed(("Deposited",), "amountWei", paid, "wei", key),
        "came back": Figure(returned, "wei", Rows("paid to", ("Credited",), key, view.client)),
        "cost so far": Figure(paid - returned, "wei", Rows("cost", ("Deposited", "Credited"), key, view.client)),
    }
    return Facts("Cost so far", items, "To the client, gas apart; what is still in escrow counts as spent.")


def gradient_series(snapshot: Snapshot, events: Sequence[Event]) -> dict[str, list[float | int | None]]:
    """For the charts: height, accuracies in percent, seconds of search and the aim, threshold."""
    series: dict[str, list[float | int | None]] = {
        name: [] for name in ("x", "train", "test", "interval", "target", "threshold")
    }
    targets: dict[str, int | None] = {}
    for event in (event for event in events if event.args["header"].get("proof")):
        header = event.args["header"]
        task = snapshot.site.kinds.value(event.contract, "gradient_task", header["taskId"])
        if task not in targets:
            submitted = snapshot.read.events("gradient_task", task, ["GradientTaskSubmitted"], 1)
            terms = submitted[0].derived.get("terms") if submitted else None
            targets[task] = (terms or {}).get("targetIntervalS")
        series["x"].append(event.args["height"])
        series["train"].append(header["trainPpm"] / 10_000)
        series["test"].append(header["testPpm"] / 10_000)
        series["interval"].append(header["intervalS"])
        series["target"].append(targets[task])
        series["threshold"].append(header["threshold"])
    return series
