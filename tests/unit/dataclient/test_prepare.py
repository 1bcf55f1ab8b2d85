"""Preparing a task: contradictions first, then real encryption end to end, interrupted and resumed."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataclient import prepare as prepare_module
from dataclient.prepare import prepare, read_rows
from dataclient.task_file import TaskSource, read_task_file
from dataclient.task_folder import TaskHome, all_task_homes, check_private, find_task_home, open_task_home
from pole.encryption import MasterKey
from pole.errors import BadInput, JournalError, ManifestInvalid, PoleError
from pole.learning.features import load_features
from pole.learning.functional_keys import issue_keys
from pole.learning.mapping import project, statistics
from pole.storage.cid import Cid, cid_of
from pole.storage.folder import FolderStore
from pole.task.manifest import MAX_MANIFEST_BYTES, Manifest
from pole.task.rows import rows_from_bytes
from tests.unit.client_round import ROWS, write_small_task

PREVIOUS_HASH = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., TaskSource]:
    """Writes a small CSV and a task file on it; sections given by name replace fields of the default."""

    def write(name: str = "small", **changes: dict[str, Any]) -> TaskSource:
        return read_task_file(write_small_task(tmp_path, name, **changes))

    return write


def manifest_of(store: FolderStore, cid: str) -> Manifest:
    return Manifest.from_bytes(store.get(Cid.parse(cid), MAX_MANIFEST_BYTES))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"discretisation": {"minimum": [0.0, 0.0], "maximum": [1.0, 1.0]}}, "2 minima .* have 3 features"),
        ({"discretisation": {"minimum": [3.0], "maximum": [3.0]}}, "minimum < maximum"),
        ({"mapping": {"segments": 2}}, "2 segments do not divide 3 features"),
        ({"mapping": {"vectors": 3}}, "3 query vectors on 3 features per segment, rank_limit 2"),
        ({"encryption": {"rank_limit": 3}}, "rank_limit 3: need vectors <= rank_limit < features"),
        ({"model": {"layers": [{"name": "classes", "type": "linear", "size": 3}]}}, "classes"),
        ({"data": {"label": "species"}}, "no label column 'species'"),
        (
            {"discretisation": {"minimum": [0.0]}},
            "% of the values .* of its range .* would be clipped; run `init` again",
        ),
        ({"data": {"digest": "00" * 32}}, "has changed since the task file was made"),
        ({"data": {"columns": ["b", "a", "c", "kind"]}}, "has the columns a, b, c, kind, but had b, a, c, kind when"),
    ],
)
def test_prepare__contradiction__is_found_before_anything_is_encrypted(
    write_task: Callable[..., TaskSource],
    store: FolderStore,
    tmp_path: Path,
    changes: dict[str, dict[str, Any]],
    message: str,
) -> None:
    source = write_task(**changes)
    home = open_task_home(tmp_path / "home", source, is_new=False)
    with pytest.raises((BadInput, ManifestInvalid), match=message):
        prepare(source.task, home, store)
    assert not home.master_key.exists()
    assert list(store.root.iterdir()) == []


def test_open_task_home__changed_file__needs_another_name_or_again(
    write_task: Callable[..., TaskSource], tmp_path: Path
) -> None:
    open_task_home(tmp_path, write_task(), is_new=False)
    changed = write_task(terms={"reward_ether": "2"})
    with pytest.raises(BadInput, match="differs from the file that task 'small' was made from"):
        open_task_home(tmp_path, changed, is_new=False)
    assert open_task_home(tmp_path, changed, is_new=True).name == "small~2"
    assert open_task_home(tmp_path, changed, is_new=False).name == "small~2"


def test_find_task_home__unknown__lists_the_known(write_task: Callable[..., TaskSource], tmp_path: Path) -> None:
    open_task_home(tmp_path, write_task(), is_new=False)
    with pytest.raises(BadInput, match=r"no task 'big' in .*; known are: small"):
        find_task_home(tmp_path, "big")


def test_check_private__open_folder__is_refused(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir(mode=0o755)
    with pytest.raises(BadInput, match=r"is open to other users \(mode 755\)"):
        check_private(tmp_path)


def test_task_home__damaged_record__says_which(tmp_path: Path) -> None:
    (tmp_path / "prepared.json").write_text("{")
    with pytest.raises(JournalError, match=r"prepared\.json is damaged"):
        TaskHome(tmp_path).prepared()


@pytest.mark.parametrize(("points", "size"), [("uncompressed", 64), ("compressed", 33)])
def test_prepare__encrypted__round_opens_exactly_the_mapped_rows(
    write_task: Callable[..., TaskSource], store: FolderStore, tmp_path: Path, points: str, size: int
) -> None:
    source = write_task(encryption={"points": points})
    home = open_task_home(tmp_path / "home", source, is_new=False)
    seen: list[tuple[int, int]] = []
    prepared = prepare(source.task, home, store, lambda done, total: seen.append((done, total)))
    manifest = manifest_of(store, prepared.manifest)
    training, test = read_rows(home, manifest.data)
    assert (len(training.labels), len(test.labels)) == (18, 6)
    assert seen[-1] == (ROWS, ROWS)
    timing = home.encrypted()
    assert timing is not None
    assert timing.rows == ROWS
    assert timing.cpu_s > 0
    assert 0 < manifest.data.training_set[0].size_bytes - 18 * (4 * size + 8) < 512
    keys = issue_keys(MasterKey.load(home.master_key), manifest, PREVIOUS_HASH, [])
    store.put_file(home.test_set)
    features = load_features(
        store, manifest, prepared.manifest_cid, PREVIOUS_HASH, keys, prepared.test_set_cid, tmp_path / "cache"
    )
    mapped = project(manifest.mapping, PREVIOUS_HASH, training.x)
    constants = statistics(manifest.mapping, [mapped])
    assert np.array_equal(features.train_x, constants.apply(mapped))
    assert features.test_x is not None
    assert np.array_equal(features.test_x, constants.apply(project(manifest.mapping, PREVIOUS_HASH, test.x)))
    assert np.array_equal(features.train_y, training.labels)


def test_prepare__keeps_the_test_set_and_secrets_private(
    write_task: Callable[..., TaskSource], store: FolderStore, tmp_path: Path
) -> None:
    source = write_task()
    home = open_task_home(tmp_path / "home", source, is_new=False)
    prepared = prepare(source.task, home, store)
    assert not store.has(prepared.test_set_cid)
    assert cid_of(home.test_set.read_bytes()) == prepared.test_set_cid
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.folder.iterdir()} == {0o600}
    stored = b"".join(path.read_bytes() for path in store.root.iterdir())
    assert home.test_rows.read_bytes() not in stored
    assert prepared.salt_bytes not in stored


def test_prepare__not_encrypted__stores_the_plain_training_rows_only(
    write_task: Callable[..., TaskSource], store: FolderStore, tmp_path: Path
) -> None:
    source = write_task(encryption={"scheme": "none", "rank_limit": None, "encrypt_test_set": False})
    home = open_task_home(tmp_path / "home", source, is_new=False)
    prepared = prepare(source.task, home, store)
    manifest = manifest_of(store, prepared.manifest)
    [file] = manifest.data.training_set
    training, _ = read_rows(home, manifest.data)
    stored = rows_from_bytes(store.get(Cid.parse(file.cid), file.size_bytes), manifest.data, file.rows)
    assert np.array_equal(stored.x, training.x)
    assert not store.has(prepared.test_set_cid)
    assert not home.master_key.exists()


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("rows_before", [1, 8, 18, 23])
def test_prepare__interrupted__goes_on_with_the_same_key_and_files(
    write_task: Callable[..., TaskSource],
    store: FolderStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows_before: int,
) -> None:
    monkeypatch.setattr(prepare_module, "PART_BYTES", 5 * (4 * 64 + 8))
    source = write_task()
    home = open_task_home(tmp_path / "home", source, is_new=False)

    def interrupt(done: int, total: int) -> None:
        if done >= rows_before:
            raise Interrupted

    with pytest.raises(Interrupted):
        prepare(source.task, home, store, interrupt)
    secret = home.master_key.read_bytes()
    parts = home.progress().parts
    (tmp_path / "rows.csv").unlink()
    prepared = prepare(source.task, home, store)
    assert home.master_key.read_bytes() == secret
    files = manifest_of(store, prepared.manifest).data.training_set
    assert [file.rows for file in files] == [5, 5, 5, 3]
    assert [file.cid for file in files][: len(parts)] == [part.cid for part in parts]
    assert prepare(source.task, home, store) == prepared


def test_prepare__resumed_with_another_store__is_refused(
    write_task: Callable[..., TaskSource], store: FolderStore, tmp_path: Path
) -> None:
    source = write_task()
    home = open_task_home(tmp_path / "home", source, is_new=False)

    def interrupt(done: int, total: int) -> None:
        if done > 18:
            raise Interrupted

    with pytest.raises(Interrupted):
        prepare(source.task, home, store, interrupt)
    with pytest.raises(PoleError, match="give the same --store"):
        prepare(source.task, home, FolderStore(tmp_path / "other"))


def test_open_task_home__again__has_its_own_key(
    write_task: Callable[..., TaskSource], store: FolderStore, tmp_path: Path
) -> None:
    source = write_task()
    homes = [open_task_home(tmp_path / "home", source, is_new=is_new) for is_new in (False, True)]
    prepared = [prepare(source.task, home, store) for home in homes]
    assert [home.name for home in all_task_homes(tmp_path / "home")] == ["small", "small~2"]
    assert homes[0].master_key.read_bytes() != homes[1].master_key.read_bytes()
    assert prepared[0].salt != prepared[1].salt
