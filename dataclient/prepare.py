"""Prepares a task for submission: split, discretise, encrypt, store. An interruption loses at most one file of rows."""

import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from dataclient.sources.load import load_source, training_and_test
from dataclient.sources.plain import PlainData, feature_name, listed
from dataclient.sources.ranges import clipped_shares
from dataclient.task_file import TaskFile
from dataclient.task_folder import PlainParts, Prepared, StoredPart, StoredParts, TaskHome, write_private
from pole.chain.commitments import SALT_BYTES
from pole.document import first_problem
from pole.encryption import Backend, MasterKey, backend
from pole.encryption.points import PointForm, compress_points
from pole.errors import BadInput, ManifestInvalid
from pole.exact.size import measure_model
from pole.storage.cid import Cid, cid_of, cid_of_file
from pole.storage.store import Store
from pole.task.manifest import AnyEncryption, DataSet, InnerProductEncryption, Manifest, NoEncryption, RowFile
from pole.task.rows import (
    EncryptedRows,
    Rows,
    discretise,
    encrypted_rows_to_bytes,
    row_bytes,
    rows_from_bytes,
    rows_to_bytes,
    to_units,
)
from pole.task.scores import Target
from pole.timing import OnProgress, Stopwatch

PART_BYTES = 64 << 20
MODEL_FILE_ALLOWANCE_BYTES = 1 << 16
DISCRETISED_AT_ONCE = 4096
MAX_CLIPPED = 0.1
PLACEHOLDER = str(cid_of(b""))  # stands for files that are not made yet


def prepare(task: TaskFile, home: TaskHome, store: Store, progress: OnProgress | None = None) -> Prepared:
    """Prepares a task until only the payment is missing; continues where an interrupted run stopped.

    `progress(done, total)` counts encrypted rows. Training rows, public key and manifest are in the store afterwards;
    the test set is not: it stays in `home` until its release. Raises BadInput.
    """
    done = home.prepared()
    if done is not None:
        return done
    plain = keep_rows(task, home)
    training, test = read_rows(home, _describe_unwritten(task, plain))
    if task.encryption.scheme == "none":
        encryption: AnyEncryption = NoEncryption()
        store_plain(training, home, store)
        write_private(home.test_set, home.test_rows.read_bytes())
    else:
        encryption = _encrypt(task, home, store, training, test, progress)
    files = [RowFile(cid=part.cid, rows=part.rows, size_bytes=part.size_bytes) for part in home.progress().parts]
    test_size = home.test_set.stat().st_size
    described = _describe(task, plain, files).model_copy(update={"test_size_bytes": test_size})
    manifest = Manifest.from_bytes(_manifest(task, described, encryption).to_bytes())
    prepared = Prepared(
        manifest=str(store.put(manifest.to_bytes())),
        test_set=str(cid_of_file(home.test_set)),
        salt=secrets.token_hex(SALT_BYTES),
    )
    home.keep_prepared(prepared)
    return prepared


# --- plain rows ------------------------------------------------------------------------------------------------------


def keep_rows(task: TaskFile, home: TaskHome) -> PlainParts:
    """Checks task and rows against each other, and keeps the discretised rows in the task's folder.

    What is there already is not read from the source again: once encryption began, rows that changed at the source
    must not mix with those from before. Raises BadInput or ManifestInvalid.
    """
    kept = home.plain()
    if kept is not None:
        return kept
    data = load_source(task.data, task.preprocessing)
    check_fits(task, data)
    training, test = training_and_test(data, task.data)
    plain = check_task(task, training, test.rows)
    for part in (training, test):
        check_clipping(part, task)
    for part, path in ((training, home.training_rows), (test, home.test_rows)):
        write_private(path, rows_to_bytes(Rows(discretised(part, task), encoded_labels(part, task))))
    home.keep_plain(plain)
    return plain


def check_task(task: TaskFile, training: PlainData, test_rows: int) -> PlainParts:
    """Describes the rows. Here manifest and model meet before anything is encrypted or spent: a manifest that
    contradicts itself or a layer that does not fit raises BadInput or ManifestInvalid.
    """
    plain = PlainParts(
        shape=list(training.shape),
        class_names=list(training.class_names),
        label_names=list(training.label_names),
        quantity_names=list(training.quantity_names),
        feature_names=None if training.feature_names is None else list(training.feature_names),
        preprocessing=training.preprocessing,
        training_rows=training.rows,
        test_rows=test_rows,
    )
    _manifest(task, _describe_unwritten(task, plain), _draft_encryption(task))
    return plain


