"""Tells a running trainer how long it may continue; cheap, so that it can ask before every batch."""

import time
from collections.abc import Callable

from pole.chain.structs import Phase, Round
from pole.errors import TransientChainError

REFRESH_S = 1.0

NextLook = Callable[[Round, int], float]
"""Seconds until the next look, by the round and the block time."""


def closing_s(current: Round, solutions_wanted: int) -> int:
    """Block time at which commits close: with enough qualified solutions, at the earliest time for that."""
    is_enough = current.phase is Phase.TRAINING and current.qualified_count >= solutions_wanted
    return min(current.deadline, current.earliest_close_at) if is_enough else current.deadline


class Deadline:
    """Follows one round while its phase lasts. `reserve_s`: kept back for scoring, saving and committing.

    `look` reads the round and the block time; it may raise TransientChainError, but not the first time. `next_look_s`:
    every second without it.
    """

    def __init__(
        self,
        look: Callable[[], tuple[Round, int]],
        solutions_wanted: int,
        reserve_s: float,
        next_look_s: NextLook = lambda _round, _now_s: REFRESH_S,
    ) -> None:
        self._look, self._solutions_wanted, self.reserve_s = look, solutions_wanted, reserve_s
        self._next_look_s, self._is_away = next_look_s, False
        self._round, self._block_time = look()
        self._looked_at = self._asked_at = time.monotonic()
        self._phase, self._previous_hash, self.reason = self._round.phase, self._round.previous_hash, ""
        self._judge()

    def is_over(self) -> bool:
        """Whether training has to end now; `reason` then says why."""
        if not self.reason and self.seconds_left() <= 0:
            self.reason = "time is up"
        return bool(self.reason)

    def seconds_left(self) -> float:
        """Until the reserve begins, by block time and the time passed since the last look at it."""
        pause_s = REFRESH_S if self._is_away else self._next_look_s(self._round, self._block_time)
        if time.monotonic() - self._asked_at > pause_s:
            self._refresh()
        passed = time.monotonic() - self._looked_at
        return max(0.0, closing_s(self._round, self._solutions_wanted) - self._block_time - passed - self.reserve_s)

    def _refresh(self) -> None:
        self._asked_at = time.monotonic()
        try:
            self._round, self._block_time = self._look()
        except TransientChainError:
            self._is_away = True
            return  # the clock runs on from the last look; whoever talks to the chain next reports the trouble
        self._looked_at, self._is_away = time.monotonic(), False
        self._judge()

    def _judge(self) -> None:
        if self._round.phase is not self._phase:
            self.reason = f"the round is in its phase {self._round.phase.name.lower()} now"
        elif self._round.previous_hash != self._previous_hash:
            self.reason = "a reorganisation has changed the round's previous hash"
        elif closing_s(self._round, self._solutions_wanted) <= self._block_time < self._round.deadline:
            self.reason = f"{self._round.qualified_count} solutions are committed: commits may close at any moment"
