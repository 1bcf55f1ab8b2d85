"""What pages, API and audit ask of an index; a reader sees one state of it, whatever is written meanwhile."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.chain.events import LOG_BITS, Event
from explorer.index.schema import open_index
from explorer.index.writing import Cursor, read_cursor

_COLUMNS = "e.id, e.tx, e.contract, e.name, e.args, e.time, e.derived"


@dataclass(frozen=True)
class Transaction:
    """`sender` and what follows is None until the indexer has come to it."""

    hash: str
    block: int
    sender: str | None
    recipient: str | None
    step: str | None
    gas_used: int | None
    gas_price: int | None


class Reader:
    """One state of an index."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cursor(self) -> Cursor | None:
        return read_cursor(self._connection)

    def events(self, kind: str, value: str, names: Sequence[str] = (), limit: int = -1) -> list[Event]:
        """Of one key, in the order of the chain."""
        wanted = f"AND k.name IN ({','.join('?' * len(names))})" if names else ""
        return self._events(
            f"SELECT {_COLUMNS} FROM keys k JOIN events e ON e.id = k.event "  # noqa: S608, placeholders alone
            f"WHERE k.kind = ? AND k.value = ? {wanted} ORDER BY k.event LIMIT ?",
            (kind, value, *names, limit),
        )

    def newest(
        self, kind: str, value: str, limit: int, before: int | None = None, names: Sequence[str] = ()
    ) -> list[Event]:
        """Of one key, the newest first, from one event on."""
        wanted = f"AND k.name IN ({','.join('?' * len(names))})" if names else ""
        return self._events(
            f"SELECT {_COLUMNS} FROM keys k JOIN events e ON e.id = k.event "  # noqa: S608
            f"WHERE k.kind = ? AND k.value = ? AND k.event < ? {wanted} ORDER BY k.event DESC LIMIT ?",
            (kind, value, _MAX if before is None else before, *names, limit),
        )

    def named(self, names: Sequence[str], limit: int = -1, before: int | None = None) -> list[Event]:
        """Events of these names, the newest first."""
        return self._events(
            f"SELECT {_COLUMNS} FROM events e WHERE e.name IN ({','.join('?' * len(names))}) AND e.id < ? "  # noqa: S608
            "ORDER BY e.id DESC LIMIT ?",
            (*names, _MAX if before is None else before, limit),
        )

    def after(self, event: int = -1, limit: int = -1) -> Iterator[Event]:
        """All events after one, in the order of the chain."""
        yield from map(
            _event,
            self._connection.execute(
                f"SELECT {_COLUMNS} FROM events e WHERE e.id > ? ORDER BY e.id LIMIT ?",  # noqa: S608
                (event, limit),
            ),
        )

    def all_newest(self, limit: int, before: int | None = None) -> list[Event]:
        return self._events(
            f"SELECT {_COLUMNS} FROM events e WHERE e.id < ? ORDER BY e.id DESC LIMIT ?",  # noqa: S608
            (_MAX if before is None else before, limit),
        )

    def firsts(self, limit: int, before: int | None = None) -> list[Event]:
        """The first event of each transaction, the newest first."""
        return self._events(
            f"SELECT {_COLUMNS} FROM events e WHERE e.id < ? "  # noqa: S608
            "AND NOT EXISTS (SELECT 1 FROM events f WHERE f.tx = e.tx AND f.id < e.id) ORDER BY e.id DESC LIMIT ?",
            (_MAX if before is None else before, limit),
        )

    def of_transaction(self, hash_: str) -> list[Event]:
        return self._events(f"SELECT {_COLUMNS} FROM events e WHERE e.tx = ? ORDER BY e.id", (hash_,))  # noqa: S608

    def has(self, kind: str, value: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM keys WHERE kind = ? AND value = ? LIMIT 1", (kind, value))
        return found.fetchone() is not None

    def keys_of(self, event: int) -> list[tuple[str, str]]:
        found = self._connection.execute("SELECT kind, value FROM keys WHERE event = ? ORDER BY kind, value", (event,))
        return [(kind, value) for kind, value in found]

    def payers(self, events: Iterable[Event]) -> dict[int, str]:
        """Who made these deposits, by event."""
        found: dict[int, str] = {}
        for event in events:
            if event.name == "Deposited":
                accounts = [value for kind, value in self.keys_of(event.id) if kind == "account"]
                found.update((event.id, account) for account in accounts[:1])
        return found

    def values(self, kind: str) -> list[str]:
        """Every value of a kind of key."""
        found = self._connection.execute("SELECT DISTINCT value FROM keys WHERE kind = ?", (kind,))
        return [value for (value,) in found]

    def parts_of(self, account: str, kind: str, limit: int, before: int | None = None) -> list[tuple[str, int]]:
        """Rounds or gradient blocks that an account took part in, the newest first, each with its first event."""
        found = self._connection.execute(
            "SELECT value, first_event FROM parts WHERE account = ? AND kind = ? AND first_event < ? "
            "ORDER BY first_event DESC LIMIT ?",
            (account, kind, _MAX if before is None else before, limit),
        )
        return [(value, event) for value, event in found]

    def transactions(self, hashes: Iterable[str]) -> dict[str, Transaction]:
        wanted = list(dict.fromkeys(hashes))
        found: dict[str, Transaction] = {}
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            rows = self._connection.execute(
                f"SELECT * FROM transactions WHERE hash IN ({','.join('?' * len(part))})",  # noqa: S608
                part,
            )
            found |= {row[0]: Transaction(*row) for row in rows}
        return found

    def newest_transactions(self, limit: int) -> list[Transaction]:
        """Of the newest ones, those whose sender and gas were read already."""
        rows = self._connection.execute("SELECT * FROM transactions ORDER BY block DESC LIMIT ?", (limit,))
        return [found for found in (Transaction(*row) for row in rows) if found.sender is not None]

    def has_unread(self) -> bool:
        """Whether sender and gas of some transaction are still to be read."""
        return (
            self._connection.execute("SELECT 1 FROM transactions WHERE sender IS NULL LIMIT 1").fetchone() is not None
        )

    def _events(self, query: str, values: Sequence[Any]) -> list[Event]:
        return [_event(row) for row in self._connection.execute(query, values)]


_MAX = 2**63 - 1


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """A reader of the state of this moment."""
    connection = open_index(path, is_read_only=True)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM cursor").fetchone()  # from here on it sees this state
        yield Reader(connection)
    finally:
        connection.close()


def _event(row: Sequence[Any]) -> Event:
    id_, tx, contract, name, args, time, derived = row
    more = json.loads(derived) if derived != "{}" else {}
    return Event(id_ >> LOG_BITS, id_ & ((1 << LOG_BITS) - 1), tx, contract, name, json.loads(args), time, more)
