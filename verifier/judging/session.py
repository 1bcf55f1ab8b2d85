"""One session of judging: sends requests, and turns findings, or the end of the process, into verdicts."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pole.chain.structs import Verdict
from pole.task.manifest import Document
from pole.timing import NOTHING, Timing
from verifier.judging.messages import Finding, FindingKind
from verifier.judging.process import JudgingProcess

INVALID = Verdict(is_valid=False, train_ppm=0, test_ppm=0)

RequestOf = Callable[[Sequence[int]], Document]
"""The request that asks a judging process about these entries."""


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason, for the log; `wrong_segments` is of gradient proposals only."""

    verdict: Verdict
    reason: str
    wrong_segments: int = 0


@dataclass
class Session:
    """What is known so far about a ballot's entries; those without a judgement can be asked for again.

    `retry_at_s`: not before this time of the monotonic clock. `opening`: what was decrypted and not logged yet.
    """

    judgements: dict[int, Judgement] = field(default_factory=dict)
    unavailable: dict[int, str] = field(default_factory=dict)
    problem: str = ""
    is_test_set_missing: bool = False
    retry_at_s: float = 0.0
    warning: str = ""
    opening: Timing = NOTHING

    def reject_all(self, entries: Iterable[int], reason: str) -> None:
        self.judgements.update({entry: Judgement(INVALID, reason) for entry in entries})


def judge_entries(
    judge: JudgingProcess, request: RequestOf, entries: Iterable[int], session: Session, give_up_at_s: float
) -> None:
    """Judges the entries that have no judgement yet.

    If the process dies over an entry, it is the first that the next process gets, and invalid if that dies too.
    `session.problem` says what is missing if this comes back undone. `give_up_at_s` is on the monotonic clock.
    """
    session.problem, session.is_test_set_missing, session.unavailable = "", False, {}
    asked = sorted(entries)
    todo = [entry for entry in asked if entry not in session.judgements]
    if asked and not todo:
        return
    died_over = _ask(judge, request, todo, session, give_up_at_s)
    while died_over is not None and time.monotonic() < give_up_at_s:
        entry, how = died_over
        again = _ask(judge, request, [entry], session, give_up_at_s)
        if again is not None and time.monotonic() < give_up_at_s:
            session.judgements[entry] = Judgement(INVALID, f"judging it ended the judging process twice: {how}")
        todo = [e for e in todo if e not in session.judgements and e != entry]
        died_over = _ask(judge, request, todo, session, give_up_at_s) if todo else None


def _ask(
    judge: JudgingProcess, request: RequestOf, entries: Sequence[int], session: Session, give_up_at_s: float
) -> tuple[int, str] | None:
    """One request. Returns the entry that the process died over and how, or None if it came to its end.

    A process that dies before the files stand proves nothing against any entry: that is a `problem`.
    """
    heard = 0
    is_ready = is_done = False
    for finding in judge.ask(request(entries), give_up_at_s):
        is_ready = is_ready or finding.kind is FindingKind.READY
        is_done = is_done or finding.kind is FindingKind.DONE
        heard += finding.entry >= 0
        _note(finding, entries, session)
    if is_done:
        return None
    if is_ready and heard < len(entries):
        return entries[heard], judge.how_it_ended
    session.problem = session.problem or f"the judging process ended: {judge.how_it_ended}"
    return None


def _note(finding: Finding, entries: Iterable[int], session: Session) -> None:
    match finding.kind:
        case FindingKind.READY:
            session.warning = finding.reason
            session.opening += finding.opening
        case FindingKind.RETRY | FindingKind.NO_TEST_SET:
            session.problem = finding.reason
            session.is_test_set_missing = finding.kind is FindingKind.NO_TEST_SET
        case FindingKind.HOPELESS:
            session.reject_all(entries, finding.reason)
        case FindingKind.UNAVAILABLE:
            session.unavailable[finding.entry] = finding.reason
        case FindingKind.JUDGED:
            verdict = Verdict(finding.is_valid, finding.train_ppm, finding.test_ppm)
            session.judgements[finding.entry] = Judgement(verdict, finding.reason, finding.wrong_segments)
