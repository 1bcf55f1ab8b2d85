"""Features of a round, from real files in a real store: what is refused, what is right, what is done only once."""

import hashlib
import json
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray

from pole.encryption import MasterKey, backend
from pole.encryption.points import PointForm, compress_points
from pole.errors import BadInput, ContentNotFound, ContentTooLarge, DataInvalid, DecryptionFailed, KeyRefused
from pole.learning import features
from pole.learning.features import Features, load_features, piece_rows
from pole.learning.functional_keys import FunctionalKeys, issue_keys
from pole.learning.mapping import project, statistics
from pole.storage.cid import Cid, cid_of
from pole.storage.folder import FolderStore
from pole.storage.transfer import TransferLimits
from pole.task.manifest import Manifest
from pole.task.rows import EncryptedRows, Rows, encrypted_rows_to_bytes, rows_to_bytes
from tests.unit.peer import Talk, peer, store_at

HASH = hashlib.sha256(b"previous header").digest()
OTHER_HASH = hashlib.sha256(b"another header").digest()
DENSE = {"kind": "dense", "vectors": 3, "segments": 2}
CONVOLUTIONAL = {"kind": "convolutional", "filters": 2, "kernel": 3}


class Task:
    """A client's task in a store: files of 200 and 5 training rows and one of 7 test rows, 16 features of 4 bits."""

    def __init__(
        self,
        root: Path,
        mapping: dict[str, Any],
        is_encrypted: bool = True,
        is_test_set_encrypted: bool = False,
        points: PointForm = "uncompressed",
    ) -> None:
        self.points = points
        self.store, self.cache = FolderStore(root / "store"), root / "cache"
        self.master = MasterKey.generate(16)
        self.shape = (16,) if mapping["kind"] == "dense" else (1, 4, 4)
        rng = np.random.default_rng(5)
        self.files = [self._rows(rng, count, is_encrypted) for count in (200, 5)]
        self.test = self._rows(rng, 7, is_test_set_encrypted)
        scheme: dict[str, Any] = {"scheme": "none"}
        if is_encrypted:
            public_key = self.store.put(backend().public_key(self.master).to_bytes())
            scheme = {"scheme": "ipfe-secp256k1", "public_key": str(public_key), "rank_limit": 6}
            scheme |= {"is_test_set_encrypted": is_test_set_encrypted, "points": points}
        self.document = self._document(mapping, scheme)
        self.keys = issue_keys(self.master, self.manifest, HASH) if is_encrypted else None

    def _rows(self, rng: np.random.Generator, count: int, is_encrypted: bool) -> tuple[Rows, Cid]:
        x = rng.integers(0, 16, (count, *self.shape), dtype=np.uint8)
        rows = Rows(x, rng.integers(0, 3, count))
        return rows, self.store.put(self.file(rows, self.master) if is_encrypted else rows_to_bytes(rows))

    def file(self, rows: Rows, master: MasterKey) -> bytes:
        ciphertexts = backend().encrypt(master, rows.x.reshape(len(rows.x), -1))
        if self.points == "compressed":
            ciphertexts = compress_points(ciphertexts)
        return encrypted_rows_to_bytes(EncryptedRows(ciphertexts, rows.labels))

    def _document(self, mapping: dict[str, Any], scheme: dict[str, Any]) -> dict[str, Any]:
        files = [
            {"cid": str(cid), "rows": len(rows.x), "size_bytes": len(self.store.get(cid, 1 << 30))}
            for rows, cid in self.files
        ]
        return {
            "version": 2,
            "name": "small",
            "model": {"kind": "graph", "layers": [{"type": "linear", "name": "last", "size": 3}]},
            "data": {
                "shape": list(self.shape),
                "class_names": ["a", "b", "c"],
                "discretisation": {"bits": 4, "minimum": [0.0], "maximum": [1.0]},
                "training_set": files,
                "test_rows": 7,
                "test_size_bytes": 1 << 20,
            },
            "mapping": mapping,
            "encryption": scheme,
            "max_model_bytes": 1000,
        }

    @property
    def manifest(self) -> Manifest:
        return Manifest.from_bytes(json.dumps(self.document).encode())

    def load(
        self,
        keys: FunctionalKeys | None = None,
        test_set: Cid | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Features:
        manifest = self.manifest
        cid = cid_of(manifest.to_bytes())
        return load_features(self.store, manifest, cid, HASH, keys or self.keys, test_set, self.cache, progress)

    def expected(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Train and test features from the plain rows."""
        mapping = self.manifest.mapping
        train = project(mapping, HASH, np.concatenate([rows.x for rows, _ in self.files]))
        constants = statistics(mapping, [train])
        return constants.apply(train), constants.apply(project(mapping, HASH, self.test[0].x))

    def pieces(self) -> list[Path]:
        return sorted(self.cache.rglob("*.safetensors"))


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """In pieces of 128 rows."""
    monkeypatch.setattr(features, "POINTS_PER_PIECE", 128 * 17)
    return Task(tmp_path, DENSE)


@pytest.fixture
def address_space_limit() -> Iterator[None]:
    """A real refusal by the system: 16 GiB is less than a billion rows need, and more than the tests do."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


# --- what is refused ------------------------------------------------------------------------------------------------


def test_load_features__encrypted_without_keys__refused(task: Task) -> None:
    task.keys = None
    with pytest.raises(KeyRefused, match="wait for the client to publish them"):
        task.load()


def test_load_features__keys_of_another_round__refused(task: Task) -> None:
    with pytest.raises(KeyRefused, match="another round"):
        task.load(issue_keys(task.master, task.manifest, OTHER_HASH))


def test_load_features__keys_of_another_secret__refused_before_anything_is_decrypted(task: Task) -> None:
    with pytest.raises(KeyRefused, match="does not match the public key"):
        task.load(issue_keys(MasterKey.generate(16), task.manifest, HASH))
    assert task.pieces() == []


def test_load_features__rows_under_another_secret__refused(task: Task) -> None:
    content = task.file(task.files[1][0], MasterKey.generate(16))
    task.document["data"]["training_set"][1] |= {"cid": str(task.store.put(content)), "size_bytes": len(content)}
    with pytest.raises(DecryptionFailed, match="row 0, inner product 0"):
        task.load(issue_keys(task.master, task.manifest, HASH))


def test_load_features__file_larger_than_stated__refused_before_reading(task: Task) -> None:
    task.document["data"]["training_set"][0]["size_bytes"] -= 1
    with pytest.raises(ContentTooLarge):
        task.load(issue_keys(task.master, task.manifest, HASH))


def test_load_features__file_larger_than_its_rows_can_be__refused_before_reading(task: Task) -> None:
    bloated = task.store.put(bytes(1 << 20))
    task.document["data"]["training_set"][1] |= {"cid": str(bloated), "size_bytes": 1 << 30}
    with pytest.raises(ContentTooLarge):
        task.load(issue_keys(task.master, task.manifest, HASH))


def test_load_features__uncompressed_file_of_a_compressed_task__refused_before_reading(tmp_path: Path) -> None:
    task = Task(tmp_path, DENSE, points="compressed")
    task.points = "uncompressed"
    content = task.file(task.files[0][0], task.master)
    task.document["data"]["training_set"][0] |= {"cid": str(task.store.put(content)), "size_bytes": len(content)}
    with pytest.raises(ContentTooLarge):
        task.load(issue_keys(task.master, task.manifest, HASH))


def test_load_features__compressed_point_off_the_curve__file_row_and_point_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "POINTS_PER_PIECE", 128 * 17)
    task = Task(tmp_path, DENSE, points="compressed")
    content = bytearray(task.store.get(task.files[0][1], 1 << 30))
    content[-(17 * 33) + 2 * 33] = 4  # the prefix of point 2 of the last row
    cid = task.store.put(bytes(content))
    task.document["data"]["training_set"][0] |= {"cid": str(cid)}
    with pytest.raises(DataInvalid, match=f"{cid}, counted from row 128: row 71: point 2 of 17 is not on the curve"):
        task.load(issue_keys(task.master, task.manifest, HASH))


def test_load_features__not_a_row_file__named(task: Task) -> None:
    cid = task.store.put(b"not a safetensors file")
    task.document["data"]["training_set"][1] |= {"cid": str(cid), "size_bytes": 1000}
    with pytest.raises(DataInvalid, match=f"{cid}: row file claims a header"):
        task.load(issue_keys(task.master, task.manifest, HASH))


def test_load_features__label_out_of_range__refused(tmp_path: Path) -> None:
    task = Task(tmp_path, DENSE, is_encrypted=False)
    task.document["data"]["class_names"] = ["a", "b"]
    with pytest.raises(DataInvalid, match="has the label 2; the 2 classes are"):
        task.load()


def test_load_features__missing_file__says_so(task: Task) -> None:
    with pytest.raises(ContentNotFound):
        task.load(test_set=cid_of(b"never published"))


def test_load_features__test_set_of_a_task_without_one__refused(tmp_path: Path) -> None:
    task = Task(tmp_path, DENSE, is_encrypted=False)
    task.document["data"]["test_rows"] = 0
    with pytest.raises(BadInput, match="no test rows"):
        task.load(test_set=task.test[1])


@pytest.mark.usefixtures("address_space_limit")
def test_load_features__more_than_fits_in_memory__refused(tmp_path: Path) -> None:
    task = Task(tmp_path, DENSE, is_encrypted=False)
    task.document["data"]["training_set"] *= 500
    for file in task.document["data"]["training_set"]:
        file["rows"] = 1_000_000
    with pytest.raises(DataInvalid, match="do not fit in this machine's memory"):
        task.load()


# --- what is right --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapping", [DENSE, CONVOLUTIONAL, DENSE | {"normalisation": "none"}])
@pytest.mark.parametrize(
    "encryption",
    [(False, False), (True, False), (True, True), (True, False, "compressed"), (True, True, "compressed")],
)
def test_load_features__any_task__as_projected_from_the_plain_rows(
    tmp_path: Path, mapping: dict[str, Any], encryption: tuple[Any, ...]
) -> None:
    task = Task(tmp_path, mapping, *encryption)
    features, (train, test) = task.load(test_set=task.test[1]), task.expected()
    assert features.test_x is not None
    assert features.train_x.tobytes() == train.tobytes()
    assert features.test_x.tobytes() == test.tobytes()
    assert features.train_y.tolist() == [*task.files[0][0].labels, *task.files[1][0].labels]
    assert features.test_y is not None
    assert features.test_y.tolist() == task.test[0].labels.tolist()


def test_load_features__before_the_release__no_test_set_and_the_same_training_bits(task: Task) -> None:
    before = task.load()
    after = task.load(test_set=task.test[1])
    assert before.test_x is None
    assert before.test_y is None
    assert before.train_x.tobytes() == after.train_x.tobytes()
    assert before.statistics.scale.tobytes() == after.statistics.scale.tobytes()


def test_load_features__progress__counts_rows_of_all_files_upwards(task: Task) -> None:
    seen: list[tuple[int, int]] = []
    task.load(test_set=task.test[1], progress=lambda done, total: seen.append((done, total)))
    done = [each for each, _ in seen]
    assert done == sorted(done)
    assert (done[-1], {total for _, total in seen}) == (212, {212})


def test_load_features__several_files__asked_for_together(task: Task, tmp_path: Path) -> None:
    """No row file is answered before all three were asked for."""
    row_files = {str(cid) for _, cid in [*task.files, task.test]}
    together = threading.Barrier(len(row_files), timeout=300)

    def answer(talk: Talk) -> None:
        [cid] = parse_qs(urlsplit(talk.path).query)["arg"]
        if cid in row_files:
            together.wait()
        talk.answer(task.store.get(Cid.parse(cid), 1 << 30))

    manifest, patient = task.manifest, TransferLimits(first_s=60.0)
    with peer(answer) as daemon:
        store = store_at(daemon.url, tmp_path, limits=patient)
        cid = cid_of(manifest.to_bytes())
        loaded = load_features(store, manifest, cid, HASH, task.keys, task.test[1], task.cache)
    assert loaded.train_x.tobytes() == task.expected()[0].tobytes()


# --- what is done only once -----------------------------------------------------------------------------------------


def test_load_features__second_time__from_disk_without_the_files(task: Task) -> None:
    first = task.load()
    for _, cid in task.files:
        (task.store.root / str(cid)).unlink()
    again = task.load()
    assert again.train_x.tobytes() == first.train_x.tobytes()
    assert (first.opening.rows, again.opening.rows) == (205, 0)


def test_load_features__one_file_not_in_the_cache__only_it_is_fetched(task: Task) -> None:
    first = task.load()
    (task.store.root / str(task.files[0][1])).unlink()
    for piece in task.pieces():
        if str(task.files[1][1]) in piece.name:
            piece.unlink()
    assert task.load().train_x.tobytes() == first.train_x.tobytes()
    assert len(task.pieces()) == 3


def test_load_features__another_round__decrypts_anew(task: Task) -> None:
    first = task.load()
    manifest = task.manifest
    keys = issue_keys(task.master, manifest, OTHER_HASH, [HASH])
    cid = cid_of(manifest.to_bytes())
    other = load_features(task.store, manifest, cid, OTHER_HASH, keys, None, task.cache)
    assert other.train_x.tobytes() != first.train_x.tobytes()
    assert len(task.pieces()) == 6


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_load_features__damaged_piece__only_it_is_made_again(task: Task, damage: Callable[[bytes], bytes]) -> None:
    first, pieces = task.load(), task.pieces()
    times = {path: path.stat().st_mtime_ns for path in pieces}
    whole = pieces[1].read_bytes()
    pieces[1].write_bytes(damage(whole))
    assert task.load().train_x.tobytes() == first.train_x.tobytes()
    assert pieces[1].read_bytes() == whole
    assert [path for path in pieces if path.stat().st_mtime_ns != times[path]] == [pieces[1]]


def test_load_features__interrupted__goes_on_after_the_last_piece(task: Task) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 128 + 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        task.load(progress=interrupt)
    (kept,) = task.pieces()
    written = kept.stat().st_mtime_ns
    seen: list[int] = []
    task.load(progress=lambda done, total: seen.append(done))
    assert kept.stat().st_mtime_ns == written
    assert seen[0] == 128


@pytest.mark.parametrize(("dimension", "expected"), [(4, 209_715), (784, 1_335), (3 << 20, 1)])
def test_piece_rows__any_dimension__about_a_million_points(dimension: int, expected: int) -> None:
    assert piece_rows(dimension) == expected


def test_load_features__cache_cannot_be_written__features_all_the_same(
    task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    task.cache.write_bytes(b"a file where the directory should be")
    assert task.load().train_x.tobytes() == task.expected()[0].tobytes()
    assert "decrypted again" in "".join(capsys.readouterr())


def test_load_features__plain_task__nothing_kept_on_disk(tmp_path: Path) -> None:
    task = Task(tmp_path, DENSE, is_encrypted=False)
    task.load(test_set=task.test[1])
    assert task.pieces() == []
