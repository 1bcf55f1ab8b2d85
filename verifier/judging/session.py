"""One session of judging: sends requests, and turns findings, or the end of the process, into verdicts."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pole.chain.structs import Verdict, VerdictKind
from pole.chain.verdicts import INVALID, unpack_verdict
from pole.exact.published import EntryRows
from pole.task.manifest import Document
from pole.timing import NOTHING, Timing
from verifier.judging.messages import Finding, FindingKind
from verifier.judging.process import JudgingProcess

NO_ROWS = EntryRows()

RequestOf = Callable[[Sequence[int]], Document]
"""The request that asks a judging process about these entries."""


@dataclass(frozen=True)
class Judgement:
    """A packed verdict with its reason, for the log, and the predictions behind it.

    `wrong_segments` is of gradient proposals only.
    """

    word: int
    reason: str
    wrong_segments: int = 0
    rows: EntryRows = NO_ROWS

    @property
    def verdict(self) -> Verdict:
        return unpack_verdict(self.word)

    @property
    def is_final(self) -> bool:
        """Whether both parts are known; what could not be had may turn up until another ballot."""
        return max(self.verdict.train, self.verdict.test) < VerdictKind.UNAVAILABLE

    def __str__(self) -> str:
        return f"train {_text(self.verdict.train, self.verdict.train_ppm)}, test " + _text(
            self.verdict.test, self.verdict.test_ppm
        )


@dataclass
class Session:
    """What is known so far about a ballot's entries; those without a judgement can be asked for again.

    `unavailable`: what to vote on models that nobody has, if it stays so. `without_data`: the same on all models, if
    nobody has the client's files. `retry_at_s`: not before this time of the monotonic clock. `opening`: what was
    decrypted and not logged yet.
    """

    judgements: dict[int, Judgement] = field(default_factory=dict)
    unavailable: dict[int, Judgement] = field(default_factory=dict)
    without_data: Judgement | None = None
    problem: str = ""
    is_test_set_missing: bool = False
    retry_at_s: float = 0.0
    warning: str = ""
    opening: Timing = NOTHING

    def reject_all(self, entries: Iterable[int], reason: str) -> None:
        self.judgements.update({entry: Judgement(INVALID, reason) for entry in entries})

    def give_up(self, entries: Iterable[int]) -> None:
        """There is no time left: what could not be had until now is voted so, which blames nobody."""
        self.judgements.update(self.unavailable)
        if self.without_data is not None:
            self.judgements.update({e: self.without_data for e in entries if e not in self.judgements})

    def forget_missing(self) -> None:
        """What could not be had is looked for again."""
        self.judgements = {entry: each for entry, each in self.judgements.items() if each.is_final}


def judge_entries(
    judge: JudgingProcess, request: RequestOf, entries: Iterable[int], session: Session, give_up_at_s: float
) -> None:
    """Judges the entries that have no judgement yet.

    If the process dies over an entry, it is the first that the next process gets, and invalid if that dies too.
    `session.problem` says what is missing if this comes back undone. `give_up_at_s` is on the monotonic clock.
    """
    session.problem, session.is_test_set_missing, session.unavailable, session.without_data = "", False, {}, None
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
        case FindingKind.NO_DATA:
            session.problem = finding.reason
            session.without_data = Judgement(finding.word, finding.reason)
        case FindingKind.HOPELESS:
            session.reject_all(entries, finding.reason)
        case FindingKind.UNAVAILABLE:
            session.unavailable[finding.entry] = Judgement(finding.word, f"it was not available: {finding.reason}")
        case FindingKind.JUDGED:
            session.judgements[finding.entry] = Judgement(
                finding.word, finding.reason, finding.wrong_segments, finding.rows
            )


def _text(kind: VerdictKind, ppm: int) -> str:
    return f"{ppm} ppm" if kind == VerdictKind.SCORED else kind.name.lower()
