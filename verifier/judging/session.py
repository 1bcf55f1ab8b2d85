"""Keeps the judging process, and makes verdicts of what it finds or of how it ends."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pole.chain.structs import Verdict
from pole.storage.cid import Cid
from pole.task.manifest import Document
from pole.timing import NOTHING, Effort
from verifier.judging.messages import Case, Finding, Line, Request
from verifier.judging.process import Judge

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
