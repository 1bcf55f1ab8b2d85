"""The gradient chain: accuracy and interval over height, threshold, proposals; its tasks and its blocks."""

from explorer.chain.calls import View
from explorer.chain.events import Event
from explorer.contents import Contents
from explorer.figures import Cell, Facts, Figure, InEvent, Page, Part, Picture, Said, Table
from explorer.fold.folding import name_of
from explorer.fold.gradient import HeightView, fold_gradient_task, fold_height
from explorer.site import Snapshot
from explorer.views.cells import NOTHING, arg, time_of, viewed
from explorer.views.manifests import describe_gradient
from explorer.views.rounds import votes_table
from pole.chain.gradient_structs import HeightPhase

_SHOWN = 50
_UNITS = {
    "height": "count",
    "taskId": "gradient_task",
    "miner": "address",
    "previousHash": "hash",
    "weights": "cid",
    "proof": "cid",
    "intervalS": "seconds",
    "trainPpm": "ppm",
    "testPpm": "ppm",
    "anchorHash": "hash",
    "timestamp": "time",
    "blockRewardWei": "wei",
    "manifest": "cid",
    "genesisWeights": "cid",
    "targetTestPpm": "ppm",
    "targetIntervalS": "seconds",
    "blockTimeLimitS": "seconds",
}
BLOCK_COLUMNS = ("height", "task", "miner", "training", "test", "interval", "threshold", "step", "time")
TASK_COLUMNS = ("task", "client", "budget", "submitted")


def gradient_page(snapshot: Snapshot) -> Page:
    events = snapshot.read.named(["GradientBlockAppended"], _SHOWN)
    tasks = snapshot.read.named(["GradientTaskSubmitted"], _SHOWN)
    series = "api/series/gradient"
    parts: list[Part] = [
        Picture("Accuracy over height", "chart", {"source": series, "columns": ["train", "test"], "unit": "%"}),
        Picture("Interval over height", "chart", {"source": series, "columns": ["interval"], "unit": "s"}),
        Picture("Threshold over height", "chart", {"source": series, "columns": ["threshold"], "unit": ""}),
        Table("Blocks", BLOCK_COLUMNS, [block_row(snapshot, event) for event in events if event.args["height"]]),
        Table("Tasks", TASK_COLUMNS, [task_row(event) for event in tasks]),
    ]
    return Page("Gradient chain", "gradient", "", parts)


def block_row(snapshot: Snapshot, event: Event) -> list[Cell]:
    value = snapshot.site.kinds.value(event.contract, "gradient_block", event.args["height"])
    header = event.args["header"]
    is_opening = not header.get("proof")
    return [
        Figure(value, "gradient_block", InEvent(event, ("height",))),
        arg(event, "header", "taskId", unit="gradient_task"),
        Said("opening: genesis weights") if is_opening else arg(event, "header", "miner", unit="address"),
        arg(event, "header", "trainPpm", unit="ppm"),
        arg(event, "header", "testPpm", unit="ppm"),
        arg(event, "header", "intervalS", unit="seconds"),
        arg(event, "header", "threshold", unit="count"),
        arg(event, "header", "step", unit="count"),
        time_of(event),
    ]


def task_row(event: Event) -> list[Cell]:
    return [
        arg(event, "taskId", unit="gradient_task"),
        arg(event, "client", unit="address"),
        arg(event, "budgetWei", unit="wei"),
        time_of(event),
    ]


def gradient_task_page(snapshot: Snapshot, contents: Contents, value: str) -> Page | None:
    view = fold_gradient_task(snapshot.read.events("gradient_task", value))
    if view.submitted is None:
        return None
    site, event, one = snapshot.site, view.submitted, (view.task_id,)
    items: dict[str, Cell] = {
        "client": arg(event, "client", unit="address"),
        "budget": arg(event, "budgetWei", unit="wei"),
        "submitted": time_of(event),
        "state": viewed(site, view.state, "gradient state", View(view.contract, "task", one, ("state",))),
        **{
            _words(name): viewed(
                site, term, _UNITS.get(name, "count"), View(view.contract, "task", one, ("terms", name))
            )
            for name, term in view.terms.items()
        },
    }
    if view.closed is not None:
        items["returned to the client"] = arg(view.closed, "refundWei", unit="wei")
    blocks = [block_row(snapshot, each) for each in reversed(view.blocks[-_SHOWN:])]
    note = "Terms: from a call when it was submitted."
    parts: list[Part] = [Facts("Terms", items, note), *describe_gradient(contents, view.manifest)]
    return Page(f"Gradient task {value}", "gradient-task", value, [*parts, Table("Blocks", BLOCK_COLUMNS, blocks)])


def gradient_block_page(snapshot: Snapshot, value: str) -> Page | None:
    label, height = snapshot.site.kinds.lane(value, is_gradient=True)
    view = fold_height(snapshot.read.events("gradient_block", value))
    if not view.events:
        return None
    parts: list[Part] = [_header(snapshot, view, label, height), _proposals(view)]
    parts += [votes_table(snapshot, ballot) for _, ballot in sorted(view.ballots.items())]
    return Page(f"Gradient block {value}", "gradient-block", value, parts)


def _header(snapshot: Snapshot, view: HeightView, label: str, height: int) -> Facts:
    if view.block is None:
        return Facts(
            "Height", {"phase": Said(name_of(HeightPhase, view.phase))}, "There is no block of this height yet."
        )
    items: dict[str, Cell] = {
        _words(name): viewed(
            snapshot.site,
            value,
            _UNITS.get(name, "count"),
            View(label, "header", (height,), (name,)),
            InEvent(view.block, ("header", name)),
        )
        for name, value in view.block.args["header"].items()
    }
    return Facts("Header", {"hash": arg(view.block, "headerHash", unit="hash"), **items})


def _proposals(view: HeightView) -> Table:
    rows: list[list[Cell]] = [
        [
            arg(event, "miner", unit="address"),
            arg(event, "proposal", "step", unit="count"),
            arg(event, "proposal", "signDigest", unit="count"),
            arg(event, "proposal", "threshold", unit="count"),
            arg(event, "proposal", "proof", unit="cid"),
            time_of(event),
            _fate(view, event),
        ]
        for event in view.proposals
    ]
    columns = ("miner", "step", "sign digest", "threshold", "proof", "proposed", "fate")
    return Table("Proposals", columns, rows, note="" if rows else "None.")


def _fate(view: HeightView, event: Event) -> Cell:
    miner = event.args["miner"]
    for slashed in view.slashed:
        if slashed.args["miner"] == miner and slashed.id > event.id:
            return arg(slashed, "amountWei", unit="wei lost")
    if any(displaced.args["miner"] == miner and displaced.id > event.id for displaced in view.displaced):
        return Said("displaced by a higher bond")
    if view.block is not None and view.block.args["header"].get("miner") == miner:
        return Said("the block")
    return NOTHING


def _words(name: str) -> str:
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return words.replace(" ppm", " score").replace(" id", "").replace(" wei", "").removesuffix(" s")
