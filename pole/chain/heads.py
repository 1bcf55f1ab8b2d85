"""The newest block that was seen: behind one address may be several nodes, which lag behind each other."""

import time
from collections.abc import Callable

from pole.errors import TransientChainError

LAG_PATIENCE_S = 15.0
"""How long a head that is older than one seen before is taken for that of a node that lags behind."""

_MOST_LAG_S = 120

USUAL_INTERVAL_S = 12.0


class Heads:
    """Follows the heads that answers are of; `interval_s` is the time between two blocks, None before it was seen."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic, patience_s: float = LAG_PATIENCE_S) -> None:
        self._now_s, self._patience_s = now_s, patience_s
        self.newest = self.timestamp = 0
        self.interval_s: float | None = None
        self._first: tuple[int, int] | None = None
        self._advanced_at_s = now_s()
        self._behind_since_s: float | None = None

    def follow(self, number: int, timestamp: int, check_chain: Callable[[], None]) -> None:
        """Raises TransientChainError for a head that is older than one already seen.

        What was already done must not be done again by an older view. A shorter chain that is not older is another
        branch; one that stays shorter, or is much older, has been shortened, which only development chains are.
        `check_chain` is asked whether it is another chain.
        """
        if number < self.newest:
            check_chain()
            if 0 < self.timestamp - timestamp <= _MOST_LAG_S:
                self._wait_for_it_to_catch_up(number)
            self._first = None
        elif number > self.newest:
            self._advanced_at_s = self._now_s()
        self.newest, self.timestamp, self._behind_since_s = number, timestamp, None
        self._measure(number, timestamp)

    def begin_at(self, number: int, timestamp: int) -> None:
        """Measure the time between blocks from an earlier block on."""
        self._first = number, timestamp

    def still_s(self) -> int:
        """Seconds since a new block was seen."""
        return int(self._now_s() - self._advanced_at_s)

    def _wait_for_it_to_catch_up(self, number: int) -> None:
        now_s = self._now_s()
        self._behind_since_s = now_s if self._behind_since_s is None else self._behind_since_s
        if now_s - self._behind_since_s < self._patience_s:
            raise TransientChainError(
                f"the node is at block {number}, but block {self.newest} was seen before: it lags behind the one that "
                "answered then; waiting until it has caught up"
            )

    def _measure(self, number: int, timestamp: int) -> None:
        if self._first is None or number < self._first[0]:
            self._first = number, timestamp
        blocks = number - self._first[0]
        if blocks:
            self.interval_s = min(max((timestamp - self._first[1]) / blocks, 0.2), 60.0)
