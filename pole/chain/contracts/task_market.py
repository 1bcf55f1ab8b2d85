"""TaskMarket: tasks, their escrow, and the list that rounds are opened from."""

from pole.chain.abi import from_abi
from pole.chain.client import Receipt
from pole.chain.contracts.base import BaseContract
from pole.chain.structs import Lane, MarketParameters, Task, TaskTerms


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

    def submit(self, terms: TaskTerms, *, key: str, value_wei: int) -> Receipt:
        """`value_wei`: reward, fee of the verifiers and bond. Emits TaskSubmitted with the task's id."""
        return self._write(key, "submit", terms, value_wei=value_wei)

    def raise_reward(self, task_id: int, *, key: str, value_wei: int) -> Receipt:
        """Add to what a pending task pays; split like the first payment."""
        return self._write(key, "raiseReward", task_id, value_wei=value_wei)

    def cancel(self, task_id: int, *, key: str | None = None) -> Receipt:
        """Take a task off the list; all that was paid becomes a credit."""
        return self._write(key or f"cancel/{task_id}", "cancel", task_id)
