"""A client is told once of each task that has a model, or came to nothing, on both chains."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dataclient.gradient.task_folder import OrderHome
from dataclient.served_tasks import served_tasks
from dataclient.task_folder import Submitted
from dataclient.telling import Told
from pole.chain.gradient_structs import GradientTaskState, StopReason
from pole.chain.structs import Phase, TaskState
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.node.notify.notices import NOBODY
from tests.unit.client_round import Hand, commissioned
from tests.unit.heard import Heard
from tests.unit.local_nodes import LocalNodes


def listening(client: RoleContext) -> tuple[Told, Heard]:
    heard = Heard()
    return Told(replace(client, notices=heard)), heard


def test_act__keys_never_published__told_why_and_what_is_left(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    told, heard = listening(client)
    opened = hand.open_round()
    told.act(served_tasks(client))
    assert heard.told == {}
    local_nodes.pass_time(opened.deadline - client.chain.block_time() + 1)
    hand.send("LearningChain", "advance", opened.round_id)
    assert hand.current().phase is Phase.ABORTED
    for _ in range(2):
        told.act(served_tasks(client))
    submitted = home.submitted()
    assert submitted is not None
    [(key, text)] = heard.told.items()
    assert key == f"task/{submitted.task_id}"
    credit_wei = client.contracts.reward_reservoir.credit_wei(client.address)
    assert text == (
        "small has no model: its keys were not published in time, which costs its bond if verifiers waited for them; "
        f"{wei_to_ether(credit_wei)} ether can be withdrawn"
    )
    assert heard.urgent == [key]


@pytest.mark.parametrize("is_collected", [False, True])
def test_act__solved__told_how_to_fetch_the_model_unless_it_was(
    is_collected: bool, client: RoleContext, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    [served] = [each for each in served_tasks(client) if each.home == home]
    solved = replace(served, task=replace(served.task, state=TaskState.SOLVED))
    if is_collected:
        client.journal.remember(f"collected/{served.task.task_id}", {"at_s": 1})
    told, heard = listening(client)
    told.act([solved])
    expected = [] if is_collected else ["the model of small is ready: pole client fetch-model small"]
    assert list(heard.told.values()) == expected


# --- gradient chain --------------------------------------------------------------------------------------------------


class Orders:
    """A client with a gradient task whose state a test sets."""

    def __init__(self, folder: Path) -> None:
        self.state, self.reads = GradientTaskState.ACTIVE, 0
        deployment = SimpleNamespace(identity="1-abc")
        self.context: Any = SimpleNamespace(
            home=folder,
            notices=Heard(),
            chain=SimpleNamespace(deployment=deployment),
            contracts=SimpleNamespace(gradient_chain=SimpleNamespace(task=self.task)),
        )
        for name, where in (("mine", "1-abc"), ("elsewhere", "2-def"), ("unpaid", None)):
            home = OrderHome(folder / "gradient-tasks" / name)
            home.folder.mkdir(parents=True)
            (home.folder / "order.json").write_text("{}")
            if where is not None:
                home.keep_submitted(Submitted(task_id=3, deployment=where, client="0xClient"))

    def task(self, task_id: int) -> Any:
        assert task_id == 3
        self.reads += 1
        reason, terms = StopReason.TIMED_OUT, SimpleNamespace(block_count=30)
        return SimpleNamespace(task_id=3, state=self.state, stop_reason=reason, blocks_done=12, terms=terms)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            GradientTaskState.COMPLETED,
            "the model of gradient task mine is ready after 12 of 30 blocks: pole client gradient fetch mine",
        ),
        (
            GradientTaskState.STOPPED,
            "gradient task mine was stopped after 12 of 30 blocks: timed out; what there is: "
            "pole client gradient fetch mine",
        ),
        (GradientTaskState.CANCELLED, None),
    ],
)
def test_act__gradient_task_over__told_once_and_not_read_again(
    state: GradientTaskState, text: str | None, tmp_path: Path
) -> None:
    orders = Orders(tmp_path)
    told = Told(orders.context)
    told.act([])
    assert orders.context.notices.told == {}
    orders.state = state
    for _ in range(3):
        told.act([])
    assert list(orders.context.notices.told.values()) == ([] if text is None else [text])
    assert orders.reads == 2


def test_act__nobody_to_tell__reads_nothing(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.context.notices = NOBODY
    Told(orders.context).act([])
    assert orders.reads == 0
