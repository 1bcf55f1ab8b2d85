"""From a task's files to the features that a model sees: fetch, decrypt or project, normalise; once per round.

Decrypted features stay on disk in pieces of a few rows, so that an interrupted run continues where it stopped and the
next process starts at once. A piece is written atomically, and a damaged one is computed again. Plain rows are not
cached: projecting them (0.1 s for 60,000 rows of MNIST) is faster than reading the result back.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from pole.atomicfile import write_atomically
from pole.encryption import PublicKey, backend, max_public_key_bytes
from pole.encryption.points import POINT_BYTES, PointForm
from pole.errors import BadInput, DataInvalid, DecryptionFailed, KeyRefused
from pole.learning.functional_keys import FunctionalKeys, check_keys
from pole.learning.mapping import Statistics, key_queries, project, statistics
from pole.storage.cid import Cid
from pole.storage.prefetch import FetchAhead, Wanted
from pole.storage.store import Store
from pole.storage.tensorfile import read_tensors, write_tensors
from pole.task.manifest import DenseMapping, InnerProductEncryption, Manifest, Target, largest_inner_product
from pole.task.rows import EncryptedRows, Rows, encrypted_rows_from_bytes, max_file_bytes, rows_from_bytes
from pole.timing import OnProgress, Stopwatch, Timing

POINTS_PER_PIECE = 1 << 20
"""Of ciphertext, about: large enough for the batches of the backends, and some seconds of work to lose."""

Part = tuple[NDArray[np.float32], NDArray[np.int64]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Features:
    """Normalised features float32 [n, *output_shape] with labels int64 [n] or [n, m]; none of a test set before
    its release.

    `opening`: what was decrypted for them, not what the cache had, and what checking the keys cost.
    """

    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32] | None
    test_y: NDArray[np.int64] | None
    statistics: Statistics
    opening: Timing


def load_features(
    store: Store,
    manifest: Manifest,
    manifest_cid: Cid,
    previous_hash: bytes,
    keys: FunctionalKeys | None,
    test_set: Cid | None,
    cache_dir: Path,
    progress: OnProgress | None = None,
) -> Features:
    """Features of a round's training rows and, once its CID is known, of its test rows; the same bits on every node.

    `progress(done, total)` counts rows. Raises KeyRefused for missing or wrong keys, DataInvalid for files that do not
    fit the manifest, DecryptionFailed for data that does not fit the keys, and what the store raises.
    """
    files, watch = _files(manifest, test_set), Stopwatch()
    with watch.running(rows=0):
        keys = _checked_keys(store, manifest, previous_hash, keys)
    loader = _Loader(manifest, previous_hash, keys, watch)
    cache = _Cache(cache_dir / str(manifest_cid) / previous_hash.hex(), loader)
    x, labels = _allocate(sum(file.rows for file in files), loader.output_shape, loader.label_shape)
    done = 0
    with FetchAhead(store, [file for file in files if not cache.has_all(file, loader.slices(file))]) as ahead:
        for file in files:
            for part_x, part_labels in _mapped_parts(loader, cache, ahead, file, _Counter(progress, done, len(x))):
                x[done : done + len(part_x)], labels[done : done + len(part_x)] = part_x, part_labels
                done += len(part_x)
    trained = manifest.data.training_rows
    constants = statistics(manifest.mapping, [x[:trained]])
    normalised = constants.apply(x)
    if test_set is None:
        return Features(normalised, labels, None, None, constants, watch.timing)
    train, test = slice(None, trained), slice(trained, None)
    return Features(normalised[train], labels[train], normalised[test], labels[test], constants, watch.timing)


def _allocate(rows: int, shape: tuple[int, ...], label_shape: tuple[int, ...]) -> Part:
    try:
        return np.empty((rows, *shape), dtype=np.float32), np.empty((rows, *label_shape), dtype=np.int64)
    except MemoryError as exc:
        raise DataInvalid(
            f"{rows} rows of mapped features {shape} do not fit in this machine's memory; skip this task"
        ) from exc


@dataclass(frozen=True)
class _File(Wanted):
    rows: int
    points: PointForm | None  # None: plain rows


def _files(manifest: Manifest, test_set: Cid | None) -> list[_File]:
    """Training files in the manifest's order, then the test file; the caps are the smaller of stated and possible."""
    data, encryption = manifest.data, manifest.encryption
    points = encryption.points if isinstance(encryption, InnerProductEncryption) else None
    files = [
        _File(i, Cid.parse(f.cid), min(f.size_bytes, max_file_bytes(f.rows, data, points)), f.rows, points)
        for i, f in enumerate(data.training_set)
    ]
    if test_set is not None:
        if not data.test_rows:
            raise BadInput(f"a test set {test_set} was given, but the manifest has no test rows")
        is_test_encrypted = isinstance(encryption, InnerProductEncryption) and encryption.is_test_set_encrypted
        points = points if is_test_encrypted else None
        cap = min(data.test_size_bytes, max_file_bytes(data.test_rows, data, points))
        files.append(_File(len(files), test_set, cap, data.test_rows, points))
    return files


