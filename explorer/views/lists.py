"""Lists of tasks, rounds and blocks; one transaction, one event, one content."""

from collections.abc import Sequence
from typing import Any

from explorer.chain.events import LOG_BITS, Event
from explorer.figures import Cell, Facts, Figure, InEvent, Page, Part, Receipts, Said, Table, Words
from explorer.fold.tasks import fold_task
from explorer.site import Snapshot
from explorer.views.cells import arg, time_of
from explorer.views.now import BLOCK_COLUMNS, TASK_COLUMNS, block_row, task_row
from explorer.views.rounds import ROUND_COLUMNS, round_row

AT_ONCE = 25
_EVENTS = 300


def tasks_page(snapshot: Snapshot, before: int | None = None) -> Page:
    events, more = _some(snapshot, "TaskSubmitted", before, "tasks")
    rows = [
        task_row(snapshot, fold_task(snapshot.read.events("task", str(event.args["taskId"]), limit=100)))
        for event in events
    ]
    return Page("Tasks", "tasks", "", [Table("Tasks", TASK_COLUMNS, rows, more=more)])


def rounds_list(snapshot: Snapshot, before: int | None = None) -> Page:
    events, more = _some(snapshot, "RoundOpened", before, "rounds")
    return Page(
        "Rounds", "rounds", "", [Table("Rounds", ROUND_COLUMNS, [round_row(snapshot, e) for e in events], more=more)]
    )


def blocks_page(snapshot: Snapshot, before: int | None = None) -> Page:
    events, more = _some(snapshot, "BlockAppended", before, "blocks")
    rows = [block_row(snapshot, event) for event in events if event.args["height"]]
    return Page("Blocks", "blocks", "", [Table("Blocks", BLOCK_COLUMNS, rows, more=more)])


def _some(snapshot: Snapshot, name: str, before: int | None, address: str) -> tuple[list[Event], str]:
    found = snapshot.read.named([name], AT_ONCE + 1, before)
    more = f"{address}?before={found[AT_ONCE - 1].id}" if len(found) > AT_ONCE else ""
    return found[:AT_ONCE], more


def transaction_page(snapshot: Snapshot, hash_: str) -> Page | None:
    events = snapshot.read.of_transaction(hash_)
    if not events:
        return None
    found = snapshot.read.transactions([hash_]).get(hash_)
    items: dict[str, Cell] = {
        "hash": Said(hash_),
        "block": Said(f"{events[0].block:,}"),
        "time": time_of(events[0]),
    }
    if found is None or found.sender is None or found.gas_used is None or found.gas_price is None:
        items["sender"] = Said("not read yet; look again in a moment")
    else:
        items["sender"] = Figure(found.sender, "address", Receipts("only", "from", (hash_,)))
        items["step"] = Said(found.step or "a call of another contract")
        items["gas used"] = Figure(found.gas_used, "count", Receipts("only", "gasUsed", (hash_,)))
        items["gas price"] = Figure(found.gas_price, "gas price", Receipts("only", "effectiveGasPrice", (hash_,)))
    shown = events[:_EVENTS]
    rows: list[list[Cell]] = [[Said(f"{e.contract}.{e.name}", f"event/{e.id}"), Said(_summary(e))] for e in shown]
    note = f"The first {_EVENTS} of {len(events)}." if len(events) > _EVENTS else ""
    parts: list[Part] = [
        Facts("The transaction", items),
        _check(hash_),
        Table("Events", ("event", "says"), rows, note),
    ]
    return Page("Transaction", "tx", hash_, parts)


def _check(hash_: str) -> Words:
    return Words("Check it yourself", [f"cast receipt {hash_} --rpc-url $RPC"])


def _summary(event: Event) -> str:
    said = ", ".join(f"{name} {value}" for name, value in event.args.items() if not isinstance(value, dict | list))
    return said[:300]


def event_page(snapshot: Snapshot, value: str) -> Page | None:
    """`value`: an event's id."""
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        return None
    found = [event for event in snapshot.read.after(int(value) - 1, 1) if event.id == int(value)]
    if not found:
        return None
    [event] = found
    items: dict[str, Cell] = {
        "contract": Said(f"{event.contract} at {snapshot.site.deployment.contracts[event.contract].address}"),
        "event": Said(event.name),
        "transaction": Said(event.transaction, f"tx/{event.transaction}"),
        "block": Said(f"{event.block:,}"),
        "position among the block's logs": Said(str(event.id & ((1 << LOG_BITS) - 1))),
        "time": time_of(event),
    }
    rows: list[list[Cell]] = [
        [Said(".".join(map(str, path))), Figure(leaf, "text", InEvent(event, path))]
        for path, leaf in leaves(event.args)
    ]
    derived = [Said(f"{name}: {value!r}"[:300]) for name, value in event.derived.items()]
    parts: list[Part] = [
        Facts("The event", items),
        _check(event.transaction),
        Table("Says", ("name", "value"), rows[:_EVENTS]),
    ]
    if derived:
        parts.append(
            Table("Not in the event: from calls or calldata", ("derived",), [[each] for each in derived[:_EVENTS]])
        )
    return Page(f"Event {event.name}", "event", value, parts)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """Every value that is no dictionary or list, with the way to it."""
    if isinstance(value, dict):
        return [leaf for name, each in value.items() for leaf in leaves(each, (*path, name))]
    if isinstance(value, list):
        return [leaf for position, each in enumerate(value) for leaf in leaves(each, (*path, position))]
    return [(path, value)]


def content_page(snapshot: Snapshot, cid: str) -> Page | None:
    """Which events name a content."""
    return _naming(snapshot, "cid", cid, f"Content {cid}")


def hash_page(snapshot: Snapshot, value: str) -> Page | None:
    return _naming(snapshot, "hash", value, f"Hash {value}")


def _naming(snapshot: Snapshot, kind: str, value: str, title: str) -> Page | None:
    events: Sequence[Event] = snapshot.read.newest(kind, value, 100)
    if not events:
        return None
    rows: list[list[Cell]] = [
        [time_of(e), Said(f"{e.contract}.{e.name}", f"event/{e.id}"), *_subject(e, snapshot)] for e in events
    ]
    return Page(title, kind, value, [Table("Named by", ("time", "event", "of"), rows)])


def _subject(event: Event, snapshot: Snapshot) -> list[Cell]:
    for kind, value in snapshot.read.keys_of(event.id):
        if kind in ("round", "task", "gradient_block", "gradient_task"):
            return [Said(f"{kind.replace('_', ' ')} {value}", f"{kind.replace('_', '-')}/{value}")]
    return [arg(event, next(iter(event.args)))] if event.args else [Said("")]
