"""Replays all proofs: events against the chain's logs, calls at the indexed block, sums from their rows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from explorer.chain.calls import View, at
from explorer.chain.events import Decoder, Event
from explorer.chain.node import Node, RangeRefused
from explorer.contents import Contents
from explorer.figures import Figure, InEvent, Receipts, Rows, Table, computed, from_receipts
from explorer.pages import WHOLE, Place, make_page
from explorer.site import Site, Snapshot
from explorer.web.proofs import rows_of
from pole.errors import TransientChainError

_SINGLE = {
    "task": "task",
    "round": "round",
    "block": "block",
    "account": "account",
    "gradient_task": "gradient-task",
    "gradient_block": "gradient-block",
}
_SPAN, _CALLS = 2_000, 500


@dataclass
class Report:
    """What was replayed, by kind of proof, and what disagreed."""

    replayed: Counter[str] = field(default_factory=Counter)
    disagreements: list[str] = field(default_factory=list)
    receipts: dict[str, Any] = field(default_factory=dict)
    """By transaction, as the node gave them: many figures rest on the same."""

    def receipts_of(self, node: Node, hashes: Sequence[str]) -> list[Any]:
        """In the order of the hashes; anything but a mapping for one that is not on the chain."""
        missing = [each for each in dict.fromkeys(hashes) if each not in self.receipts]
        answers = node.batch([("eth_getTransactionReceipt", [each]) for each in missing])
        self.receipts.update(zip(missing, answers, strict=True))
        return [self.receipts[each] for each in hashes]

    @property
    def text(self) -> str:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.replayed.items()))
        return f"{counts or 'nothing'}: {len(self.disagreements)} disagreements"


def audit_site(site: Site) -> Report:
    """At the block to which the index has come; nothing may be written to it meanwhile."""
    report = Report()
    with site.snapshot() as snapshot:
        _check_events(snapshot, report)
        waiting: list[tuple[str, Figure, View]] = []
        for name, figure in _figures(snapshot):
            if isinstance(figure.proof, View):
                waiting.append((name, figure, figure.proof))
                if len(waiting) >= _CALLS:
                    _check_calls(snapshot, report, waiting)
                    waiting = []
            elif isinstance(figure.proof, Receipts):
                _check_receipts(snapshot, report, name, figure, figure.proof)
            else:
                _check_rows(snapshot, report, name, figure)
        _check_calls(snapshot, report, waiting)
    return report


def _figures(snapshot: Snapshot) -> Iterator[tuple[str, Figure]]:
    """Of all pages; lists and accounts to their ends."""
    contents = Contents(None)
    try:
        for kind in WHOLE:
            yield from _of_page(snapshot, contents, Place(kind))
        for kind, page in _SINGLE.items():
            for value in snapshot.read.values(kind):
                yield from _of_page(snapshot, contents, Place(page, value))
    finally:
        contents.close()


def _of_page(snapshot: Snapshot, contents: Contents, place: Place) -> Iterator[tuple[str, Figure]]:
    while True:
        page = make_page(snapshot, contents, place)
        if page is None:
            return
        for name, figure in page.figures():
            yield f"{place.kind}/{place.id}#{name}", figure
        links = [part.more for part in page.parts if isinstance(part, Table)]
        more = next((link for link in links if link.partition("?")[0] == _address(place)), "")
        if not more:
            return
        place = Place(place.kind, place.id, int(more.rpartition("=")[2]))


def _address(place: Place) -> str:
    return f"{place.kind}/{place.id}" if place.id else place.kind


def _check_events(snapshot: Snapshot, report: Report) -> None:
    """The index has exactly the events that the chain has."""
    cursor = snapshot.read.cursor()
    if cursor is None:
        return
    ours = {event.id: event for event in snapshot.read.after()}
    theirs = {event.id: event for event in _from_chain(snapshot.site, cursor.number)}
    report.replayed["events"] += len(theirs)
    for id_ in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(id_), theirs.get(id_)
        if one is None or other is None:
            report.disagreements.append(f"event {id_} is only {'on the chain' if one is None else 'in the index'}")
        elif (one.transaction, one.contract, one.name, one.args) != (
            other.transaction,
            other.contract,
            other.name,
            other.args,
        ):
            report.disagreements.append(f"event {id_} ({one.name}) is another one on the chain ({other.name})")
    _check_times(snapshot, report, list(ours.values()))
    _check_transactions(snapshot, report, list(dict.fromkeys(event.transaction for event in ours.values())))


def _from_chain(site: Site, last: int) -> Iterator[Event]:
    """Read anew."""
    decoder, first, span = Decoder(site.deployment), 0, _SPAN
    while first <= last:
        try:
            logs = site.node.logs(decoder.addresses, first, min(last, first + span - 1))
        except RangeRefused:
            if span == 1:
                raise
            span = max(1, span // 2)
            continue
        first += span
        yield from (event for event in map(decoder.decode, logs) if event is not None)


def _check_times(snapshot: Snapshot, report: Report, events: Sequence[Event]) -> None:
    found = sorted({(event.block, event.time) for event in events})
    for (number, time), header in zip(found, snapshot.site.node.headers([each for each, _ in found]), strict=True):
        report.replayed["block times"] += 1
        if header is None or header.timestamp != time:
            report.disagreements.append(f"block {number} has another time on the chain")


def _check_transactions(snapshot: Snapshot, report: Report, hashes: Sequence[str]) -> None:
    """Sender, gas and its price, where they were read already: the figures of a transaction's page."""
    stored = snapshot.read.transactions(hashes)
    known = [each for each in stored.values() if each.sender is not None]
    receipts = report.receipts_of(snapshot.site.node, [each.hash for each in known])
    for each, receipt in zip(known, receipts, strict=True):
        report.replayed["receipts"] += 1
        entries = ("gasUsed", "effectiveGasPrice")
        found = (receipt["from"], *(int(receipt[e], 16) for e in entries)) if isinstance(receipt, dict) else None
        if found != (str(each.sender).lower(), each.gas_used, each.gas_price):
            report.disagreements.append(f"transaction {each.hash} has another sender, gas or price on the chain")


