"""What goes wrong for a while: told once for as long as it lasts, also if the role is started again meanwhile."""

import time
from collections.abc import Callable

from pole.errors import JournalError
from pole.node.notify.notices import Notices

RISK_AFTER_S = 60.0
_ANOTHER_AFTER_S = 3600
_REFRESH_S = 300
_STUCK, _POOR = "trouble/stuck", "trouble/poor"


class Troubles:
    """Told by the loop how each pass went."""

    def __init__(self, notices: Notices, now_s: Callable[[], float] = time.time) -> None:
        self._notices, self._now_s = notices, now_s
        fact = notices.recall(_STUCK)
        self._since_s: float | None = fact["since_s"] if fact else None
        self._is_told = bool(fact and fact["is_told"])

    def failed(self, what: str, at_stake: Callable[[], str] = str, since_s: float | None = None) -> None:
        """A pass came to nothing, since `since_s` if that is known; `at_stake`: what is lost if this goes on."""
        if not self._notices.is_on:
            return
        if self._since_s is None:
            self._since_s = self._now_s() if since_s is None else since_s
            self._remember()
        lasts_s = self._now_s() - self._since_s
        number = int(self._since_s)
        if lasts_s >= RISK_AFTER_S and (stake := self._read(at_stake)):
            self._notices.tell(f"risk/{number}", f"at risk: {stake}. For {_minutes(lasts_s)}: {what}")
        if lasts_s >= self._notices.stuck_after_s:
            self._notices.tell(f"stuck/{number}", f"stuck for {_minutes(lasts_s)}: {what}")
            if not self._is_told:
                self._is_told = True
                self._remember()

    def passed(self) -> None:
        """A pass succeeded."""
        if self._since_s is None:
            return
        if self._is_told:
            lasted_s = self._now_s() - self._since_s
            self._notices.tell(f"going/{int(self._since_s)}", f"going on again after {_minutes(lasted_s)}")
        self._since_s, self._is_told = None, False
        self._remember()

    def poor(self, what: str) -> None:
        """The account cannot pay for what is due. Told again when it has not happened for an hour, and then does."""
        if not self._notices.is_on:
            return
        now_s = self._now_s()
        fact = self._notices.recall(_POOR)
        if fact is None or now_s - fact["last_s"] > _ANOTHER_AFTER_S:
            fact = {"since_s": now_s, "last_s": 0.0}
        if now_s - fact["last_s"] > _REFRESH_S:
            fact["last_s"] = now_s
            self._notices.remember(_POOR, fact)
        self._notices.tell(f"poor/{int(fact['since_s'])}", f"out of ether: {what}")

    def _remember(self) -> None:
        self._notices.remember(_STUCK, {"since_s": self._since_s, "is_told": self._is_told})

    @staticmethod
    def _read(at_stake: Callable[[], str]) -> str:
        try:
            return at_stake()
        except JournalError:
            return ""


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return "1 minute" if minutes == 1 else f"{minutes} minutes"