def check_fits(task: TaskFile, data: PlainData) -> None:
    """Refuses a task file that was made for other rows. Raises BadInput."""
    features = math.prod(data.shape)
    ranges = len(task.discretisation.minimum)
    if ranges not in (1, features) or len(task.discretisation.maximum) != ranges:
        raise BadInput(
            f"task {task.name!r} has {ranges} minima and {len(task.discretisation.maximum)} maxima, but the rows of "
            f"{task.data.source} have {features} features; run `init` again"
        )
    names = [quantity.name for quantity in task.quantities]
    if names != list(data.quantity_names):
        raise BadInput(
            f"task {task.name!r} has ranges for the quantities {listed(names) or 'none'}, but {task.data.source} has "
            f"{listed(data.quantity_names) or 'none'}; run `init` again"
        )
    task.mapping.output_shape(data.shape)


def encoded_labels(data: PlainData, task: TaskFile) -> npt.NDArray[np.int64]:
    """Labels as row files have them."""
    labels: npt.NDArray[np.int64] = data.labels
    return to_units(data.labels, task.quantities) if data.target is Target.QUANTITY else labels


def check_clipping(data: PlainData, task: TaskFile) -> None:
    """Refuses ranges that much of the data lies outside of: they would be paid for, and destroyed. Raises BadInput."""
    share = clipped_shares(data.x, task.discretisation)
    worst = int(share.argmax())
    if share[worst] > MAX_CLIPPED:
        raise BadInput(
            f"{100 * share[worst]:.0f} % of the values of feature {feature_name(data, worst)} of {task.data.source} "
            f"lie outside of its range in [discretisation] of task {task.name!r} and would be clipped; run `init` "
            "again, or widen minimum and maximum"
        )


def discretised(data: PlainData, task: TaskFile) -> npt.NDArray[np.uint8]:
    """uint8 [n, *shape]; in pieces, since the intermediate values are eight times as large."""
    pieces = [
        discretise(data.x[start : start + DISCRETISED_AT_ONCE], task.discretisation)
        for start in range(0, data.rows, DISCRETISED_AT_ONCE)
    ]
    return np.concatenate(pieces)


def read_rows(home: TaskHome, data: DataSet) -> tuple[Rows, Rows]:
    """The discretised plain training and test rows that the task was made from."""
    training = rows_from_bytes(home.training_rows.read_bytes(), data, data.training_rows)
    test = rows_from_bytes(home.test_rows.read_bytes(), data, data.test_rows)
    return training, test


# --- manifest --------------------------------------------------------------------------------------------------------


def _describe_unwritten(task: TaskFile, plain: PlainParts) -> DataSet:
    """The rows as the manifest will describe them but for CIDs and file sizes."""
    return _describe(task, plain, [RowFile(cid=PLACEHOLDER, rows=plain.training_rows, size_bytes=1)])


def _describe(task: TaskFile, plain: PlainParts, files: list[RowFile]) -> DataSet:
    with _contradictions(task):
        return DataSet(
            shape=plain.shape,
            **_targets(task, plain),
            discretisation=task.discretisation,
            training_set=files,
            test_rows=plain.test_rows,
            test_size_bytes=0,
        )


def _targets(task: TaskFile, plain: PlainParts) -> dict[str, Any]:
    """Of classes, labels and quantities the one that there is."""
    if plain.quantity_names:
        return {"quantities": task.quantities}
    return {"label_names": plain.label_names} if plain.label_names else {"class_names": plain.class_names}


def _draft_encryption(task: TaskFile) -> AnyEncryption:
    """Encryption as it will be but for the public key."""
    if task.encryption.scheme == "none":
        return NoEncryption()
    if task.encryption.rank_limit is None:
        raise BadInput("encryption.rank_limit is missing; say how many query vectors keys may ever be issued for")
    return InnerProductEncryption(
        public_key=PLACEHOLDER,
        rank_limit=task.encryption.rank_limit,
        is_test_set_encrypted=task.encryption.encrypt_test_set,
        points=task.encryption.points,
    )


