"""What a role tells a person, once each; without services to tell it to, nothing."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pole.errors import JournalError
from pole.journal.journal import Journal
from pole.node.notify.courier import Channel, Courier, notice

GATHER_S = 3600
"""How long what is good to know, but changes nothing, may wait for more of it."""

STUCK_AFTER_S = 600.0
_LAST_PATIENCE_S = 10.0


class Notices:
    """`stuck_after_s`: how long nothing may succeed before a person is told."""

    def __init__(
        self, couriers: Sequence[Courier] = (), journal: Journal | None = None, stuck_after_s: float = STUCK_AFTER_S
    ) -> None:
        self._couriers, self._journal, self.stuck_after_s = couriers, journal, stuck_after_s

    @property
    def is_on(self) -> bool:
        return bool(self._couriers)

    def tell(self, key: str, text: str | Callable[[], str], *, wait_s: int = 0) -> None:
        """Tell it unless it was told before; `text` may be made only then, and may read the chain for it.

        Never raises for a journal that is full: what must be known is told all the same.
        """
        if all(self._knows(courier, key) for courier in self._couriers):
            return
        told = notice(key, text if isinstance(text, str) else text(), time.time(), wait_s)
        for courier in self._couriers:
            courier.take(told)

    def recall(self, key: str) -> dict[str, Any] | None:
        """A fact of the journal; None as well where that cannot be read."""
        try:
            return None if self._journal is None else self._journal.recall(key)
        except JournalError:
            return None

    def remember(self, key: str, fact: dict[str, Any]) -> None:
        """In the journal if it has room."""
        try:
            if self._journal is not None:
                self._journal.remember(key, fact)
        except JournalError:
            return

    @staticmethod
    def _knows(courier: Courier, key: str) -> bool:
        try:
            return courier.knows(key)
        except JournalError:
            return False


NOBODY = Notices()


@contextmanager
def notifying(
    channels: Sequence[Channel], title: str, journal: Journal, log: Any, stuck_after_s: float = STUCK_AFTER_S
) -> Iterator[Notices]:
    """Deliver meanwhile, and for some seconds more."""
    couriers = [Courier(each, title, journal, lambda: Journal(journal.path, False), log) for each in channels]
    for courier in couriers:
        courier.start()
    try:
        yield Notices(couriers, journal, stuck_after_s)
    finally:
        for courier in couriers:
            courier.close()
        until_s = time.monotonic() + _LAST_PATIENCE_S
        for courier in couriers:
            courier.join(max(0.0, until_s - time.monotonic()))
