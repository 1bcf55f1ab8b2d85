"""Runs the judging process, and makes verdicts of what it finds or of how it ends."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from pole.cid import Cid
from pole.records import Verdict
from verifier.opinion import Case, Finding, Limits, Line, Request

# Nothing else of the verifier's environment reaches the process: no password, no node's address.
PASSED_ENVIRONMENT = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
INVALID = Verdict(is_valid=False, train_ppm=0, test_ppm=0)


@dataclass(frozen=True)
class Opinion:
    """A verdict with its reason, for the log."""

    verdict: Verdict
    reason: str


@dataclass
class Session:
    """What is known so far about a ballot's models; entries without an opinion can be asked for again.

    `retry_at_s`: not before this time of the monotonic clock.
    """

    opinions: dict[int, Opinion] = field(default_factory=dict)
    unavailable: dict[int, str] = field(default_factory=dict)
    problem: str = ""
    is_test_set_missing: bool = False
    retry_at_s: float = 0.0
    warning: str = ""

    def reject_all(self, models: dict[int, Cid], reason: str) -> None:
        self.opinions.update({entry: Opinion(INVALID, reason) for entry in models})


def judge_all(case: Case, models: dict[int, Cid], limits: Limits, session: Session, give_up_at_s: float) -> None:
    """Judges the entries of `models` that have no opinion yet; with no models, it only prepares the features.

    One process judges all; if it dies over a model, the model gets a process of its own, and is invalid if that dies
    too. `session.problem` says what is missing if it comes back undone. `give_up_at_s` is on the monotonic clock.
    """
    session.problem, session.is_test_set_missing, session.unavailable = "", False, {}
    for entry in _duplicates(models):
        session.opinions[entry] = Opinion(INVALID, f"model {models[entry]} was committed by an earlier entry")
    todo = {entry: cid for entry, cid in models.items() if entry not in session.opinions}
    if models and not todo:
        return
    died_over = _run(case, todo, limits, session, give_up_at_s)
    while died_over is not None and time.monotonic() < give_up_at_s:
        entry, how = died_over
        again = _run(case, {entry: todo[entry]}, limits, session, give_up_at_s)
        if again is not None and time.monotonic() < give_up_at_s:
            session.opinions[entry] = Opinion(INVALID, f"judging it ended the judging process twice: {how}")
        todo = {e: cid for e, cid in todo.items() if e not in session.opinions and e != entry}
        died_over = _run(case, todo, limits, session, give_up_at_s) if todo else None


def _duplicates(models: dict[int, Cid]) -> list[int]:
    """Entries, in commit order, whose model an earlier entry has already."""
    first: dict[Cid, int] = {}
    return [entry for entry, cid in sorted(models.items()) if first.setdefault(cid, entry) != entry]


def _run(
    case: Case, models: dict[int, Cid], limits: Limits, session: Session, give_up_at_s: float
) -> tuple[int, str] | None:
    """One process over these models. Returns the entry that it died over and how, or None if it came to its end.

    A process that dies before its features stand proves nothing against any model: that is a `problem`.
    """
    order = sorted(models)
    request = Request(case=case, models=[(entry, str(models[entry])) for entry in order], limits=limits)
    heard: list[int] = []
    is_ready = False
    with JudgingProcess(request) as process:
        for line in process.lines(limits.wall_s, give_up_at_s):
            is_ready = is_ready or line.finding is Finding.READY
            _note(line, models, session)
            if line.entry >= 0:
                heard.append(line.entry)
        how = process.how_it_ended()
    if session.problem or not how or (len(heard) == len(order) and is_ready):
        return None
    if not is_ready:
        session.problem = f"the judging process ended before the features were ready: {how}"
        return None
    return order[len(heard)], how


def _note(line: Line, models: dict[int, Cid], session: Session) -> None:
    match line.finding:
        case Finding.READY:
            session.warning = line.reason
        case Finding.RETRY | Finding.NO_TEST_SET:
            session.problem = line.reason
            session.is_test_set_missing = line.finding is Finding.NO_TEST_SET
        case Finding.HOPELESS:
            session.reject_all(models, line.reason)
        case Finding.UNAVAILABLE:
            session.unavailable[line.entry] = line.reason
        case Finding.JUDGED:
            verdict = Verdict(line.is_valid, line.train_ppm, line.test_ppm)
            session.opinions[line.entry] = Opinion(verdict, line.reason)


class JudgingProcess:
    """The child process; leaving the context ends it."""

    def __init__(self, request: Request) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "verifier.judge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ},
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
        self._request = request.model_dump_json().encode()
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._ended = ""
        self._thread = threading.Thread(target=self._pump, daemon=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> "JudgingProcess":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        self._errors.close()

    def lines(self, wall_s: float, give_up_at_s: float) -> Iterator[Line]:
        """Findings as they come. Ends with the process, or after `wall_s` without one, or at `give_up_at_s`."""
        while True:
            patience_s = min(wall_s, give_up_at_s - time.monotonic())
            try:
                raw = self._lines.get(timeout=max(0.0, patience_s))
                if raw is None:
                    return
                yield Line.model_validate_json(raw)
            except queue.Empty:
                self._ended = f"no finding within {patience_s:.0f} s"
                return
            except ValidationError:
                self._ended = f"it wrote something that is no finding: {raw!r:.100}"
                return

    def how_it_ended(self) -> str:
        """Empty if it finished as it should."""
        if self._ended:
            return self._ended
        code = self._process.wait()
        if code == 0:
            return ""
        self._errors.seek(0)
        last = self._errors.read()[-2000:].decode(errors="replace").strip().rpartition("\n")[2]
        return f"signal {-code}" if code < 0 else f"exit code {code}: {last}"

    def _pump(self) -> None:
        """Feeds the request and queues the output; a dead process ends both."""
        try:
            with _pipe(self._process.stdout) as stdout:
                with _pipe(self._process.stdin) as stdin:
                    stdin.write(self._request)
                for line in stdout:
                    self._lines.put(line)
        except OSError:
            pass  # the process is gone; how it ended says the rest
        finally:
            self._lines.put(None)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
