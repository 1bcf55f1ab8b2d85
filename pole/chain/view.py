"""What the contracts say, as of one block, in one request: a role's pass reads from it and asks for nothing twice.

The lens calls many views at once. Which ones a pass will read is known from the passes before it, and from `expect`.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

_KEPT_PASSES = 3
_MOST_AT_ONCE = 100


@dataclass(frozen=True)
class Call:
    """A view with its arguments, encoded."""

    target: str
    data: bytes


@dataclass(frozen=True)
class Look:
    """Everything that was asked for, as of one block."""

    number: int
    timestamp: int
    results: list[tuple[bool, bytes]]


@dataclass
class View:
    """`ask` sends one request; `max_age_s` is how long its answers are believed within a pass."""

    ask: Callable[[list[Call]], Look]
    max_age_s: Callable[[], float]
    now_s: Callable[[], float] = time.monotonic
    _known: dict[Call, tuple[bool, bytes]] = field(default_factory=dict, init=False)
    _wanted: dict[Call, int] = field(default_factory=dict, init=False)
    _pass: int = field(default=0, init=False)
    _asked_at_s: float | None = field(default=None, init=False)
    _head: tuple[int, int] = field(default=(0, 0), init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)  # a role judges in a second thread

    def begin(self) -> None:
        """A new pass: everything is looked at again, except what no pass has read for a while."""
        with self._lock:
            self._pass += 1
            self._wanted = {call: last for call, last in self._wanted.items() if last > self._pass - _KEPT_PASSES}
            self.forget()

    def forget(self) -> None:
        """Something has changed: the next look asks again for all."""
        with self._lock:
            self._known, self._asked_at_s = {}, None

    def expect(self, calls: Iterable[Call]) -> None:
        """Have these looked at together, as soon as one of them is read or is missing now."""
        with self._lock:
            for call in calls:
                self._wanted.setdefault(call, self._pass)

    def read(self, call: Call) -> tuple[bool, bytes]:
        """Whether the view succeeded, and what it returned or reverted with."""
        with self._lock:
            self._wanted[call] = self._pass
            self._refresh()
            if call not in self._known:
                self._fetch([each for each in self._wanted if each not in self._known])
            return self._known[call]

    def head(self) -> tuple[int, int]:
        """Number and timestamp of the block."""
        with self._lock:
            self._refresh()
            if self._asked_at_s is None:
                self._fetch(list(self._wanted))
            return self._head

    def _refresh(self) -> None:
        if self._asked_at_s is not None and self.now_s() - self._asked_at_s > self.max_age_s():
            self.forget()

    def _fetch(self, calls: list[Call]) -> None:
        is_first = self._asked_at_s is None
        for start in range(0, max(1, len(calls)), _MOST_AT_ONCE):
            piece = calls[start : start + _MOST_AT_ONCE]
            look = self.ask(piece)
            self._known |= dict(zip(piece, look.results, strict=True))
            self._head = (
                max(self._head, (look.number, look.timestamp)) if not is_first else (look.number, look.timestamp)
            )
            is_first = False
        if self._asked_at_s is None:
            self._asked_at_s = self.now_s()


def encoded(prepared: Any, target: str) -> Call:
    """A contract function with its arguments, of web3, as a call."""
    return Call(target, bytes.fromhex(str(prepared._encode_transaction_data()).removeprefix("0x")))
