"""Runs slow work beside the role's loop, so that judging for one chain does not delay a vote on the other."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait


class BackgroundWorker:
    """One piece of work at a time, in a thread that does not outlive the process."""

    def __init__(self) -> None:
        self._work: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._work is not None and not self._work.done()

    def begin(self, work: Callable[[], None]) -> None:
        """Starts `work`; the one before must have ended. Raises what that one raised."""
        assert not self.is_busy
        self.collect()
        self._work = future = Future[None]()
        threading.Thread(target=_do, args=(work, future), daemon=True).start()

    def collect(self, patience_s: float = 0.0) -> bool:
        """Waits for the work; returns whether there is none left to do. Raises what it raised."""
        if self._work is None:
            return True
        wait([self._work], patience_s)
        if not self._work.done():
            return False
        done, self._work = self._work, None
        done.result()
        return True


def _do(work: Callable[[], None], future: Future[None]) -> None:
    try:
        work()
    except BaseException as exc:
        future.set_exception(exc)
    else:
        future.set_result(None)