def _manifest(task: TaskFile, data: DataSet, encryption: AnyEncryption) -> Manifest:
    """Raises ManifestInvalid naming what contradicts what."""
    outputs = task.mapping.output_shape(tuple(data.shape))
    size_bytes = measure_model(task.model, outputs, data.outputs).state_bytes
    with _contradictions(task):
        return Manifest(
            name=task.name,
            model=task.model,
            metric=task.metric,
            data=data,
            mapping=task.mapping,
            encryption=encryption,
            max_model_bytes=size_bytes + MODEL_FILE_ALLOWANCE_BYTES,
        )


@contextmanager
def _contradictions(task: TaskFile) -> Iterator[None]:
    """Turns what the manifest's schema refuses into one line about the task file."""
    try:
        yield
    except ValidationError as exc:
        raise ManifestInvalid(f"task {task.name!r}: {first_problem(exc)}") from exc


# --- storing and encrypting ------------------------------------------------------------------------------------------


def rows_per_part(bytes_per_row: int) -> int:
    """Files of about 64 MiB: small enough to hold in memory, and to repeat after an interruption."""
    return max(1, PART_BYTES // bytes_per_row)


def store_plain(training: Rows, home: TaskHome, store: Store) -> None:
    """Puts unencrypted training rows into the store, file by file."""
    step = rows_per_part(row_bytes(training.x[0].size, None, training.labels[0].size))
    for start in range(_stored_rows(home, store), len(training.labels), step):
        part = Rows(training.x[start : start + step], training.labels[start : start + step])
        _store_part(rows_to_bytes(part), len(part.labels), home, store)


def _encrypt(
    task: TaskFile, home: TaskHome, store: Store, training: Rows, test: Rows, progress: OnProgress | None
) -> InnerProductEncryption:
    master = _master_key(home, training.x[0].size)
    is_test_encrypted, points = task.encryption.encrypt_test_set, task.encryption.points
    total = len(training.labels) + (len(test.labels) if is_test_encrypted else 0)
    compute, watch = backend(rows=total), Stopwatch()
    step = rows_per_part(row_bytes(master.dimension, points, training.labels[0].size))
    for start in range(_stored_rows(home, store), len(training.labels), step):
        part = Rows(training.x[start : start + step], training.labels[start : start + step])
        with watch.running(len(part.labels)):
            encrypted = encrypt_rows(compute, master, part, points, _shifted(progress, start, total))
        _store_part(encrypted_rows_to_bytes(encrypted), len(part.labels), home, store)
    if is_test_encrypted:
        with watch.running(len(test.labels)):
            encrypted = encrypt_rows(compute, master, test, points, _shifted(progress, len(training.labels), total))
        write_private(home.test_set, encrypted_rows_to_bytes(encrypted))
    else:
        write_private(home.test_set, home.test_rows.read_bytes())
    draft = _draft_encryption(task)
    assert isinstance(draft, InnerProductEncryption)
    with watch.running(rows=0):
        public_key = compute.public_key(master)
    home.keep_encrypted(watch.timing)
    return draft.model_copy(update={"public_key": str(store.put(public_key.to_bytes()))})


def _master_key(home: TaskHome, dimension: int) -> MasterKey:
    """This task's secret; the same one after an interruption, since stored rows are encrypted under it."""
    if not home.master_key.exists():
        MasterKey.generate(dimension).save(home.master_key)
    return MasterKey.load(home.master_key)


def encrypt_rows(
    compute: Backend, master: MasterKey, rows: Rows, points: PointForm, progress: OnProgress | None
) -> EncryptedRows:
    flat = np.ascontiguousarray(rows.x.reshape(len(rows.labels), -1))
    ciphertexts = compute.encrypt(master, flat, progress)
    return EncryptedRows(compress_points(ciphertexts) if points == "compressed" else ciphertexts, rows.labels)


def _shifted(progress: OnProgress | None, offset: int, total: int) -> OnProgress | None:
    if progress is None:
        return None
    return lambda done, _part_total: progress(offset + done, total)


def _stored_rows(home: TaskHome, store: Store) -> int:
    """Rows that an interrupted run stored already. Raises BadInput if they went into another store."""
    parts = home.progress().parts
    for part in parts:
        if not store.has(Cid.parse(part.cid)):
            raise BadInput(f"{part.cid}, stored earlier for task {home.name!r}, is not here; give the same --store")
    return sum(part.rows for part in parts)


def _store_part(content: bytes, rows: int, home: TaskHome, store: Store) -> None:
    part = StoredPart(cid=str(store.put(content)), rows=rows, size_bytes=len(content))
    home.keep_progress(StoredParts(parts=[*home.progress().parts, part]))
