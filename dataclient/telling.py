"""What a client is told of its tasks on both chains: that a model is ready, or why there is none."""

from collections.abc import Sequence

from dataclient.gradient.task_folder import all_order_homes
from dataclient.served_tasks import ServedTask
from pole.chain.gradient_structs import GradientTask, GradientTaskState
from pole.chain.structs import AbortReason, Task, TaskState
from pole.money import wei_to_ether
from pole.node.context import RoleContext

_WHY = {
    AbortReason.NONE: "its round ended without a block",
    AbortReason.KEYS_MISSING: "its keys were not published in time, which costs its bond if verifiers waited for them",
    AbortReason.NO_SOLUTION: "no miner committed a solution",
    AbortReason.NOTHING_REVEALED: "no miner revealed its solution",
    AbortReason.QUORUM_LOST: "too few verifiers voted",
    AbortReason.NO_VALID_SOLUTION: "no solution was valid",
    AbortReason.BELOW_FLOOR: "no solution reached the test accuracy that was asked for",
    AbortReason.UNDECIDED: "the verifiers did not agree",
}
_ROUNDS = 100
"""How far back its round is looked for: it was the newest when the task was refunded."""


class Told:
    """`act` is called at every pass; nothing is asked of the chain unless somebody is to be told."""

    def __init__(self, client: RoleContext) -> None:
        self._client = client
        self._over: set[int] = set()

    def act(self, tasks: Sequence[ServedTask]) -> None:
        """`tasks`: all of this client on the learning chain."""
        if self._client.notices.is_on:
            for served in tasks:
                self._tell_of(served)
            self._tell_of_gradient_tasks()

    def _tell_of(self, served: ServedTask) -> None:
        client, task, name = self._client, served.task, served.home.name
        if task.state is TaskState.SOLVED and client.journal.recall(f"collected/{task.task_id}") is None:
            client.notices.tell(f"task/{task.task_id}", f"the model of {name} is ready: pole client fetch-model {name}")
        elif task.state is TaskState.REFUNDED:
            client.notices.tell(f"task/{task.task_id}", lambda: f"{name} has no model: {self._why(task)}")

    def _why(self, task: Task) -> str:
        chain = self._client.contracts.lanes[task.lane].learning_chain
        newest = chain.round_count()
        rounds = (chain.round(number) for number in range(newest, max(0, newest - _ROUNDS), -1))
        ended = next((each for each in rounds if each.task_id == task.task_id), None)
        credit_wei = self._client.contracts.reward_reservoir.credit_wei(self._client.address)
        why = "its round ended without a block" if ended is None else _WHY[ended.abort_reason]
        return f"{why}; {wei_to_ether(credit_wei)} ether can be withdrawn"

    def _tell_of_gradient_tasks(self) -> None:
        client = self._client
        for home in all_order_homes(client.home):
            submitted = home.submitted()
            if submitted is None or submitted.deployment != client.chain.deployment.identity:
                continue
            if submitted.task_id in self._over:
                continue
            task = client.contracts.gradient_chain.task(submitted.task_id)
            if task.state.is_over:
                self._over.add(task.task_id)
                if task.state is not GradientTaskState.CANCELLED:
                    client.notices.tell(f"gradient-task/{task.task_id}", _ended(task, home.name))


def _ended(task: GradientTask, name: str) -> str:
    blocks = f"{task.blocks_done} of {task.terms.block_count} blocks"
    fetch = f"pole client gradient fetch {name}"
    if task.state is GradientTaskState.COMPLETED:
        return f"the model of gradient task {name} is ready after {blocks}: {fetch}"
    why = task.stop_reason.name.lower().replace("_", " ")
    return f"gradient task {name} was stopped after {blocks}: {why}; what there is: {fetch}"