def _checked_keys(
    store: Store, manifest: Manifest, previous_hash: bytes, keys: FunctionalKeys | None
) -> FunctionalKeys | None:
    encryption = manifest.encryption
    if not isinstance(encryption, InnerProductEncryption):
        return None
    if keys is None:
        raise KeyRefused("the task is encrypted and no functional keys were given; wait for the client to publish them")
    dimension = manifest.data.dimension
    content = store.get(Cid.parse(encryption.public_key), max_public_key_bytes(dimension))
    check_keys(PublicKey.from_bytes(content, dimension), keys, manifest, previous_hash)
    return keys


class _Counter:
    """Turns rows done in one piece into rows done of all."""

    def __init__(self, progress: OnProgress | None, offset: int, total: int) -> None:
        self._progress, self._offset, self._total = progress, offset, total

    def __call__(self, done: int) -> None:
        if self._progress is not None:
            self._progress(self._offset + done, self._total)


def piece_rows(dimension: int) -> int:
    """Rows that are decrypted together and cached as one piece."""
    return max(1, POINTS_PER_PIECE // (dimension + 1))


def _mapped_parts(
    loader: "_Loader", cache: "_Cache", ahead: FetchAhead, file: _File, count: _Counter
) -> Iterator[Part]:
    """Mapped features and labels of a file, part by part in order, still integers."""
    if file.points is None:
        rows = loader.read_plain(ahead.take(file), file)
        yield loader.map(rows.x), rows.labels
        count(file.rows)
        return
    encrypted: EncryptedRows | None = None
    for rows_slice in loader.slices(file):
        piece = cache.get(file, rows_slice)
        if piece is None:
            encrypted = encrypted or loader.read_encrypted(ahead.take(file), file)
            try:
                piece = loader.open(encrypted, rows_slice, count), encrypted.labels[rows_slice]
            except (DataInvalid, DecryptionFailed) as exc:
                raise type(exc)(f"{file.cid}, counted from row {rows_slice.start}: {exc}") from exc
            cache.put(file, rows_slice, *piece)
        count(rows_slice.stop)
        yield loader.map(piece[0]), piece[1]


class _Loader:
    """Reads, opens and maps the rows of one round."""

    def __init__(self, manifest: Manifest, previous_hash: bytes, keys: FunctionalKeys | None, watch: Stopwatch) -> None:
        self._previous_hash, self._keys, self._watch = previous_hash, keys, watch
        self._mapping, self._data, self._shape = manifest.mapping, manifest.data, tuple(manifest.data.shape)
        self._backend = backend(rows=self._data.training_rows)
        self.dimension = self._data.dimension
        self.output_shape = manifest.feature_shape
        self.label_shape = () if self._data.target is Target.CLASS else (self._data.label_width,)
        self.opened_dtype, self.opened_width = self._opened_form()

    def _opened_form(self) -> tuple[np.dtype[Any], int]:
        """What decryption yields and the cache keeps: all inner products, or (convolutional) the features."""
        if isinstance(self._mapping, DenseMapping):
            return np.dtype(np.int32), self.output_shape[0]
        return np.dtype(np.uint8), self._data.dimension

    def slices(self, file: _File) -> list[slice]:
        """The rows that are opened together; none of a plain file."""
        step = piece_rows(self.dimension)
        starts = range(0, 0 if file.points is None else file.rows, step)
        return [slice(start, min(start + step, file.rows)) for start in starts]

    def read_plain(self, content: bytes, file: _File) -> Rows:
        try:
            return rows_from_bytes(content, self._data, file.rows)
        except DataInvalid as exc:
            raise DataInvalid(f"{file.cid}: {exc}") from exc

    def read_encrypted(self, content: bytes, file: _File) -> EncryptedRows:
        assert file.points is not None
        try:
            return encrypted_rows_from_bytes(content, self._data, file.rows, file.points)
        except DataInvalid as exc:
            raise DataInvalid(f"{file.cid}: {exc}") from exc

    def open(self, encrypted: EncryptedRows, rows: slice, count: _Counter) -> NDArray[Any]:
        """Decrypt some rows to [n, opened_width]."""
        assert self._keys is not None
        is_dense = isinstance(self._mapping, DenseMapping)
        bound = largest_inner_product(self._mapping, self._data) if is_dense else self._largest_feature
        queries = key_queries(self._mapping, self._previous_hash, self._shape)
        ciphertexts = encrypted.ciphertexts[rows]
        with self._watch.running(len(ciphertexts)):
            if ciphertexts.shape[-1] != POINT_BYTES:
                ciphertexts = self._backend.decompress(ciphertexts)
            opened = self._backend.decrypt(
                ciphertexts, queries, self._keys.etas, bound, lambda done, _: count(rows.start + done)
            )
        return opened.astype(self.opened_dtype)

    def map(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Plain rows [n, *shape] or opened rows [n, opened_width] to mapped features [n, *output_shape]."""
        if rows.dtype == np.int32:
            return rows.astype(np.float32)
        return project(self._mapping, self._previous_hash, rows.reshape(-1, *self._shape))

    @property
    def _largest_feature(self) -> int:
        return int((1 << self._data.discretisation.bits) - 1)


class _Cache:
    """Opened pieces of one manifest and previous hash: safetensors with `opened`, `labels` and a checksum over both.

    The checksum is against damage, not against whoever may write to the directory: that is the node's own.
    """

    def __init__(self, directory: Path, loader: "_Loader") -> None:
        self._directory, self._label_shape = directory, loader.label_shape
        self._dtype, self._width = loader.opened_dtype, loader.opened_width

    def has_all(self, file: _File, slices: list[slice]) -> bool:
        """Whether all pieces of an encrypted file are there; whether they are intact shows when they are read."""
        return bool(slices) and all(self._path(file, rows).exists() for rows in slices)

    def get(self, file: _File, rows: slice) -> tuple[NDArray[Any], NDArray[np.int64]] | None:
        """The piece, or None if it is missing or damaged in any way."""
        count = rows.stop - rows.start
        with suppress(OSError, DataInvalid, KeyError):
            read = read_tensors(self._path(file, rows).read_bytes(), "cached piece", DataInvalid)
            opened, labels = read.tensors["opened"], read.tensors["labels"]
            is_whole = read.metadata["sha256"] == _digest(opened, labels) and labels.dtype == np.int64
            if is_whole and opened.dtype == self._dtype and opened.shape == (count, self._width):
                return (opened, labels) if labels.shape == (count, *self._label_shape) else None
        return None

    def put(self, file: _File, rows: slice, opened: NDArray[Any], labels: NDArray[np.int64]) -> None:
        """Keep a piece; a disk that cannot is logged and no reason to stop, since the features are in memory too."""
        path = self._path(file, rows)
        content = write_tensors({"opened": opened, "labels": labels}, {"sha256": _digest(opened, labels)})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as exc:
            _log.warning(
                "decrypted features are not kept and will be decrypted again", path=str(path), reason=exc.strerror
            )

    def _path(self, file: _File, rows: slice) -> Path:
        return self._directory / f"{file.cid}-{rows.start}-{rows.stop}.safetensors"


def _digest(opened: NDArray[Any], labels: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(opened).tobytes() + np.ascontiguousarray(labels).tobytes()).hexdigest()
