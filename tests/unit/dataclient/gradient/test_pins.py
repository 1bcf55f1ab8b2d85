"""What a client keeps of a gradient task, and until when."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dataclient.gradient import pins
from dataclient.gradient.pins import GradientKeeper, note_fetched
from dataclient.gradient.task_folder import GradientOrder, open_order_home
from dataclient.sources.load import SourceOptions
from dataclient.task_folder import Submitted
from pole.chain.gradient_structs import GradientTaskState
from pole.journal.journal import Journal
from pole.node.pins import Pins
from pole.storage.cid import Cid, cid_of
from pole.storage.folder import FolderStore
from tests.unit.gradient_task import GradientTask, digits_task

DEPLOYMENT, TASK_ID, UNPIN_AFTER_S = "31337-abc", 3, 100
TRAINED = b"the newest weights"


class Daemon(FolderStore):
    """A store that tells what it was asked to pin and to unpin."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.kept: list[Cid] = []
        self.unpinned: list[Cid] = []

    def pin(self, cid: Cid, _timeout_s: float | None = None) -> None:
        self.kept.append(cid)

    def unpin(self, cid: Cid) -> None:
        self.unpinned.append(cid)


@dataclass
class Chain:
    """The only task, whose newest block has `TRAINED`."""

    terms: Any
    state: GradientTaskState = GradientTaskState.ACTIVE
    blocks_done: int = 2
    now_s: int = 1_000
    task_id: int = TASK_ID
    identity: str = DEPLOYMENT

    @property
    def deployment(self) -> "Chain":
        return self

    def block_time(self) -> int:
        return self.now_s

    def task(self, task_id: int) -> "Chain":
        assert task_id == TASK_ID
        return self

    def height(self) -> int:
        return 1

    def header(self, height: int) -> Any:
        return SimpleNamespace(task_id=TASK_ID, weights=cid_of(TRAINED))


@pytest.fixture
def store(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "store")


@pytest.fixture
def task(store: Daemon) -> GradientTask:
    return digits_task(store)


@pytest.fixture
def chain(store: Daemon, task: GradientTask) -> Chain:
    terms = SimpleNamespace(manifest=store.put(task.manifest.to_bytes()), genesis_weights=task.genesis)
    return Chain(terms)


@pytest.fixture
def client(store: Daemon, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(pins, "LOOK_EVERY_S", 0.0)
    order = GradientOrder(
        name="digits", data=SourceOptions(source="any"), block_count=2, block_reward_wei=1, target_interval_s=1
    )
    home = open_order_home(tmp_path, order)
    home.keep_submitted(Submitted(task_id=TASK_ID, deployment=DEPLOYMENT, client="0x" + "11" * 20))
    return SimpleNamespace(
        home=tmp_path,
        store=store,
        chain=chain,
        contracts=SimpleNamespace(gradient_chain=chain),
        journal=Journal(tmp_path / "journal.sqlite"),
    )


def act(client: Any) -> set[Cid]:
    """One look of a new process, and what is due after it."""
    needed = GradientKeeper(client, UNPIN_AFTER_S).act()
    Pins(client.journal, client.store, None).let_go(client.chain.block_time(), needed)
    return needed


def files(task: GradientTask, chain: Chain) -> set[Cid]:
    rows = {Cid.parse(file.cid) for file in (*task.manifest.data.training_set, task.manifest.test_set)}
    return {chain.terms.manifest, task.genesis, *rows}


def test_act__task_is_mined_for__all_its_files_are_needed(client: Any, chain: Chain, task: GradientTask) -> None:
    assert act(client) == files(task, chain)
    assert client.store.kept == []


def test_act__task_of_another_deployment__is_left_alone(client: Any, chain: Chain) -> None:
    chain.identity = "another"
    assert act(client) == set()


def test_act__task_completed__weights_are_pinned_once_and_all_stay_until_fetched(
    client: Any, chain: Chain, task: GradientTask
) -> None:
    chain.state = GradientTaskState.COMPLETED
    for _ in range(2):
        assert act(client) == {*files(task, chain), cid_of(TRAINED)}
        chain.now_s += 10 * UNPIN_AFTER_S
    assert (client.store.kept, client.store.unpinned) == ([cid_of(TRAINED)], [])


def test_act__weights_were_fetched__all_goes_after_the_time_given(
    client: Any, chain: Chain, task: GradientTask
) -> None:
    chain.state = GradientTaskState.STOPPED
    act(client)
    note_fetched(client, chain)  # type: ignore[arg-type]
    assert act(client) == set()
    chain.now_s += UNPIN_AFTER_S - 1
    act(client)
    assert client.store.unpinned == []
    chain.now_s += 1
    act(client)
    assert set(client.store.unpinned) == {*files(task, chain), cid_of(TRAINED)}


def test_act__fetched_before_the_end__its_last_weights_are_still_waited_for(
    client: Any, chain: Chain, task: GradientTask
) -> None:
    note_fetched(client, chain)  # type: ignore[arg-type]
    chain.state = GradientTaskState.COMPLETED
    assert act(client) == {*files(task, chain), cid_of(TRAINED)}


def test_act__no_block__files_go_without_a_fetch(client: Any, chain: Chain, task: GradientTask) -> None:
    chain.state, chain.blocks_done = GradientTaskState.CANCELLED, 0
    assert act(client) == set()
    chain.now_s += UNPIN_AFTER_S
    act(client)
    assert (client.store.kept, set(client.store.unpinned)) == ([], files(task, chain))
