"""How long a role pins what it published: until a block time that is in the journal, so restarts change nothing."""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from pole.errors import StoreError
from pole.journal.journal import Journal
from pole.storage.cid import Cid
from pole.storage.store import Store

UNPIN_AFTER_S = 7 * 86_400
"""A week for the client to come and collect, unless --unpin-after says otherwise."""

_DUE = "pins/due"
_RETRY_S = 60.0


@dataclass
class Pins:
    """The content of one role that will be unpinned; times are block times."""

    journal: Journal
    store: Store
    log: Any
    _retry_at_s: float = field(default=0.0, init=False)

    def let_go_at(self, cids: Iterable[Cid], at_s: int) -> None:
        """Plan to unpin content; what is planned already is unpinned at the later of the times."""
        due = self._due()
        for cid in cids:
            due[str(cid)] = max(at_s, due.get(str(cid), 0))
        self.journal.remember(_DUE, due)

    def let_go(self, now_s: int, still_needed: Collection[Cid] = ()) -> None:
        """Unpin what is due; what is still needed for something else stays, until that plans it again.

        A store that is down is logged and tried again later: nothing waits for this.
        """
        due = self._due()
        if time.monotonic() < self._retry_at_s:
            return
        for text in [text for text, at_s in due.items() if at_s <= now_s]:
            cid = Cid.parse(text)
            try:
                if cid not in still_needed:
                    self.store.unpin(cid)
            except StoreError as exc:
                self._retry_at_s = time.monotonic() + _RETRY_S
                self.log.warning(f"{cid} stays pinned for now: {exc}")
                return
            del due[text]
            self.journal.remember(_DUE, due)

    def _due(self) -> dict[str, int]:
        return dict(self.journal.recall(_DUE) or {})
