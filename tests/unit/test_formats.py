"""Files that commit fc79c7d wrote, before the tree was ordered anew: every later version opens them."""

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dataclient.prepare import prepare, read_rows
from dataclient.submit import check_stored
from dataclient.task_file import read_task_file
from dataclient.task_folder import TaskHome
from pole.encryption.keys import MasterKey
from pole.errors import ManifestInvalid
from pole.journal.journal import Journal
from pole.storage.cid import Cid, cid_of
from pole.storage.folder import FolderStore
from pole.task.manifest import MAX_MANIFEST_BYTES, Manifest
from pole.task.rows import rows_to_bytes
from tests.paths import ROOT

OLD = ROOT / "tests" / "vectors" / "before-the-house"
MANIFEST = "bafkreiavuutlxk5n7hdmxiomiwrafj5cternhfohv25jlxbkxeqaru3qau"
TEST_SET = "bafkreidc2akgk2m7bxvtdui6pxtc3aabl5lum6jef6ouhlq4ieeiilli2i"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy, since opening writes; git does not keep the mode of the master key, which belongs to a test alone."""
    copy = Path(shutil.copytree(OLD, tmp_path / "old"))
    (copy / "task" / "master.key").chmod(0o600)
    return copy


def test_journal__of_an_old_version__facts_are_recalled(old: Path) -> None:
    with Journal(old / "journal.sqlite") as journal:
        journal.bind("account", "0x00000000000000000000000000000000000000aa")
        assert journal.recall("round/1/solution") == {"salt": "07" * 32, "model": "bafy"}


def test_journal__of_an_old_version__transactions_are_untouched(old: Path) -> None:
    with Journal(old / "journal.sqlite"):
        pass
    database = sqlite3.connect(old / "journal.sqlite")
    rows = database.execute("SELECT key, attempt, state, nonce, raw, block_number FROM transactions ORDER BY 1, 2")
    assert rows.fetchall() == [
        ("mined/1", 1, "mined", 1, b"\1" * 20, 7),
        ("planned/1", 1, "planned", None, None, None),
        ("refused/1", 1, "refused", 3, b"\3" * 20, None),
        ("reverted/1", 1, "reverted", 2, b"\2" * 20, 8),
        ("sent/1", 1, "sent", 0, b"\0" * 20, None),
        ("twice/1", 1, "replaced", 9, b"first", None),
        ("twice/1", 2, "mined", 9, b"second", 11),
    ]
    database.close()


def test_task_folder__of_an_old_version__records_are_read(old: Path) -> None:
    home = TaskHome(old / "task")
    prepared, submitted = home.prepared(), home.submitted()
    assert prepared is not None
    assert submitted is not None
    assert (prepared.manifest, prepared.test_set, len(prepared.salt_bytes)) == (MANIFEST, TEST_SET, 32)
    assert (submitted.task_id, submitted.deployment) == (4, "00112233445566aa")
    assert MasterKey.load(home.master_key).dimension == 3


def test_manifest__of_an_old_version__refused_by_name(old: Path) -> None:
    content = FolderStore(old / "store").get(Cid.parse(MANIFEST), MAX_MANIFEST_BYTES)
    with pytest.raises(ManifestInvalid, match="manifest has version 1"):
        Manifest.from_bytes(content)


def test_task_folder__prepared_by_an_old_version__not_paid_for(old: Path) -> None:
    home, client = TaskHome(old / "task"), SimpleNamespace(store=FolderStore(old / "store"))
    order: Any = SimpleNamespace(home=home)
    prepared = home.prepared()
    assert prepared is not None
    with pytest.raises(ManifestInvalid, match=r"version 1.*submit --again"):
        check_stored(client, order, prepared)  # type: ignore[arg-type]


def test_task_folder__of_an_old_version__its_rows_make_a_task_of_today(old: Path) -> None:
    home, store = TaskHome(old / "task"), FolderStore(old / "store")
    rows = [home.training_rows.read_bytes(), home.test_rows.read_bytes()]
    (home.folder / "prepared.json").unlink()
    prepared = prepare(read_task_file(home.task_file).task, home, store)
    manifest = Manifest.from_bytes(store.get(Cid.parse(prepared.manifest), MAX_MANIFEST_BYTES))
    assert (manifest.version, str(cid_of(home.test_set.read_bytes()))) == (2, prepared.test_set)
    assert [rows_to_bytes(part) for part in read_rows(home, manifest.data)] == rows
