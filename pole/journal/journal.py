"""What a role must not forget, on disk before it acts: salts, CIDs and every transaction it signs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pole.errors import JournalError
from pole.journal.database import Database
from pole.journal.transactions import TransactionJournal


class Journal:
    """Facts, and in `transactions` what was signed, of one role, one account and one deployment.

    Every write is durable when it returns. One process owns a journal; a short-lived command may open it beside the
    owner with `is_exclusive=False`.
    """

    def __init__(self, path: Path, is_exclusive: bool = True) -> None:
        self._database = Database(path, is_exclusive)
        self.path = path
        self.transactions = TransactionJournal(self._database)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def remember(self, key: str, fact: dict[str, Any]) -> None:
        """Store a JSON object under `key`, in place of an earlier one."""
        with self._database.errors():
            self._database.connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, json.dumps(fact)))

    def recall(self, key: str) -> dict[str, Any] | None:
        """What was remembered under `key`, or None."""
        with self._database.errors():
            row = self._database.connection.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def remember_once(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The fact under `key`; the first time it is made and stored, so that a salt is drawn only once."""
        with self._database.errors(), self._database.at_once():
            known = self.recall(key)
            if known is None:
                self.remember(key, known := make())
        return known

    def facts(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        """All facts whose key starts with `prefix`, in order of their keys."""
        with self._database.errors():
            rows = self._database.connection.execute(
                "SELECT key, value FROM facts WHERE substr(key, 1, ?) = ? ORDER BY key", (len(prefix), prefix)
            ).fetchall()
        return {key: json.loads(value) for key, value in rows}

    def bind(self, name: str, value: str) -> None:
        """Tie the journal to an account or a deployment; raises JournalError if it is tied to another."""
        bound = self.remember_once(f"journal/{name}", lambda: {"value": value})["value"]
        if bound != value:
            raise JournalError(f"journal {self.path} belongs to {name} {bound}, not {value}; use another --home")
