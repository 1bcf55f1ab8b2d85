"""The gradient chain, folded from its events: a task, and one height of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from explorer.chain.events import Event
from explorer.fold.ballots import BALLOT, BallotView, of_ballot
from explorer.fold.folding import Steps, fold, into
from explorer.fold.money import MONEY
from pole.chain.gradient_structs import GradientTaskState
from pole.chain.structs import Verdict


@dataclass
class GradientTaskView:
    """`terms` come from a call when the task was submitted."""

    task_id: int = 0
    contract: str = ""
    client: str = ""
    manifest: Any = None
    budget_wei: int = 0
    state: int = 0
    submitted: Event | None = None
    closed: Event | None = None
    terms: dict[str, Any] = field(default_factory=dict)
    blocks: list[Event] = field(default_factory=list)
    money: list[Event] = field(default_factory=list)

    @property
    def mined(self) -> list[Event]:
        """Without the opening block, which only names the genesis weights."""
        return [block for block in self.blocks if block.args["header"].get("proof")]


@dataclass
class Proposal:
    """`index`: its entry in the ballot; `ballot`: None until there is one; `displaced`: by a higher bond."""

    event: Event
    index: int
    ballot: BallotView | None = None
    displaced: Event | None = None

    @property
    def miner(self) -> str:
        return str(self.event.args["miner"])

    @property
    def step(self) -> int:
        return int(self.event.args["proposal"]["step"])

    @property
    def verdict(self) -> Verdict | None:
        verdicts = [] if self.ballot is None else self.ballot.verdicts
        return verdicts[self.index] if self.index < len(verdicts) else None


@dataclass
class HeightView:
    """What happened at one height: searches, each with proposals and a ballot, until one of them made the block."""

    contract: str = ""
    height: int = 0
    phase: int = 0
    deadline: int = 0
    proposals: list[Proposal] = field(default_factory=list)
    rejections: list[Event] = field(default_factory=list)
    slashed: list[Event] = field(default_factory=list)
    reports: list[Event] = field(default_factory=list)
    accusers: list[Event] = field(default_factory=list)
    phases: list[Event] = field(default_factory=list)
    ballots: dict[int, BallotView] = field(default_factory=dict)
    block: Event | None = None
    money: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def lost_by(self, proposal: Proposal) -> Event | None:
        """The loss of the bond behind a proposal: the first one of its miner after it."""
        own = (each for each in self.slashed if each.args["miner"] == proposal.miner)
        return next((each for each in own if each.id > proposal.event.id), None)

    def is_block(self, proposal: Proposal) -> bool:
        header = {} if self.block is None else self.block.args["header"]
        return header.get("miner") == proposal.miner and header.get("proof") == proposal.event.args["proposal"]["proof"]


def fold_gradient_task(events: Iterable[Event]) -> GradientTaskView:
    return fold(GRADIENT_TASK, GradientTaskView(), events)


def fold_height(events: Iterable[Event]) -> HeightView:
    together = list(events)
    return fold(HEIGHT, HeightView(events=together), together)


def _submitted(view: GradientTaskView, event: Event) -> None:
    args = event.args
    view.submitted, view.contract, view.state = event, event.contract, GradientTaskState.PENDING
    view.task_id, view.client, view.manifest = args["taskId"], args["client"], args["manifest"]
    view.budget_wei = args.get("budgetWei", 0)
    view.terms = dict(event.derived.get("terms") or {})


def _closed(view: GradientTaskView, event: Event) -> None:
    view.closed, view.state = event, event.args["state"]


def _task_block(view: GradientTaskView, event: Event) -> None:
    view.blocks.append(event)
    if view.state == GradientTaskState.PENDING:
        view.state = GradientTaskState.ACTIVE


def _block(view: HeightView, event: Event) -> None:
    view.block, view.contract, view.height = event, event.contract, event.args["height"]


def _phase_changed(view: HeightView, event: Event) -> None:
    view.phases.append(event)
    view.contract, view.height = event.contract, event.args["height"]
    view.phase, view.deadline = event.args["phase"], event.args["deadline"]


def _proposed(view: HeightView, event: Event) -> None:
    view.proposals.append(Proposal(event, event.args.get("index", 0)))


def _displaced(view: HeightView, event: Event) -> None:
    own = (each for each in reversed(view.proposals) if each.miner == event.args["miner"] and each.ballot is None)
    for proposal in own:
        proposal.displaced = event
        break


def _ballot_opened(view: HeightView, event: Event) -> None:
    """Over the proposals of the search that it ends: back to the newest first one."""
    of_ballot(view, event)
    for proposal in reversed([each for each in view.proposals if each.displaced is None]):
        proposal.ballot = view.ballots[event.args["ballotId"]]
        if proposal.index == 0:
            break


GRADIENT_TASK: Steps[GradientTaskView] = {
    "GradientTaskSubmitted": _submitted,
    "GradientTaskClosed": _closed,
    "GradientBlockAppended": _task_block,
    **dict.fromkeys(MONEY, into("money")),
}
HEIGHT: Steps[HeightView] = {
    "GradientBlockAppended": _block,
    "HeightPhaseChanged": _phase_changed,
    "BlockProposed": _proposed,
    "ProposalsRejected": into("rejections"),
    "MinerSlashed": into("slashed"),
    "ProposalDisplaced": _displaced,
    "SegmentsReported": into("reports"),
    "AccuserRewarded": into("accusers"),
    **dict.fromkeys(MONEY, into("money")),
    **dict.fromkeys(BALLOT, of_ballot),
    "BallotOpened": _ballot_opened,
}
