"""A figure and what proves it: a call, an event, or the rows that it is computed from."""

import itertools
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from explorer.chain.calls import Path, View
from explorer.chain.codec import checksummed
from explorer.chain.events import Event
from explorer.fold.totals import slot


@dataclass(frozen=True)
class InEvent:
    """The figure stands in an event; `path` is empty for its time."""

    event: Event
    path: Path


@dataclass(frozen=True)
class Rows:
    """The figure is computed by a rule from all events of these names with this key (of all, without one)."""

    rule: str
    names: tuple[str, ...]
    key: tuple[str, str] | None = None
    argument: str = ""
    contract: str = ""
    """Of this contract alone, where several have such events."""


@dataclass(frozen=True)
class Receipts:
    """The figure is computed by a rule from one entry of the receipts of these transactions."""

    rule: str
    entry: str
    transactions: tuple[str, ...]


Proof = View | InEvent | Rows | Receipts


@dataclass(frozen=True)
class Figure:
    """`unit` says how it is shown: wei, token, ppm, time, seconds, count, address, cid, hash, text, or a page."""

    value: Any
    unit: str
    proof: Proof


@dataclass(frozen=True)
class Said:
    """Words of ours, or a link to a page of ours; nothing to prove."""

    text: str
    link: str = ""


Cell = Figure | Said


@dataclass(frozen=True)
class Facts:
    """Labels and cells."""

    title: str
    items: Mapping[str, Cell]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """`more`: the address of the next rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    more: str = ""


@dataclass(frozen=True)
class Words:
    """Sentences."""

    title: str
    sentences: Sequence[str]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """Something that a template draws, named `kind`, from `data`; `words` say the same."""

    title: str
    kind: str
    data: Any
    words: str = ""
    note: str = ""


Part = Facts | Table | Words | Picture


@dataclass(frozen=True)
class Page:
    """`kind` and `id` are the end of its address."""

    title: str
    kind: str
    id: str
    parts: Sequence[Part]
    feed: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Every figure with its name, which is the same whenever the page is made from the same events."""
        for part in self.parts:
            for name, cell in _cells(part):
                if isinstance(cell, Figure):
                    yield f"{slug(part.title)}.{name}", cell


def _cells(part: Part) -> Iterator[tuple[str, Cell]]:
    if isinstance(part, Facts):
        for label, cell in part.items.items():
            yield slug(label), cell
    elif isinstance(part, Table):
        for number, row in enumerate(part.rows):
            for column, cell in zip(part.columns, row, strict=True):
                yield f"{number}.{slug(column)}", cell


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


# --- rules: how figures are computed from events; pages and the audit use the same functions --------------------------


def _sum(events: Sequence[Event], argument: str) -> int:
    return sum(int(event.args[argument]) for event in events)


def _count(events: Sequence[Event], _argument: str) -> int:
    return len(events)


def _blocks(events: Sequence[Event]) -> list[Event]:
    """Without the first one, which nobody made."""
    return [event for event in events if event.args["height"]]


def _mean_gap(events: Sequence[Event], _argument: str) -> int:
    """Mean seconds from a block to the next, rounded down."""
    blocks = _blocks(events)
    return (blocks[-1].time - blocks[0].time) // (len(blocks) - 1) if len(blocks) > 1 else 0


def _slot(events: Sequence[Event], argument: str) -> int:
    """How many gaps fall into this bin of the distribution."""
    gaps = [later.time - earlier.time for earlier, later in itertools.pairwise(_blocks(events))]
    return sum(slot(gap) == int(argument) for gap in gaps)


def _matching(events: Sequence[Event], argument: str) -> int:
    """How many have this value: `argument` is `name=value`."""
    name, _, value = argument.partition("=")
    return sum(str(event.args[name]) == value for event in events)


