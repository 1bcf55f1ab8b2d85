"""The gradient chain, folded from its events: a task, and one height of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from explorer.chain.events import Event
from explorer.fold.ballots import BALLOT, BallotView
from explorer.fold.folding import Steps, fold
from pole.chain.gradient_structs import GradientTaskState


@dataclass
class GradientTaskView:
    """`terms` come from a call when the task was submitted."""

    task_id: int = 0
    contract: str = ""
    client: str = ""
    manifest: Any = None
    budget_wei: int = 0
    state: int = 0
    refund_wei: int | None = None
    submitted: Event | None = None
    closed: Event | None = None
    terms: dict[str, Any] = field(default_factory=dict)
    blocks: list[Event] = field(default_factory=list)


@dataclass
class HeightView:
    """What happened at one height: proposals, ballots, and the block if there is one."""

    contract: str = ""
    height: int = 0
    phase: int = 0
    deadline: int = 0
    proposals: list[Event] = field(default_factory=list)
    rejections: list[Event] = field(default_factory=list)
    slashed: list[Event] = field(default_factory=list)
    displaced: list[Event] = field(default_factory=list)
    reports: list[Event] = field(default_factory=list)
    phases: list[Event] = field(default_factory=list)
    ballots: dict[int, BallotView] = field(default_factory=dict)
    block: Event | None = None
    money: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


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
    view.closed, view.state, view.refund_wei = event, event.args["state"], event.args["refundWei"]


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
    view.proposals.append(event)


def _rejected(view: HeightView, event: Event) -> None:
    view.rejections.append(event)


def _slashed(view: HeightView, event: Event) -> None:
    view.slashed.append(event)


def _displaced(view: HeightView, event: Event) -> None:
    view.displaced.append(event)


def _reported(view: HeightView, event: Event) -> None:
    view.reports.append(event)


def _money(view: HeightView, event: Event) -> None:
    view.money.append(event)


def _of_ballot(view: HeightView, event: Event) -> None:
    ballot = view.ballots.setdefault(event.args["ballotId"], BallotView(event.args["ballotId"]))
    BALLOT[event.name](ballot, event)


GRADIENT_TASK: Steps[GradientTaskView] = {
    "GradientTaskSubmitted": _submitted,
    "GradientTaskClosed": _closed,
    "GradientBlockAppended": _task_block,
}
HEIGHT: Steps[HeightView] = {
    "GradientBlockAppended": _block,
    "HeightPhaseChanged": _phase_changed,
    "BlockProposed": _proposed,
    "ProposalsRejected": _rejected,
    "MinerSlashed": _slashed,
    "ProposalDisplaced": _displaced,
    "SegmentsReported": _reported,
    **dict.fromkeys(("Deposited", "Moved", "Credited"), _money),
    **dict.fromkeys(BALLOT, _of_ballot),
}
