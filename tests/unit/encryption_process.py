"""`python encryption_process.py encrypt|decrypt FOLDER ROWS`: works up to so many rows, and waits to be killed."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from dataclient import prepare as prepare_module
from dataclient.prepare import prepare
from dataclient.task_file import read_task_file
from dataclient.task_folder import TaskHome, open_task_home
from pole.encryption import MasterKey
from pole.learning import features
from pole.learning.features import Features, load_features
from pole.learning.functional_keys import issue_keys
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore
from pole.task.manifest import MAX_MANIFEST_BYTES, Manifest
from pole.task.rows import row_bytes

AT_ONCE = 5
HASH = bytes(range(32))


def encrypt(folder: Path, progress: Callable[[int, int], None] | None = None) -> TaskHome:
    """24 rows as files of five, the test set as one file."""
    prepare_module.PART_BYTES = AT_ONCE * row_bytes(3, "uncompressed")
    source = read_task_file(folder / "small.toml")
    home = open_task_home(folder / "home", source, is_new=False)
    prepare(source.task, home, FolderStore(folder / "store"), progress)
    return home


def decrypt(folder: Path, progress: Callable[[int, int], None] | None = None) -> Features:
    """The training rows of the prepared task, a row file at a time in pieces of two."""
    features.POINTS_PER_PIECE = 2 * 4
    store, home = FolderStore(folder / "store"), TaskHome(folder / "home" / "tasks" / "small")
    manifest, cid = manifest_of(store, home)
    keys = issue_keys(MasterKey.load(home.master_key), manifest, HASH, [])
    return load_features(store, manifest, cid, HASH, keys, None, folder / "cache", progress)


def manifest_of(store: FolderStore, home: TaskHome) -> tuple[Manifest, Cid]:
    prepared = home.prepared()
    assert prepared is not None
    return Manifest.from_bytes(store.get(prepared.manifest_cid, MAX_MANIFEST_BYTES)), prepared.manifest_cid


def until(rows: int) -> Callable[[int, int], None]:
    """Says so when so many rows are done, and does nothing any more."""

    def progress(done: int, total: int) -> None:
        if done >= rows:
            print(json.dumps([done, total]), flush=True)
            signal.pause()

    return progress


if __name__ == "__main__":
    {"encrypt": encrypt, "decrypt": decrypt}[sys.argv[1]](Path(sys.argv[2]), until(int(sys.argv[3])))
