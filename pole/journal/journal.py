"""What a role must not forget, on disk before it acts: salts, CIDs and every transaction it signs.

SQLite in WAL mode with `synchronous=FULL`: when a call returns, a power cut does not undo it. One process owns a
journal; a short-lived command may open it beside the owner with `is_exclusive=False`.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pole.errors import JournalError, JournalFull, refused_write
from pole.journal.locks import take_or_refuse
from pole.journal.transactions import _FATE_OF_THE_FAMILY, _UNSETTLED, Attempt, TransactionState

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS transactions (
    key TEXT NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL, description TEXT NOT NULL,
    nonce INTEGER, hash TEXT, raw BLOB, block_number INTEGER,
    PRIMARY KEY (key, attempt)
) STRICT;
"""


class Journal:
    """Facts and transactions of one role, one account and one deployment. Every write is durable when it returns."""

    def __init__(self, path: Path, is_exclusive: bool = True) -> None:
        self.path = path
        self._lock: int | None = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_exclusive:
                self._lock = _own(path.with_name(path.name + ".lock"))
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as exc:
            raise refused_write(exc, f"cannot open journal {path}") from exc
        with self._alone("opening"), self._errors():  # two that switch a new file to WAL at once fail with "locked"
            self._database = sqlite3.connect(path, isolation_level=None, timeout=30)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
            self._check()

    def _check(self) -> None:
        """Refuse a file that was damaged behind SQLite's back: better no answer than half of one."""
        [found] = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def close(self) -> None:
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- facts -------------------------------------------------------------------------------------------------------

    def remember(self, key: str, fact: dict[str, Any]) -> None:
        """Store a JSON object under `key`, in place of an earlier one."""
        with self._errors():
            self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, json.dumps(fact)))

    def recall(self, key: str) -> dict[str, Any] | None:
        """What was remembered under `key`, or None."""
        with self._errors():
            row = self._database.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def remember_once(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The fact under `key`; the first time it is made and stored, so that a salt is drawn only once."""
        with self._errors(), self._at_once():
            known = self.recall(key)
            if known is None:
                self.remember(key, known := make())
        return known

    def facts(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        """All facts whose key starts with `prefix`, in order of their keys."""
        with self._errors():
            rows = self._database.execute(
                "SELECT key, value FROM facts WHERE substr(key, 1, ?) = ? ORDER BY key", (len(prefix), prefix)
            ).fetchall()
        return {key: json.loads(value) for key, value in rows}

    def bind(self, name: str, value: str) -> None:
        """Tie the journal to an account or a deployment; raises JournalError if it is tied to another."""
        bound = self.remember_once(f"journal/{name}", lambda: {"value": value})["value"]
        if bound != value:
            raise JournalError(f"journal {self.path} belongs to {name} {bound}, not {value}; use another --home")

    # --- transactions ------------------------------------------------------------------------------------------------

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Only one process at a time chooses a nonce and broadcasts; others wait here."""
        with self._alone("sending"):
            yield

    def attempt(self, key: str) -> Attempt | None:
        """The attempt under `key` that counts: the newest that is sent or mined, else the newest."""
        alive = (TransactionState.SENT, TransactionState.MINED)
        found = self._attempts("WHERE key = ? ORDER BY state IN (?, ?) DESC, attempt DESC LIMIT 1", key, *alive)
        return found[0] if found else None

    def attempts(self, key: str) -> list[Attempt]:
        """All attempts under `key`, oldest first."""
        return self._attempts("WHERE key = ? ORDER BY attempt", key)

    def outstanding(self) -> list[Attempt]:
        """Attempts that were signed and whose end is unknown, in order of their nonces; of a family, the newest."""
        newest = {
            (attempt.key, attempt.nonce): attempt for attempt in self._attempts(_UNSETTLED, TransactionState.SENT)
        }
        return list(newest.values())

    def family(self, attempt: Attempt) -> list[Attempt]:
        """All that were signed for the same purpose and nonce, newest first: at most one of them is ever mined."""
        return self._attempts(
            "WHERE key = ? AND nonce = ? AND raw IS NOT NULL ORDER BY attempt DESC", attempt.key, attempt.nonce
        )

    def mined_from(self, nonce: int) -> list[Attempt]:
        """Attempts that were seen in a block, in vain or not, with this nonce or a later one."""
        ended = (TransactionState.MINED, TransactionState.REVERTED)
        return self._attempts("WHERE state IN (?, ?) AND nonce >= ? ORDER BY nonce", *ended, nonce)

    def plan(self, key: str, description: str) -> Attempt:
        """Open the next attempt under `key`; one that was only planned is taken up again."""
        last = self.attempt(key)
        if last is not None and last.state is TransactionState.PLANNED:
            return last
        with self._errors():
            [number] = self._database.execute(
                "INSERT INTO transactions (key, attempt, state, description) "
                "SELECT ?, COALESCE(MAX(attempt), 0) + 1, ?, ? FROM transactions WHERE key = ? RETURNING attempt",
                (key, TransactionState.PLANNED, description, key),
            ).fetchone()
        return Attempt(key, number, TransactionState.PLANNED, description, None, None, None, None)

    def sign(self, planned: Attempt, nonce: int, transaction_hash: str, raw: bytes) -> Attempt:
        """Store the signed transaction; only then may it be broadcast."""
        with self._errors():
            self._database.execute(
                "UPDATE transactions SET state = ?, nonce = ?, hash = ?, raw = ? WHERE key = ? AND attempt = ?",
                (TransactionState.SENT, nonce, transaction_hash, raw, planned.key, planned.attempt),
            )
        return self._attempts("WHERE key = ? AND attempt = ?", planned.key, planned.attempt)[0]

    def replace(self, attempt: Attempt, transaction_hash: str, raw: bytes) -> Attempt:
        """Store another signed transaction for the same purpose and nonce; only then may it be broadcast."""
        with self._errors():
            [number] = self._database.execute(
                "INSERT INTO transactions (key, attempt, state, description, nonce, hash, raw) "
                "SELECT key, MAX(attempt) + 1, ?, ?, ?, ?, ? FROM transactions WHERE key = ? RETURNING attempt",
                (TransactionState.SENT, attempt.description, attempt.nonce, transaction_hash, raw, attempt.key),
            ).fetchone()
        return self._attempts("WHERE key = ? AND attempt = ?", attempt.key, number)[0]

    def settle(self, attempt: Attempt, state: TransactionState, block_number: int | None = None) -> None:
        """Record how an attempt ended (or, after a reorg, that it has not), and with it its family."""
        others = _FATE_OF_THE_FAMILY.get(state)
        with self._errors(), self._at_once():
            self._database.execute(
                "UPDATE transactions SET state = ?, block_number = ? WHERE key = ? AND attempt = ?",
                (state, block_number, attempt.key, attempt.attempt),
            )
            if others is not None:
                self._database.execute(
                    "UPDATE transactions SET state = ?, block_number = NULL "
                    "WHERE key = ? AND nonce = ? AND attempt <> ? AND state = ?",
                    (others[1], attempt.key, attempt.nonce, attempt.attempt, others[0]),
                )

    def _attempts(self, where: str, *values: object) -> list[Attempt]:
        columns = "key, attempt, state, description, nonce, hash, raw, block_number"
        with self._errors():
            rows = self._database.execute(f"SELECT {columns} FROM transactions {where}", values).fetchall()  # noqa: S608 (constant text)
        return [Attempt(row[0], row[1], TransactionState(row[2]), *row[3:]) for row in rows]

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        try:
            handle = os.open(self.path.with_name(f"{self.path.name}.{what}"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as exc:
            raise refused_write(exc, f"cannot lock journal {self.path}") from exc
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """All writes within become durable together, or none does."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # a full disk has ended it already
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as exc:
            if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise JournalFull(f"journal {self.path}: {exc}; free disk space, nothing was lost") from exc
            raise JournalError(
                f"journal {self.path}: {exc}; restore the file, it holds salts that nobody else has"
            ) from exc


def _own(lock: Path) -> int:
    return take_or_refuse(
        lock,
        str(os.getpid()),
        lambda holder: (
            f"process {holder} already uses this journal ({lock}); stop it first, or give another --home and --account"
        ),
    )
