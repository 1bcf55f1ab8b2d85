"""TaskMarket: tasks, their escrow, and the list that rounds are opened from."""

from collections.abc import Callable, Iterator

from pole.chain.abi import from_abi
from pole.chain.client import Receipt
from pole.chain.contracts.base import BaseContract
from pole.chain.structs import Lane, MarketParameters, Task, TaskTerms
from pole.chain.verdicts import PPM
from pole.errors import TransactionReverted

_TRIES = 3
_PAGE = 500
"""Pending tasks read at once."""


class TaskMarket(BaseContract):
    name = "TaskMarket"

    def task(self, task_id: int) -> Task:
        """Task ids start at 1. Raises TransientChainError where there is none: a reorganisation may bring it back."""
        task: Task = from_abi(Task, self._read_task(task_id), task_id=task_id)
        return task

    def task_count(self) -> int:
        return int(self._read("taskCount"))

    def pending_count(self) -> int:
        return int(self._read("pendingCount"))

    def most_valuable(self) -> int | None:
        """Id of the task that the next round would take; None with an empty list."""
        return int(self._read("mostValuable")) or None

    def lanes(self) -> list[Lane]:
        return [from_abi(Lane, part) for part in self._read("lanes")]

    def next_lane(self) -> int | None:
        """Index of the lane that may open the next round: the one that has been idle longest; None if all are busy."""
        idle = [(lane.idle_since, index) for index, lane in enumerate(self.lanes()) if not lane.is_busy]
        return min(idle)[1] if idle else None

    def parameters(self) -> MarketParameters:
        parameters: MarketParameters = self._read_once(MarketParameters)
        return parameters

    def pending(self) -> Iterator[tuple[int, int]]:
        """Pending tasks, the most valuable first: id and value, see `value_of`."""
        last = 0
        while True:
            task_ids, values = self._read("pending", last, _PAGE)
            yield from zip(task_ids, values, strict=True)
            if len(task_ids) < _PAGE:
                return
            last = task_ids[-1]

    def hint(self, payment_wei: int, time_limit_s: int, task_id: int = 0) -> int:
        """The pending task behind which one of this payment (reward and fee) goes, itself not counted; 0: the front."""
        parameters, ahead = self.parameters(), 0
        reward_wei = payment_wei - -(-payment_wei * parameters.verifier_fee_ppm // PPM)
        value = (reward_wei << 32) // (time_limit_s + parameters.round_windows_s)
        for pending_id, pending_value in self.pending():
            if pending_value < value:
                break
            if pending_id != task_id:
                ahead = pending_id
        return ahead

    def submit(self, terms: TaskTerms, *, key: str, value_wei: int) -> Receipt:
        """`value_wei`: reward, fee of the verifiers and bond. Emits TaskSubmitted with the task's id."""

        def send() -> Receipt:
            hint = self.hint(value_wei - self.parameters().client_bond_wei, terms.time_limit_s)
            return self._write(key, "submit", terms, hint, value_wei=value_wei)

        return _with_fresh_hint(send)

    def raise_reward(self, task_id: int, *, key: str, value_wei: int) -> Receipt:
        """Add to what a pending task pays; the fee is taken anew of the whole payment."""

        def send() -> Receipt:
            task = self.task(task_id)
            payment_wei = task.reward_wei + task.verifier_fee_wei + value_wei
            hint = self.hint(payment_wei, task.terms.time_limit_s, task_id)
            return self._write(key, "raiseReward", task_id, hint, value_wei=value_wei)

        return _with_fresh_hint(send)

    def cancel(self, task_id: int, *, key: str | None = None) -> Receipt:
        """Take a task off the list; all that was paid becomes a credit."""
        return self._write(key or f"cancel/{task_id}", "cancel", task_id)


def _with_fresh_hint(send: Callable[[], Receipt]) -> Receipt:
    """Again where the list has changed by more than 16 places since it was read: nothing was paid then."""
    for _ in range(_TRIES - 1):
        try:
            return send()
        except TransactionReverted as exc:
            if exc.name != "StaleHint":
                raise
    return send()
