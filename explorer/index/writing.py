"""What changes an index: one transaction for each range of blocks, and for each step back."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from explorer.chain.events import Event, id_from
from explorer.chain.lanes import Kinds
from explorer.chain.node import Header
from explorer.index.keys import PARTS, Key, accounts_of, keys_of, owned_by


@dataclass(frozen=True)
class Range:
    """What was read: `last` is the header of the last block, `headers` those whose hashes are kept."""

    last: Header
    head: int
    finalized: int
    headers: Sequence[Header]
    events: Sequence[Event]


@dataclass(frozen=True)
class Cursor:
    """How far an index has come; `head` and `finalized` as of that moment."""

    number: int
    hash: str
    time: int
    head: int
    finalized: int


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def read_cursor(connection: sqlite3.Connection) -> Cursor | None:
    row = connection.execute("SELECT number, hash, time, head, finalized FROM cursor").fetchone()
    return None if row is None else Cursor(*row)


def append(connection: sqlite3.Connection, found: Range, kinds: Kinds) -> None:
    """Write one range and its cursor, and let go of hashes that can no longer change."""
    with transaction(connection):
        _write_blocks(connection, found)
        _write_events(connection, found.events, kinds)
        _write_cursor(connection, found)
        connection.execute("DELETE FROM blocks WHERE has_events = 0 AND number < ?", (found.finalized,))


def cut(connection: sqlite3.Connection, above: int, hash_: str, time: int) -> None:
    """Forget every block above this one, which is the cursor again."""
    first = id_from(above + 1)
    with transaction(connection):
        connection.execute("DELETE FROM events WHERE id >= ?", (first,))
        connection.execute("DELETE FROM keys WHERE event >= ?", (first,))
        connection.execute("DELETE FROM parts WHERE first_event >= ?", (first,))
        connection.execute("DELETE FROM transactions WHERE block > ?", (above,))
        connection.execute("DELETE FROM blocks WHERE number > ?", (above,))
        connection.execute("UPDATE cursor SET number = ?, hash = ?, time = ?", (above, hash_, time))


def _write_blocks(connection: sqlite3.Connection, found: Range) -> None:
    busy = {event.block for event in found.events}
    rows = [(each.number, each.hash, each.timestamp, each.number in busy) for each in found.headers]
    connection.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)", rows)


def _write_cursor(connection: sqlite3.Connection, found: Range) -> None:
    last = found.last
    row = (last.number, last.hash, last.timestamp, found.head, found.finalized)
    connection.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?, ?, ?, ?, ?)", row)


def _write_events(connection: sqlite3.Connection, events: Sequence[Event], kinds: Kinds) -> None:
    owners: dict[Key, list[Key]] = {}

    def owner_of(key: Key) -> list[Key]:
        if key not in owners:
            owners[key] = _stored_owner(connection, key)
        return owners[key]

    keys, parts = [], []
    for _, group in groupby(events, key=lambda event: event.transaction):
        together = list(group)
        for event, found in zip(together, keys_of(together, kinds, owner_of), strict=True):
            keys += [(kind, value, event.id, event.name) for kind, value in found]
            owner = [key for key in found if key[0] in PARTS]
            parts += [(account, *each, event.id) for account in accounts_of(found) for each in owner]
            owners.update(owned_by(event, found))
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", map(_row, events))
    connection.executemany("INSERT INTO keys VALUES (?, ?, ?, ?)", keys)
    connection.executemany("INSERT OR IGNORE INTO parts VALUES (?, ?, ?, ?)", parts)
    transactions = {(event.transaction, event.block) for event in events}
    connection.executemany("INSERT INTO transactions (hash, block) VALUES (?, ?)", transactions)


def _stored_owner(connection: sqlite3.Connection, key: Key) -> list[Key]:
    """From the newest event that says so."""
    name, owners = ("BallotOpened", PARTS) if key[0] == "ballot" else ("HeightPhaseChanged", ("gradient_task",))
    wanted = ",".join("?" * len(owners))
    found = connection.execute(
        "SELECT theirs.kind, theirs.value FROM keys ours JOIN keys theirs "  # noqa: S608, placeholders alone
        f"ON theirs.event = ours.event AND theirs.kind IN ({wanted}) "
        "WHERE ours.kind = ? AND ours.value = ? AND ours.name = ? ORDER BY ours.event DESC LIMIT 1",
        (*owners, *key, name),
    )
    return [(kind, value) for kind, value in found]


def _row(event: Event) -> tuple[object, ...]:
    args, derived = json.dumps(event.args), json.dumps(event.derived) if event.derived else "{}"
    return event.id, event.transaction, event.contract, event.name, args, event.time, derived
