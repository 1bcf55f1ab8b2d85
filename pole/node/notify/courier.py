"""Brings notices to one service, from a thread of its own: whatever the service does, the role goes on.

A notice is in the journal before it is sent, and is marked there as soon as the service has taken it. So a restart
neither loses it nor tells it again; only a process that dies between the two does.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from pole.errors import JournalError
from pole.journal.journal import Journal
from pole.urls import scrub

MOST_WAITING = 100
"""When more wait for a service that does not take them, the oldest that could wait is given up, or the oldest."""

_MOST_CHARS = 400
_FIRST_REST_S, _LONGEST_REST_S = 5.0, 600.0


@dataclass(frozen=True)
class Notice:
    """One thing to tell, once per `key`; it may wait for `wait_s` to be told together with others."""

    key: str
    text: str
    at_s: int
    wait_s: int = 0

    def line(self) -> str:
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(self.at_s))} UTC: {self.text}"


def notice(key: str, text: str, at_s: float, wait_s: int = 0) -> Notice:
    """One line without secrets, however long the text and whoever wrote it."""
    line = "".join(char if char.isprintable() else "?" for char in " ".join(scrub(text).split()))
    return Notice(key, line if len(line) <= _MOST_CHARS else f"{line[: _MOST_CHARS - 3]}...", int(at_s), wait_s)


class Channel(Protocol):
    """A service; `name` may be shown, `url` may not."""

    name: str
    url: str
    most_chars: int

    def send(self, title: str, body: str) -> bool:
        """Whether the service has taken it."""


class Courier:
    """`open_journal` opens the journal once more, since a connection to it is for one thread."""

    def __init__(
        self,
        channel: Channel,
        title: str,
        journal: Journal,
        open_journal: Callable[[], Journal],
        log: Any,
        first_rest_s: float = _FIRST_REST_S,
    ) -> None:
        self._channel, self._title, self._log = channel, title, log
        self._journal, self._open_journal = journal, open_journal
        self._prefix = f"notice/{hashlib.sha256(channel.url.encode()).hexdigest()[:16]}/"
        self._changed = threading.Condition()
        self._waiting: dict[str, Notice] = {}
        self._unwritten: set[str] = set()
        self._first_rest_s, self._failures, self._rests_until_s = first_rest_s, 0, 0.0
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)

    def start(self) -> None:
        """Goes on with what a process before this one has not delivered."""
        for fact in self._journal.facts(self._prefix).values():
            if not fact["is_told"]:
                found = Notice(fact["key"], fact["text"], int(fact["at_s"]), int(fact["wait_s"]))
                self._waiting[found.key] = found
        self._thread.start()

    def knows(self, key: str) -> bool:
        """Whether this was told, or is about to be. Raises JournalError."""
        with self._changed:
            if key in self._waiting or key in self._unwritten:
                return True
        return self._journal.recall(self._prefix + key) is not None

    def take(self, told: Notice) -> None:
        """Have it delivered; what the journal has no room for as well, as long as the process lives."""
        try:
            if self.knows(told.key):
                return
            self._remember(self._journal, told, is_told=False)
        except JournalError:
            self._unwritten.add(told.key)
        with self._changed:
            self._waiting[told.key] = told
            given_up = self._give_up() if len(self._waiting) > MOST_WAITING else None
            self._changed.notify()
        if given_up is not None:
            self._log.warning(f"not told to {self._channel.name}, which takes nothing: {given_up.text}")
            self._mark(self._journal, [given_up])

    def close(self) -> None:
        """One more attempt at what is due, unless the service takes nothing; `join` waits for it."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                is_taken = self._channel.send(self._title, "\n".join(each.line() for each in batch))
            except Exception:  # a service's client may raise anything, with the address in it
                is_taken = False
            if is_taken:
                self._note_success(batch)
            else:
                self._note_failure()

    def _next(self) -> list[Notice] | None:
        """Waits for something to be due; None at the end."""
        with self._changed:
            while (pause_s := self._pause_s()) > 0:
                if self._is_closing:
                    return None
                self._changed.wait(None if pause_s == math.inf else pause_s)
            return self._batch()

    def _pause_s(self) -> float:
        if not self._waiting:
            return math.inf
        now_s = time.time()  # whatever it was set to when something happened
        due_s = min(min(each.at_s + each.wait_s - now_s, each.wait_s) for each in self._waiting.values())
        return max(due_s, self._rests_until_s - now_s)

    def _batch(self) -> list[Notice]:
        """The oldest, as many as fit into one message; those that could wait come with them."""
        found, chars = list[Notice](), 0
        for each in self._waiting.values():
            chars += len(each.line()) + 1
            if found and chars > self._channel.most_chars:
                break
            found.append(each)
        return found

    def _note_success(self, batch: Sequence[Notice]) -> None:
        with self._changed:
            for each in batch:
                self._waiting.pop(each.key, None)
        if self._failures:
            self._log.info(f"{self._channel.name} takes notices again")
        self._failures = 0
        try:
            with self._open_journal() as journal:
                self._mark(journal, batch)
        except JournalError as exc:
            self._log.warning(f"told, but not noted: {exc}")

    def _note_failure(self) -> None:
        if not self._failures:
            self._log.warning(f"{self._channel.name} does not take what is to be told; trying again")
        rest_s = min(self._first_rest_s * float(1 << min(self._failures, 10)), _LONGEST_REST_S)
        self._failures += 1
        with self._changed:
            self._rests_until_s = time.time() + rest_s

    # --- parts -------------------------------------------------------------------------------------------------------

    def _give_up(self) -> Notice:
        first = next((each for each in self._waiting.values() if each.wait_s), next(iter(self._waiting.values())))
        return self._waiting.pop(first.key)

    def _mark(self, journal: Journal, told: Sequence[Notice]) -> None:
        try:
            for each in told:
                if each.key not in self._unwritten:
                    self._remember(journal, each, is_told=True)
        except JournalError as exc:
            self._log.warning(f"told, but not noted: {exc}")

    def _remember(self, journal: Journal, about: Notice, *, is_told: bool) -> None:
        journal.remember(self._prefix + about.key, asdict(about) | {"is_told": is_told})
