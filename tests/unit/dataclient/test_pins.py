"""What a client unpins, and when; tested with a store that forgets unpinned content."""

from pathlib import Path

import pytest

from dataclient.pins import Keeper
from dataclient.served_tasks import served_tasks
from dataclient.task_folder import TaskHome
from pole.node.context import RoleContext
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore
from tests.unit.client_round import commissioned
from tests.unit.local_nodes import LocalNodes

PLAIN = {"scheme": "none", "rank_limit": None, "encrypt_test_set": False}


@pytest.fixture(autouse=True)
def forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpinned content is gone at once, as after a daemon has cleared up."""
    monkeypatch.setattr(FolderStore, "unpin", lambda store, cid: (store.root / str(cid)).unlink(missing_ok=True))


def cancel(client: RoleContext, home: TaskHome) -> None:
    submitted = home.submitted()
    assert submitted is not None
    client.contracts.task_market.cancel(submitted.task_id, key=f"cancel/{home.name}")


def files(home: TaskHome) -> set[Cid]:
    prepared = home.prepared()
    assert prepared is not None
    return {prepared.manifest_cid, *(Cid.parse(part.cid) for part in home.progress().parts)}


def test_keeper__task_was_cancelled__its_files_stay_for_the_time_given_and_go_then(
    client: RoleContext, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    keeper = Keeper(client, unpin_after_s=100)
    keeper.act(served_tasks(client))
    cancel(client, home)
    keeper.act(served_tasks(client))
    local_nodes.pass_time(90)
    Keeper(client, unpin_after_s=100).act(served_tasks(client))
    assert all(client.store.has(cid) for cid in files(home))
    local_nodes.pass_time(20)
    Keeper(client, unpin_after_s=100).act(served_tasks(client))
    assert not any(client.store.has(cid) for cid in files(home))


def test_keeper__the_other_chain_needs_a_file__it_stays(
    client: RoleContext, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    cancel(client, home)
    kept = next(iter(files(home)))
    for _ in range(2):
        Keeper(client, unpin_after_s=0, needed_elsewhere=lambda: {kept}).act(served_tasks(client))
        local_nodes.pass_time(1)
    assert [cid for cid in files(home) if client.store.has(cid)] == [kept]


def test_keeper__another_open_task_has_the_same_files__they_stay(
    client: RoleContext, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    first = commissioned(client, tmp_path, "first", encryption=PLAIN)
    second = commissioned(client, tmp_path, "second", encryption=PLAIN)
    shared = {Cid.parse(part.cid) for part in first.progress().parts}
    assert shared == {Cid.parse(part.cid) for part in second.progress().parts}
    cancel(client, first)
    for _ in range(2):
        Keeper(client, unpin_after_s=0).act(served_tasks(client))
        local_nodes.pass_time(1)
    assert files(second) - shared != set()
    assert all(client.store.has(cid) for cid in files(second))
    cancel(client, second)
    for _ in range(2):
        Keeper(client, unpin_after_s=0).act(served_tasks(client))
        local_nodes.pass_time(1)
    assert not any(client.store.has(cid) for cid in files(second))
