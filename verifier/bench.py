"""Keeps the judging process, and makes verdicts of what it finds or of how it ends."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from pole.cid import Cid
from pole.effort import NOTHING, Effort
from pole.manifest import Document
from pole.records import Verdict
from verifier.opinion import Case, Finding, Limits, Line, Request

# Nothing else of the verifier's environment reaches the process: no password, no authorization, no node's address.
PASSED_ENVIRONMENT = (
    *("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"),
    *("POLE_IPFS_GATEWAY", "POLE_IPFS_CACHE", "POLE_IPFS_PATIENCE_S"),
    *("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"),
)
INVALID = Verdict(is_valid=False, train_ppm=0, test_ppm=0)

RequestOf = Callable[[Sequence[int]], Document]
"""The request that asks a judging process about these entries."""


@dataclass(frozen=True)
class Opinion:
    """A verdict with its reason, for the log; `wrong_segments` is of gradient proposals only."""

    verdict: Verdict
    reason: str
    wrong_segments: int = 0


@dataclass
class Session:
    """What is known so far about a ballot's entries; those without an opinion can be asked for again.

    `retry_at_s`: not before this time of the monotonic clock. `opening`: what was decrypted and not logged yet.
    """

    opinions: dict[int, Opinion] = field(default_factory=dict)
    unavailable: dict[int, str] = field(default_factory=dict)
    problem: str = ""
    is_test_set_missing: bool = False
    retry_at_s: float = 0.0
    warning: str = ""
    opening: Effort = NOTHING

    def reject_all(self, entries: Iterable[int], reason: str) -> None:
        self.opinions.update({entry: Opinion(INVALID, reason) for entry in entries})


def judge_all(judge: "Judge", case: Case, models: dict[int, Cid], session: Session, give_up_at_s: float) -> None:
    """Judges the models of a round that have no opinion yet; with no models, it only prepares the features."""
    for entry in _duplicates(models):
        session.opinions[entry] = Opinion(INVALID, f"model {models[entry]} was committed by an earlier entry")

    def request(entries: Sequence[int]) -> Document:
        return Request(case=case, models=[(entry, str(models[entry])) for entry in entries])

    judge_entries(judge, request, list(models), session, give_up_at_s)


def judge_entries(
    judge: "Judge", request: RequestOf, entries: Iterable[int], session: Session, give_up_at_s: float
) -> None:
    """Judges the entries that have no opinion yet.

    If the process dies over an entry, it is the first that the next process gets, and invalid if that dies too.
    `session.problem` says what is missing if this comes back undone. `give_up_at_s` is on the monotonic clock.
    """
    session.problem, session.is_test_set_missing, session.unavailable = "", False, {}
    asked = sorted(entries)
    todo = [entry for entry in asked if entry not in session.opinions]
    if asked and not todo:
        return
    died_over = _ask(judge, request, todo, session, give_up_at_s)
    while died_over is not None and time.monotonic() < give_up_at_s:
        entry, how = died_over
        again = _ask(judge, request, [entry], session, give_up_at_s)
        if again is not None and time.monotonic() < give_up_at_s:
            session.opinions[entry] = Opinion(INVALID, f"judging it ended the judging process twice: {how}")
        todo = [e for e in todo if e not in session.opinions and e != entry]
        died_over = _ask(judge, request, todo, session, give_up_at_s) if todo else None


def _duplicates(models: dict[int, Cid]) -> list[int]:
    """Entries, in commit order, whose model an earlier entry has already."""
    first: dict[Cid, int] = {}
    return [entry for entry, cid in sorted(models.items()) if first.setdefault(cid, entry) != entry]


def _ask(
    judge: "Judge", request: RequestOf, entries: Sequence[int], session: Session, give_up_at_s: float
) -> tuple[int, str] | None:
    """One request. Returns the entry that the process died over and how, or None if it came to its end.

    A process that dies before the files stand proves nothing against any entry: that is a `problem`.
    """
    heard = 0
    is_ready = is_done = False
    for line in judge.ask(request(entries), give_up_at_s):
        is_ready = is_ready or line.finding is Finding.READY
        is_done = is_done or line.finding is Finding.DONE
        heard += line.entry >= 0
        _note(line, entries, session)
    if is_done:
        return None
    if is_ready and heard < len(entries):
        return entries[heard], judge.how_it_ended
    session.problem = session.problem or f"the judging process ended: {judge.how_it_ended}"
    return None


def _note(line: Line, entries: Iterable[int], session: Session) -> None:
    match line.finding:
        case Finding.READY:
            session.warning = line.reason
            session.opening += line.opening
        case Finding.RETRY | Finding.NO_TEST_SET:
            session.problem = line.reason
            session.is_test_set_missing = line.finding is Finding.NO_TEST_SET
        case Finding.HOPELESS:
            session.reject_all(entries, line.reason)
        case Finding.UNAVAILABLE:
            session.unavailable[line.entry] = line.reason
        case Finding.JUDGED:
            verdict = Verdict(line.is_valid, line.train_ppm, line.test_ppm)
            session.opinions[line.entry] = Opinion(verdict, line.reason, line.wrong_segments)


class Judge:
    """Keeps a judging process at hand, since starting one costs seconds; a new one takes the place of one that died.

    `module`: what the process runs.
    """

    def __init__(self, limits: Limits, module: str = "verifier.judge") -> None:
        self.how_it_ended = ""
        self._limits, self._module = limits, module
        self._process: JudgingProcess | None = None

    def __enter__(self) -> "Judge":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the process, if there is none; it loads its libraries in the background."""
        if self._process is None:
            self._process = JudgingProcess(self._limits, self._module)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def ask(self, request: Document, give_up_at_s: float) -> Iterator[Line]:
        """Findings as they come, `done` last. Without that, the process is gone and `how_it_ended` says why."""
        self.start()
        assert self._process is not None
        is_done = False
        try:
            for line in self._process.ask(request, self._limits.wall_s, give_up_at_s):
                is_done = line.finding is Finding.DONE
                yield line
        finally:
            if not is_done:
                self.how_it_ended = self._process.how_it_ended()
                self.close()


