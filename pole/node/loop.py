"""The loop of a role: act, say what it waits for, sleep, again; it survives failures of the node and of the network."""

import json
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import FrameType
from typing import TYPE_CHECKING

from pole import metrics
from pole.atomicfile import write_atomically
from pole.chain.order import STEP_BLOCKS
from pole.chain.wakeup import Wakeup
from pole.errors import InsufficientFunds, JournalFull, TransactionReverted, TransientChainError
from pole.node import figures
from pole.node.alive import process_mark
from pole.node.notify.troubles import Troubles
from pole.node.pace import pause_s
from pole.urls import scrub

if TYPE_CHECKING:
    from pole.node.context import RoleContext

_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 5.0  # short beside any window: no deadline may pass while a role sleeps
_DAY_S = 86_400
COMPLAIN_EVERY_S = 60.0
STILL_AFTER_S = 120
STATUS_FILE = "status.json"
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Waiting:
    """What a role waits for, until when (block time; None: for as long as it takes), and what it will do then."""

    what: str
    until_s: int | None
    then: str

    def sentence(self, now_s: int) -> str:
        """For people, e.g. "waiting for the vote until 12:00:05 (in 12 s); then I will reveal"."""
        return f"waiting for {self.what}{_until(self.until_s, now_s)}; then I will {self.then}"


def soonest(waits: Sequence[Waiting]) -> Waiting:
    """The one that ends first; of several without an end, the first."""
    return min(waits, key=lambda each: (each.until_s is None, each.until_s or 0))


class Stopped(BaseException):
    """SIGTERM, SIGINT or SIGHUP arrived. Not an Exception, so that nothing takes it for a failure to handle."""


