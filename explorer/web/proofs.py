"""The proof of one figure in words and commands."""

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.chain.calls import View
from explorer.chain.events import Event
from explorer.figures import Figure, InEvent, Receipts, Rows
from explorer.site import Snapshot
from explorer.views.text import written

_SHOWN = 50
_RECEIPT_RULES = {
    "only": "It stands in the receipt of this transaction: {entry}.",
    "number": "It is the number of these {count:,} transactions, the newest of this step.",
    "median": "It is the median of {entry} in the receipts of these {count:,} transactions, the newest of this step.",
    "most": "It is the largest {entry} in the receipts of these {count:,} transactions, the newest of this step.",
}
_RULES = {
    "sum": "the sum of one amount in these events",
    "count": "the number of these events",
    "mean gap": "the mean time from one of these events to the next",
    "slot": "how many gaps between these events fall into this bin",
    "matching": "how many of these events have this value",
    "pot": "what came into this pot of the reservoir, less what left it",
    "credits": "what was credited, less what was withdrawn",
    "paid to": "the sum of these credits that went to this account",
    "cost": "what was paid in, less what this account got back",
    "won": "how many of these blocks this account won",
    "per second": "the reward over the time limit, which a call said at the submission, and all windows of a round",
    "member": "of how many of these ballots it was a member, as calls said when they were opened",
    "agreed": "in how many tallied ballots both digests are the same",
    "met": "in how many tallied ballots both revealed",
    "agreed of met": "in how many tallied ballots both digests are the same, of those in which both revealed",
}


@dataclass(frozen=True)
class Shown:
    """`commands` by heading; `events` of which there are `count`."""

    value: str
    raw: str
    said: str
    commands: Sequence[tuple[str, str]]
    events: Sequence[Event] = ()
    count: int = 0


def proof_of(snapshot: Snapshot, figure: Figure) -> Shown:
    """At the block to which the index has come."""
    value, raw, proof = written(figure.value, figure.unit), str(figure.value)[:500], figure.proof
    cursor = snapshot.read.cursor()
    block = 0 if cursor is None else cursor.number
    if isinstance(proof, View):
        part = ".".join(str(step) for step in proof.path)
        said = f"The contract {proof.contract} says it: {proof.function}" + (f", in its part {part}." if part else ".")
        views = snapshot.site.views
        return Shown(
            value, raw, said, [("foundry", views.as_cast(proof, block)), ("Python", views.as_python(proof, block))]
        )
    if isinstance(proof, Receipts):
        said = _RECEIPT_RULES[proof.rule].format(entry=proof.entry, count=len(proof.transactions))
        return Shown(value, raw, said, [("foundry", _receipts(proof))])
    if isinstance(proof, InEvent):
        return Shown(value, raw, "It stands in this event.", [], [proof.event], 1)
    events = rows_of(snapshot, proof)
    said = f"It is computed from events: {_RULES[proof.rule]}."
    address = f"/{snapshot.site.name}/api/events"
    query = "&".join(["limit=1000", *(f"name={name}" for name in proof.names)])
    query += f"&{proof.key[0]}={proof.key[1]}" if proof.key and proof.key[0] in ("account", "task", "round") else ""
    return Shown(value, raw, said, [("all rows", f"{address}?{query}")], events[-_SHOWN:], len(events))


def _receipts(proof: Receipts) -> str:
    asked = [f"cast receipt {each} {proof.entry} --rpc-url $RPC" for each in proof.transactions[:_SHOWN]]
    left = len(proof.transactions) - len(asked)
    return "\n".join([*asked, *([f"# and {left:,} more"] if left else [])])


def rows_of(snapshot: Snapshot, rows: Rows) -> list[Event]:
    """The events that a figure is computed from, in the order of the chain."""
    if rows.key is not None:
        found = snapshot.read.events(*rows.key, rows.names)
    else:
        found = list(reversed(snapshot.read.named(rows.names)))
    return [event for event in found if not rows.contract or event.contract == rows.contract]
