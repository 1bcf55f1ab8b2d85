"""The idle task is the same whoever builds it, and miners can use it."""

from pathlib import Path

from pole.learning.idle import publish_idle_task
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore
from pole.task.manifest import MAX_MANIFEST_BYTES, Manifest
from pole.task.model import model_bytes
from pole.task.rows import rows_from_bytes


def test_publish_idle_task__built_twice__is_one_and_the_same(tmp_path: Path) -> None:
    first = publish_idle_task(FolderStore(tmp_path / "a"))
    assert publish_idle_task(FolderStore(tmp_path / "b")) == first


def test_publish_idle_task__read_back__fits_its_own_manifest(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    manifest = Manifest.from_bytes(store.get(publish_idle_task(store), MAX_MANIFEST_BYTES))
    (file,) = manifest.data.training_set
    content = store.get(Cid.parse(file.cid), file.size_bytes)
    rows = rows_from_bytes(content, manifest.data, file.rows)
    assert (rows.x.shape, rows.x.max(), sorted(set(rows.labels.tolist()))) == ((1797, 64), 15, list(range(10)))
    assert len(content) == file.size_bytes
    assert model_bytes(manifest) < manifest.max_model_bytes