class Node(ABC):
    """Base of the long-running roles: implement `act`, call `run`.

    `act` does everything that can be done now and returns what it waits for. It must be safe to call again after dying
    at any line, so it derives all it does from the chain and the journal.
    """

    def __init__(self, context: "RoleContext") -> None:
        self.context = context
        self._said: Waiting | None = None
        self._failures = 0
        self._complained_at: float | None = None
        self._warned_at = -COMPLAIN_EVERY_S
        self._troubles = Troubles(context.notices)
        self._wakeup: Wakeup | None = None
        self._began_s = time.monotonic()

    @abstractmethod
    def act(self) -> Waiting:
        """One pass: do what is due, say what is awaited."""

    def at_stake(self) -> str:
        """What is lost if nothing succeeds for too long, from what is known without asking anybody; "" for nothing."""
        return ""

    def run(self, is_done: Callable[[], bool] = lambda: False) -> None:
        """Poll until a signal comes or `is_done()`; a signal may interrupt `act` at any line."""
        wanted = [number for number in _STOPPING if signal.getsignal(number) is not signal.SIG_IGN]  # as under nohup
        previous = {number: signal.signal(number, _stop) for number in wanted}
        try:
            self._measure()
            self._listen()
            while not is_done():
                self._sleep(self.step())
        except Stopped:
            self._write_status("stopped", self._said)
            with suppress(OSError, ValueError):  # the terminal may be gone, or the stream closed
                self.context.log.info("stopping as asked; the journal has everything that is needed to continue")
        except Exception as exc:
            self.context.notices.tell(f"ended/{int(time.time())}", f"the role has ended: {type(exc).__name__}: {exc}")
            raise
        finally:
            if self._wakeup is not None:
                self._wakeup.close()
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._write_status("stopped", self._said)

    def _measure(self) -> None:
        """The time between blocks, by which it sleeps."""
        if self.context.poll_s is None:
            with suppress(TransientChainError):  # then it sleeps by what is usual
                self.context.chain.measure_interval()

    def _listen(self) -> None:
        """Over a WebSocket the node says when something has happened."""
        if self.context.poll_s is None:
            self._wakeup = self.context.chain.wakeup()
        if self._wakeup is not None:
            self._wakeup.start()

    def _sleep(self, pause_s: float) -> None:
        """A failure is slept off in any case; otherwise at most one look a block."""
        if self._wakeup is None or self._failures:
            time.sleep(pause_s)
        else:
            self._wakeup.wait(pause_s, self.context.chain.interval_s)

    def step(self) -> float:
        """Act once and report; returns the seconds to sleep before the next step."""
        self._began_s = time.monotonic()
        try:
            if self._failures:  # what answers again need not be the chain that went away
                self.context.chain.check_genesis()
            self.context.chain.turns.is_waiting = False
            with self.context.chain.viewing():
                waiting = self.act()
                figures.polled(self.context)
        except TransientChainError as exc:
            metrics.failed(exc)
            self._failures += 1
            poll_s = self.context.poll_s or _FIRST_BACKOFF_S
            backoff_s = min(poll_s * float(1 << min(self._failures, 10)), _MAX_BACKOFF_S)
            backoff_s = max(backoff_s, exc.retry_after_s)
            self.context.log.warning(f"{exc}; trying again in {backoff_s:.0f} s")
            self._troubles.failed(str(exc), self.at_stake)
            self._write_status("retrying", Waiting(str(exc), None, "try again"))
            self._said = None
            return backoff_s
        except (InsufficientFunds, JournalFull) as exc:
            metrics.failed(exc)
            self._failures = 0
            if isinstance(exc, InsufficientFunds):
                self._troubles.poor(str(exc))
            self._troubles.failed(str(exc), self.at_stake)
            self._complain(Waiting(f"somebody to help ({exc})", None, "go on"))
            return self._pause_s(None, is_woken=False)
        except TransactionReverted as exc:
            metrics.failed(exc)
            waiting = Waiting(f"the chain to allow it ({exc})", None, "try again")
            self._troubles.failed(waiting.what, self.at_stake)
            is_woken = False
        else:
            self._note_progress(waiting)
            is_woken = self._wakeup is not None and self._wakeup.is_subscribed
        self._failures, self._complained_at = 0, None
        self._warn_of_standstill()
        self._say(waiting)
        return self._pause_s(waiting, is_woken=is_woken)

    def _note_progress(self, waiting: Waiting) -> None:
        """A pass without an error may get nowhere all the same: no new block, or a deadline that is long over."""
        # A pass that took long, as training does, may have had no reason to look for a new block.
        still_s = self.context.chain.still_s() - int(time.monotonic() - self._began_s)
        now_s = time.time()
        overdue_s = self.context.chain.last_time - waiting.until_s if waiting.until_s else 0
        if still_s >= STILL_AFTER_S:
            self._troubles.failed("no new block: the chain stands still", self.at_stake, now_s - still_s)
        elif overdue_s >= STILL_AFTER_S:
            self._troubles.failed(f"waiting for {waiting.what}, overdue", self.at_stake, now_s - overdue_s)
        else:
            self._troubles.passed()

    def _pause_s(self, waiting: Waiting | None, *, is_woken: bool) -> float:
        """Until the next pass, which is soon if another's turn might pass unused."""
        if self.context.poll_s is not None:
            return self.context.poll_s
        chain = self.context.chain
        rest_s = pause_s(waiting.until_s if waiting else None, chain.last_time, chain.interval_s, is_woken=is_woken)
        return min(rest_s, STEP_BLOCKS * chain.interval_s) if chain.turns.is_waiting else rest_s

    def _say(self, waiting: Waiting) -> None:
        """Once per change, so that the log shows every state and no repetition."""
        if waiting == self._said:
            return
        self._said = waiting
        now_s = self.context.chain.last_time or int(time.time())
        self.context.log.info(waiting.sentence(now_s), status=asdict(waiting))
        self._write_status("waiting", waiting)

    def _warn_of_standstill(self) -> None:
        """No deadline passes on a chain without new blocks, whatever this machine's clock says."""
        still_s, now = self.context.chain.still_s(), time.monotonic()
        if still_s < STILL_AFTER_S or now - self._warned_at < COMPLAIN_EVERY_S:
            return
        self._warned_at = now
        self.context.log.warning(
            f"no new block for {still_s} s: the chain stands still, or the node has lost its peers; see the node's own "
            "log (a development chain needs a block time)"
        )

    def _complain(self, waiting: Waiting) -> None:
        """Again and again, since only a person can end it; but not for every change of the amount that is missing."""
        now = time.monotonic()
        if self._complained_at is not None and now - self._complained_at < COMPLAIN_EVERY_S:
            return
        self._complained_at, self._said = now, None
        self.context.log.warning(waiting.sentence(0), status=asdict(waiting))
        self._write_status("waiting", waiting)

    def _write_status(self, state: str, waiting: Waiting | None) -> None:
        """`status.json` in the role's home: the same for programs."""
        status = {
            "role": self.context.role,
            "account": self.context.address if self.context.has_account else None,
            "pid": os.getpid(),
            "process": process_mark(os.getpid()),
            "state": state,
            "written_at_s": int(time.time()),
            **(asdict(waiting) if waiting else {"what": None, "until_s": None, "then": None}),
        }
        try:
            write_atomically(self.context.home / STATUS_FILE, scrub(json.dumps(status)).encode(), mode=0o600)
        except OSError as exc:
            self.context.log.warning(f"cannot write {STATUS_FILE}: {exc.strerror}")


def _until(until_s: int | None, now_s: int) -> str:
    if until_s is None:
        return ""
    form = "%H:%M:%S" if abs(until_s - now_s) < _DAY_S else "%Y-%m-%d %H:%M:%S"
    left = f"in {until_s - now_s} s" if until_s >= now_s else f"overdue by {now_s - until_s} s"
    return f" until {time.strftime(form, time.localtime(until_s))} ({left})"


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)
