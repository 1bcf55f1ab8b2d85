"""One height of the gradient chain: its header, proposals, votes, and where the money went."""

from collections.abc import Sequence

from explorer.chain.calls import View
from explorer.figures import Cell, Facts, InEvent, Page, Part, Said, Table, Words
from explorer.fold.gradient import HeightView, Proposal, fold_height
from explorer.site import Snapshot
from explorer.views.cells import NOTHING, arg, time_of, viewed, words_of
from explorer.views.heights import fate, height_reasons, outcome_of_height
from explorer.views.rounds import money_parts, votes_table, why_table

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
}
_COLUMNS = ("miner", "step", "sign digest", "threshold", "proof", "weights", "proposed", "what became of it")


def gradient_block_page(snapshot: Snapshot, value: str) -> Page | None:
    label, height = snapshot.site.kinds.lane(value, is_gradient=True)
    view = fold_height(snapshot.read.events("gradient_block", value))
    if not view.events:
        return None
    outcome = outcome_of_height(view)
    sentence = f"Height {value} {'is ' if outcome.startswith('in ') else ''}{outcome}."
    parts: list[Part] = [Words("In a sentence", [sentence])]
    if view.block is not None:
        parts.append(_header(snapshot, view, label, height))
    parts.append(proposals_table(view.proposals, "Proposals", "", view))
    parts += [votes_table(snapshot, ballot) for _, ballot in sorted(view.ballots.items())]
    accounts = [each.miner for each in view.proposals]
    accounts += [verifier for ballot in view.ballots.values() for verifier in ballot.votes]
    parts.append(why_table({each: height_reasons(view, each) for each in dict.fromkeys(accounts)}))
    return Page(f"Gradient block {value}", "gradient-block", value, [*parts, *money_parts(snapshot, view)])


def _header(snapshot: Snapshot, view: HeightView, label: str, height: int) -> Facts:
    assert view.block is not None
    items: dict[str, Cell] = {
        words_of(name): viewed(
            snapshot.site,
            value,
            _UNITS.get(name, "count"),
            View(label, "header", (height,), (name,)),
            InEvent(view.block, ("header", name)),
        )
        for name, value in view.block.args["header"].items()
    }
    return Facts("Header", {"hash": arg(view.block, "headerHash", unit="hash"), **items})


def proposals_table(proposals: Sequence[Proposal], title: str, note: str, view: HeightView | None = None) -> Table:
    rows: list[list[Cell]] = [
        [
            arg(each.event, "miner", unit="address"),
            arg(each.event, "proposal", "step", unit="count"),
            arg(each.event, "proposal", "signDigest", unit="count"),
            arg(each.event, "proposal", "threshold", unit="count"),
            arg(each.event, "proposal", "proof", unit="cid"),
            arg(each.event, "proposal", "weights", unit="cid"),
            time_of(each.event),
            NOTHING if view is None else Said(fate(view, each)),
        ]
        for each in proposals
    ]
    return Table(title, _COLUMNS, rows, note)