def _check_calls(snapshot: Snapshot, report: Report, waiting: Sequence[tuple[str, Figure, View]]) -> None:
    cursor, site = snapshot.read.cursor(), snapshot.site
    if cursor is None or not waiting:
        return
    requests = [site.views.request(view, hex(cursor.number)) for _, _, view in waiting]
    for (name, figure, view), answer in zip(waiting, site.node.batch(requests), strict=True):
        report.replayed["calls"] += 1
        found = site.views.result(view, answer)
        if not _is_same(figure.value, found):
            report.disagreements.append(
                f"{name} says {figure.value}, {site.views.as_cast(view, cursor.number)} says {found}"
            )
    header = site.node.header(cursor.number)
    if header is None or header.hash != cursor.hash:
        raise TransientChainError("the chain was reorganised during the audit; run it again")


def _check_receipts(snapshot: Snapshot, report: Report, name: str, figure: Figure, proof: Receipts) -> None:
    """From the node's receipts."""
    report.replayed["figures from receipts"] += 1
    receipts = report.receipts_of(snapshot.site.node, proof.transactions)
    if not all(isinstance(each, dict) for each in receipts):
        report.disagreements.append(f"{name} rests on transactions that are not on the chain")
    elif (found := from_receipts(proof, receipts)) != figure.value:
        report.disagreements.append(f"{name} says {figure.value}, its receipts say {found}")


def _is_same(ours: object, theirs: object) -> bool:
    """A key of a second lane has the lane's name behind the number."""
    return ours == theirs or (isinstance(ours, str) and str(theirs) == ours.partition("@")[0])


def _check_rows(snapshot: Snapshot, report: Report, name: str, figure: Figure) -> None:
    """From events, which were compared with the chain."""
    if isinstance(figure.proof, InEvent):
        report.replayed["figures in events"] += 1
        event, path = figure.proof.event, figure.proof.path
        found = at(event.args, path) if path else event.time
        is_same = _is_same(figure.value, found)
    else:
        assert isinstance(figure.proof, Rows)
        report.replayed["figures from rows"] += 1
        found = computed(figure.proof.rule, rows_of(snapshot, figure.proof), figure.proof.argument)
        is_same = figure.value == found
    if not is_same:
        report.disagreements.append(f"{name} says {figure.value}, its events say {found}")