def _agreed(events: Sequence[Event], argument: str) -> int:
    """In how many ballots a verifier's digest was the outcome, or two verifiers' were equal: `argument` names them."""
    digests: dict[int, dict[str, str]] = {}
    for event in events:
        whose = "outcome" if event.name == "BallotTallied" else event.args["verifier"]
        digest = event.args["outcomeDigest" if event.name == "BallotTallied" else "digest"]
        digests.setdefault(event.args["ballotId"], {})[whose] = digest
    first, _, second = argument.partition(" ")
    return sum(
        found[first] == found[second]
        for found in digests.values()
        if first in found and second in found and "outcome" in found
    )


def _met(events: Sequence[Event], argument: str) -> int:
    """In how many tallied ballots both revealed."""
    revealed: dict[int, set[str]] = {}
    for event in events:
        whose = "outcome" if event.name == "BallotTallied" else event.args["verifier"]
        revealed.setdefault(event.args["ballotId"], set()).add(whose)
    wanted = {*argument.split(" "), "outcome"}
    return sum(wanted <= found for found in revealed.values())


def _pot(events: Sequence[Event], argument: str) -> int:
    """What is left in a pot of the reservoir."""
    pot, left_wei = int(argument), 0
    for event in events:
        amount_wei = event.args["amountWei"]
        to = event.args["pot"] if event.name == "Deposited" else event.args.get("toPot")
        left_wei += amount_wei if to == pot else 0
        left_wei -= amount_wei if event.name != "Deposited" and event.args["pot"] == pot else 0
    return left_wei


def _credits(events: Sequence[Event], _argument: str) -> int:
    """What was credited and not yet withdrawn."""
    return sum(event.args["amountWei"] * (1 if event.name == "Credited" else -1) for event in events)


def _paid_to(events: Sequence[Event], argument: str) -> int:
    """What was credited to one account."""
    return sum(int(event.args["amountWei"]) for event in events if event.args.get("payee") == argument)


def _cost(events: Sequence[Event], argument: str) -> int:
    """What was paid in, less what one account got back."""
    paid_wei = sum(event.args["amountWei"] for event in events if event.name == "Deposited")
    return int(paid_wei) - _paid_to(events, argument)


def _won(events: Sequence[Event], argument: str) -> int:
    """How many blocks an account won."""
    return sum(event.args["header"].get("winner") == argument for event in events)


def _agreed_of_met(events: Sequence[Event], argument: str) -> str:
    """Of two verifiers: in how many tallied ballots both revealed, and the same."""
    return f"{_agreed(events, argument)} of {_met(events, argument)}"


def _per_second(events: Sequence[Event], argument: str) -> int:
    """A task's reward over its time limit, which a call said when it was submitted, and all windows of a round, which
    are the argument; 0 where the limit is not known.
    """
    limit = (events[0].derived.get("terms") or {}).get("timeLimitS", 0) if events else 0
    return int(events[-1].args.get("rewardWei", 0)) // (limit + int(argument)) if limit else 0


def _member(events: Sequence[Event], argument: str) -> int:
    """Of how many ballots an account was a member, as calls said when they were opened."""
    return sum(argument in (event.derived.get("members") or ()) for event in events)


RULES: Mapping[str, Callable[[Sequence[Event], str], Any]] = {
    "sum": _sum,
    "count": _count,
    "mean gap": _mean_gap,
    "slot": _slot,
    "matching": _matching,
    "pot": _pot,
    "paid to": _paid_to,
    "cost": _cost,
    "won": _won,
    "per second": _per_second,
    "member": _member,
    "credits": _credits,
    "agreed": _agreed,
    "agreed of met": _agreed_of_met,
}


RECEIPT_RULES: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "only": lambda entries: entries[0],
    "number": len,
    "median": lambda entries: round(statistics.median(entries)),
    "most": max,
}


def from_receipts(proof: Receipts, receipts: Sequence[Mapping[str, Any]]) -> Any:
    """The figure that these receipts, as a node gives them, prove."""
    read = checksummed if proof.entry == "from" else lambda entry: int(entry, 16)
    return RECEIPT_RULES[proof.rule]([read(receipt[proof.entry]) for receipt in receipts])


def computed(rule: str, events: Sequence[Event], argument: str = "") -> Any:
    return RULES[rule](events, argument)