class JudgingProcess:
    """One child process. It ends with `close`, and by itself if this process dies."""

    def __init__(self, limits: Limits, module: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ},
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
        self._stdin, self._stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._ended = ""
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()
        self._write(limits.model_dump_json())

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        with suppress(OSError):
            self._stdin.close()
        self._stdout.close()
        self._errors.close()

    def ask(self, request: Document, wall_s: float, give_up_at_s: float) -> Iterator[Line]:
        """Findings until `done`, or the process's end, or `wall_s` without one, or `give_up_at_s`."""
        self._write(request.model_dump_json())
        while True:
            patience_s = min(wall_s, give_up_at_s - time.monotonic())
            try:
                raw = self._lines.get(timeout=max(0.0, patience_s))
                if raw is None:
                    return
                line = Line.model_validate_json(raw)
            except queue.Empty:
                self._ended = f"no finding within {patience_s:.0f} s"
                return
            except ValidationError:
                self._ended = f"it wrote something that is no finding: {raw!r:.100}"
                return
            yield line
            if line.finding is Finding.DONE:
                return

    def how_it_ended(self) -> str:
        """What was wrong with it, for people."""
        if self._ended:
            return self._ended
        code = self._process.poll()
        if code is None:
            return "it was interrupted"
        self._errors.seek(0)
        last = self._errors.read()[-2000:].decode(errors="replace").strip().rpartition("\n")[2]
        return f"signal {-code}" if code < 0 else f"exit code {code}: {last}"

    def _write(self, line: str) -> None:
        with suppress(OSError):  # the process is gone; the end of its output says so
            self._stdin.write(line.encode() + b"\n")
            self._stdin.flush()

    def _pump(self) -> None:
        """Queues the output until the process ends."""
        for line in self._stdout:
            self._lines.put(line)
        self._process.wait()
        self._lines.put(None)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
