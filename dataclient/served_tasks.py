"""The tasks of this client on this deployment, read with as few requests as possible."""

from dataclasses import dataclass

from dataclient.task_folder import TaskHome, all_task_homes
from pole.chain.structs import Task, TaskState
from pole.node.context import RoleContext

OPEN_STATES = (TaskState.PENDING, TaskState.IN_ROUND)


FINAL_AFTER_BLOCKS = 64
"""Two epochs of Ethereum."""


@dataclass(frozen=True)
class ServedTask:
    """One of this client's tasks on this chain."""

    home: TaskHome
    task: Task

    @property
    def is_open(self) -> bool:
        """Whether the client still owes it anything."""
        return self.task.state in OPEN_STATES


class TaskReader:
    """Reads tasks, but no longer those that have been over for so many blocks that no reorg brings them back.

    A client that serves for months has hundreds of them, and looks at all its tasks at every poll.
    """

    def __init__(self, client: RoleContext) -> None:
        self._client = client
        self._over: dict[int, tuple[int, Task]] = {}

    def task(self, task_id: int) -> Task:
        seen = self._over.get(task_id)
        if seen is not None and self._client.chain.newest_block >= seen[0] + FINAL_AFTER_BLOCKS:
            return seen[1]
        task = self._client.contracts.task_market.task(task_id)
        if task.state in OPEN_STATES:
            self._over.pop(task_id, None)
        else:
            since = seen[0] if seen is not None else self._client.chain.block_number()
            self._over[task_id] = (since, task)
        return task


def served_tasks(client: RoleContext, reader: TaskReader | None = None) -> list[ServedTask]:
    """All tasks of this client that were submitted to this deployment, by name."""
    identity, read = client.chain.deployment.identity, (reader or client.contracts.task_market).task
    found = []
    for home in all_task_homes(client.home):
        submitted = home.submitted()
        if submitted is not None and submitted.deployment == identity:
            found.append(ServedTask(home, read(submitted.task_id)))
    return found
