"""A round, folded from the events that concern it, its ballots' and the reservoir's included."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from explorer.chain.events import Event
from explorer.fold.ballots import BALLOT, BallotView, of_ballot
from explorer.fold.folding import Steps, fold, into
from explorer.fold.money import MONEY
from pole.chain.structs import Phase, Verdict, VerdictKind


@dataclass
class Submission:
    """One miner's, with what became of it."""

    index: int
    miner: str
    claimed_ppm: int
    committed: Event
    revealed: Event | None = None
    model: Any = None
    verdict: Verdict | None = None
    ballot_id: int = 0
    entry: int = 0
    """The ballot, and the entry of it, that decided."""
    forfeited: list[Event] = field(default_factory=list)


@dataclass
class RoundView:
    """What the events say of one round; ids are those of the contract `contract`."""

    contract: str = ""
    round_id: int = 0
    task_id: int = 0
    height: int = 0
    previous_hash: str | None = None
    phase: int = 0
    deadline: int = 0
    abort_reason: int = 0
    is_overtime: bool = False
    is_test_set_released: bool = False
    opened: Event | None = None
    keys: Event | None = None
    released: Event | None = None
    aborted: Event | None = None
    occupied: Event | None = None
    block: Event | None = None
    phases: list[Event] = field(default_factory=list)
    submissions: dict[str, Submission] = field(default_factory=dict)
    ballots: dict[int, BallotView] = field(default_factory=dict)
    forfeited: list[Event] = field(default_factory=list)
    displaced: list[Event] = field(default_factory=list)
    ommers: list[Event] = field(default_factory=list)
    references: list[Event] = field(default_factory=list)
    money: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def is_idle(self) -> bool:
        return self.task_id == 0

    @property
    def is_over(self) -> bool:
        return self.phase in (Phase.FINALISED, Phase.ABORTED)

    @property
    def winner(self) -> str | None:
        return None if self.block is None else self.block.args["header"].get("winner")

    @property
    def revealed(self) -> list[Submission]:
        return [each for each in self.submissions.values() if each.revealed is not None]

    def deadline_of(self, phase: Phase) -> int:
        """The end that a phase was given when it began; 0 if it never did."""
        return next((event.args["deadline"] for event in reversed(self.phases) if event.args["phase"] == phase), 0)


def fold_round(events: Iterable[Event]) -> RoundView:
    """All events with the round's key, in the order of the chain."""
    together = list(events)
    view = fold(ROUND, RoundView(events=together), together)
    _judge(view)
    return view


def _opened(view: RoundView, event: Event) -> None:
    view.opened, view.contract = event, event.contract
    view.round_id, view.task_id, view.height = event.args["roundId"], event.args["taskId"], event.args["height"]
    view.previous_hash = event.args.get("previousHash")


def _hash_bound(view: RoundView, event: Event) -> None:
    view.previous_hash = event.args["previousHash"]


def _phase_changed(view: RoundView, event: Event) -> None:
    view.phases.append(event)
    view.phase, view.deadline = event.args["phase"], event.args["deadline"]
    view.is_overtime = view.is_overtime or view.phase == Phase.OVERTIME


def _keys_published(view: RoundView, event: Event) -> None:
    view.keys = event


def _committed(view: RoundView, event: Event) -> None:
    """A later commit of the same miner replaces the earlier one."""
    miner = event.args["miner"]
    view.submissions[miner] = Submission(event.args["index"], miner, event.args["claimedTrainPpm"], event)
    view.money.append(event)


def _displaced(view: RoundView, event: Event) -> None:
    view.submissions.pop(event.args["miner"], None)
    view.displaced.append(event)


def _occupied(view: RoundView, event: Event) -> None:
    view.occupied = event


def _released(view: RoundView, event: Event) -> None:
    view.released, view.is_test_set_released = event, True


def _revealed(view: RoundView, event: Event) -> None:
    submission = view.submissions.get(event.args["miner"])
    if submission is not None:
        submission.revealed, submission.model = event, event.args["model"]


def _forfeited(view: RoundView, event: Event) -> None:
    view.forfeited.append(event)
    submission = view.submissions.get(event.args["owner"])
    if submission is not None:
        submission.forfeited.append(event)


def _appended(view: RoundView, event: Event) -> None:
    view.block = event


def _aborted(view: RoundView, event: Event) -> None:
    view.aborted, view.abort_reason = event, event.args["reason"]


def _judge(view: RoundView) -> None:
    """Gives submissions their verdicts: a ballot is over the revealed ones in the order of their commits, a second one
    over those of them whose train part the first left undecided.
    """
    waiting = sorted(view.revealed, key=lambda each: each.index)
    for ballot in sorted(view.ballots.values(), key=lambda each: each.ballot_id):
        verdicts = ballot.verdicts
        if len(verdicts) != len(waiting):
            continue
        for entry, (submission, verdict) in enumerate(zip(waiting, verdicts, strict=True)):
            submission.verdict, submission.ballot_id, submission.entry = verdict, ballot.ballot_id, entry
        waiting = [each for each in waiting if each.verdict and each.verdict.train == VerdictKind.UNDECIDED]


ROUND: Steps[RoundView] = {
    "RoundOpened": _opened,
    "PreviousHashBound": _hash_bound,
    "PhaseChanged": _phase_changed,
    "KeysPublished": _keys_published,
    "SolutionCommitted": _committed,
    "SubmissionDisplaced": _displaced,
    "OccupancyPaid": _occupied,
    "TestSetReleased": _released,
    "SolutionRevealed": _revealed,
    "BondForfeited": _forfeited,
    "BlockAppended": _appended,
    "OmmerAdded": into("ommers"),
    "OmmerReferenced": into("references"),
    "RoundAborted": _aborted,
    **dict.fromkeys(MONEY, into("money")),
    **dict.fromkeys(BALLOT, of_ballot),
}
