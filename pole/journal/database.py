"""The SQLite file of a journal: durable writes, one owner, and errors that say what to do.

WAL mode with `synchronous=FULL`: when a write returns, a power cut does not undo it.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pole.errors import JournalError, JournalFull, refused_write
from pole.journal.locks import take_or_refuse

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS transactions (
    key TEXT NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL, description TEXT NOT NULL,
    nonce INTEGER, hash TEXT, raw BLOB, block_number INTEGER,
    PRIMARY KEY (key, attempt)
) STRICT;
"""


class Database:
    """One process owns the file; a short-lived command may open it beside the owner with `is_exclusive=False`."""

    def __init__(self, path: Path, is_exclusive: bool) -> None:
        self.path = path
        self._lock: int | None = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_exclusive:
                self._lock = _own(path.with_name(path.name + ".lock"))
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as exc:
            raise refused_write(exc, f"cannot open journal {path}") from exc
        with self.alone("opening"), self.errors():  # two that switch a new file to WAL at once fail with "locked"
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=30)
            try:
                self._set_up()
            except BaseException:
                self.close()
                raise

    def _set_up(self) -> None:
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.executescript(_SCHEMA)
        self._check()

    def _check(self) -> None:
        """Refuse a file that was damaged behind SQLite's back: better no answer than half of one."""
        [found] = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def close(self) -> None:
        self.connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Only one process at a time does `what`; others wait here."""
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
    def at_once(self) -> Iterator[None]:
        """All writes within become durable together, or none does."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # a full disk has ended it already
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """SQLite's errors as ours: JournalFull if only space is missing, else JournalError."""
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
