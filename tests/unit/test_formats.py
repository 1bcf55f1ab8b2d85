"""Files that commit fc79c7d wrote, before the tree was ordered anew: every later version opens them."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from dataclient.prepare import prepare, read_rows
from dataclient.task_file import read_task_file
from dataclient.task_folder import TaskHome
from pole.encryption.keys import MasterKey
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


def test_task_folder__of_an_old_version_unfinished__prepared_to_the_same_manifest(old: Path) -> None:
    home, store = TaskHome(old / "task"), FolderStore(old / "store")
    (home.folder / "prepared.json").unlink()
    prepared = prepare(read_task_file(home.task_file).task, home, store)
    assert prepared.manifest == MANIFEST  # the test set is encrypted anew, with other random numbers


def test_stored_content__of_an_old_version__same_bytes_and_cids(old: Path) -> None:
    home, store = TaskHome(old / "task"), FolderStore(old / "store")
    content = store.get(Cid.parse(MANIFEST), MAX_MANIFEST_BYTES)
    manifest = Manifest.from_bytes(content)
    assert manifest.to_bytes() == content
    assert str(cid_of(home.test_set.read_bytes())) == TEST_SET
    training, test = read_rows(home, manifest.data)
    assert rows_to_bytes(training) == home.training_rows.read_bytes()
    assert rows_to_bytes(test) == home.test_rows.read_bytes()
