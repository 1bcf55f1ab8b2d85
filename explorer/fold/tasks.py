"""A task of the market, folded from its events."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from explorer.chain.events import Event
from explorer.fold.folding import Steps, fold, into
from explorer.fold.money import MONEY
from pole.chain.structs import TaskState


@dataclass
class TaskView:
    """`terms` come from a call when the task was submitted; empty if the node had no answer."""

    task_id: int = 0
    contract: str = ""
    client: str = ""
    manifest: Any = None
    reward_wei: int = 0
    verifier_fee_wei: int = 0
    bond_wei: int = 0
    state: int = 0
    submitted: Event | None = None
    closed: Event | None = None
    terms: dict[str, Any] = field(default_factory=dict)
    rounds: list[Event] = field(default_factory=list)
    money: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def value(self, windows_s: int) -> int:
        """What the market sorts by, wei per second of the longest round; 0 where the time limit is not known.

        `windows_s`: all windows of a round together.
        """
        limit = self.terms.get("timeLimitS", 0)
        return self.reward_wei // (limit + windows_s) if limit else 0


def fold_task(events: Iterable[Event]) -> TaskView:
    together = list(events)
    return fold(TASK, TaskView(events=together), together)


def _submitted(view: TaskView, event: Event) -> None:
    args = event.args
    view.submitted, view.contract, view.state = event, event.contract, TaskState.PENDING
    view.task_id, view.client, view.manifest = args["taskId"], args["client"], args["manifest"]
    view.reward_wei = args.get("rewardWei", 0)
    view.verifier_fee_wei, view.bond_wei = args.get("verifierFeeWei", 0), args.get("bondWei", 0)
    view.terms = dict(event.derived.get("terms") or {})


def _raised(view: TaskView, event: Event) -> None:
    """A listed reward was raised."""
    view.reward_wei = event.args.get("rewardWei", view.reward_wei)
    view.verifier_fee_wei = event.args.get("verifierFeeWei", view.verifier_fee_wei)


def _popped(view: TaskView, _event: Event) -> None:
    view.state = TaskState.IN_ROUND


def _closed(view: TaskView, event: Event) -> None:
    view.closed, view.state = event, event.args["outcome"]


TASK: Steps[TaskView] = {
    "TaskSubmitted": _submitted,
    "RewardRaised": _raised,
    "TaskPopped": _popped,
    "TaskClosed": _closed,
    "RoundOpened": into("rounds"),
    **dict.fromkeys(MONEY, into("money")),
}
