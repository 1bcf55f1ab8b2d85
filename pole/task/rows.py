"""Rows of discretised features with their labels, plain or encrypted, and the files that carry them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pole.encryption.points import BYTES_OF_POINTS, PointForm
from pole.errors import BadInput, DataInvalid
from pole.storage.tensorfile import read_tensors, write_tensors
from pole.task.manifest import DataSet, Discretisation, Quantity, Target
from pole.task.value_scores import VALUE_BITS

_HEADER_ALLOWANCE_BYTES = 4096
_LABEL_BYTES = 8
_LARGEST_VALUE = 1e300  # differences of values up to here do not overflow


@dataclass(frozen=True)
class Rows:
    """Plain rows: x uint8 [n, *shape], labels int64 [n] or [n, labels or quantities], n >= 1. Else raises BadInput."""

    x: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_pair(self.x, self.labels, "rows")


@dataclass(frozen=True)
class EncryptedRows:
    """Encrypted rows: ciphertexts uint8 [n, D + 1, 64], or [n, D + 1, 33] compressed; labels as in `Rows`.

    A row is the affine points ct_0..ct_D, each as big-endian x and y; compressed, each as 2 or 3 (y even or odd) and x.
    """

    ciphertexts: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_pair(self.ciphertexts, self.labels, "encrypted rows")
        if self.ciphertexts.ndim != 3 or self.ciphertexts.shape[2] not in BYTES_OF_POINTS.values():
            need = " or ".join(f"[n, D + 1, {size}]" for size in BYTES_OF_POINTS.values())
            raise BadInput(f"ciphertexts have shape {self.ciphertexts.shape}; need {need}")


def _check_pair(features: NDArray[Any], labels: NDArray[Any], what: str) -> None:
    if features.dtype != np.uint8 or labels.dtype != np.int64:
        raise BadInput(f"{what} have dtypes {features.dtype} and {labels.dtype}; need uint8 features and int64 labels")
    if features.ndim < 2 or labels.ndim not in (1, 2) or len(features) != len(labels):
        raise BadInput(
            f"{what} have shapes {features.shape} and {labels.shape}; need [n, ...] features and [n] or [n, m] labels"
        )
    if not len(features):
        raise BadInput(f"there are no {what}; a data set needs at least one sample")


def discretise(x: ArrayLike, discretisation: Discretisation) -> NDArray[np.uint8]:
    """round((clip(x) - minimum) / (maximum - minimum) * (2^bits - 1)) of [n, *shape]; halves round to even.

    Ranges per feature follow the flattened row. Raises BadInput for no rows, NaN, infinities and a wrong row size.
    """
    values = np.asarray(x, dtype=np.float64)
    low, high = np.asarray(discretisation.minimum), np.asarray(discretisation.maximum)
    if values.ndim < 2 or not len(values):
        raise BadInput(f"data of shape {values.shape} holds no rows; need [n, features...] with at least one sample")
    flat = values.reshape(len(values), -1)
    if len(low) not in (1, flat.shape[1]):
        raise BadInput(f"rows have {flat.shape[1]} features, but the discretisation has ranges for {len(low)}")
    if not np.isfinite(flat).all():
        row, column = np.argwhere(~np.isfinite(flat))[0]
        raise BadInput(f"row {row}, feature {column} is {flat[row, column]}; fill in or drop rows with missing values")
    if np.abs([low, high]).max() > _LARGEST_VALUE:
        raise BadInput(
            f"the discretisation ranges reach {np.abs([low, high]).max()}; scale the data below {_LARGEST_VALUE}"
        )
    levels = (1 << discretisation.bits) - 1
    scaled = (np.clip(flat, low, high) - low) / (high - low) * levels
    return np.asarray(np.rint(scaled), dtype=np.uint8).reshape(values.shape)


def to_units(values: NDArray[np.float64], quantities: Sequence[Quantity]) -> NDArray[np.int64]:
    """Labels [n, quantities] in units of 2^-24 of their public ranges, cut off at the ends. Raises BadInput."""
    if values.ndim != 2 or values.shape[1] != len(quantities):
        raise BadInput(f"labels of shape {values.shape} are no numbers of {len(quantities)} quantities")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise BadInput(f"row {row}: {quantities[column].name} is {values[row, column]}; fill it in or drop the row")
    low, high = (np.array([getattr(each, end) for each in quantities]) for end in ("minimum", "maximum"))
    units = (np.clip(values, low, high) - low) / (high - low) * (1 << VALUE_BITS)
    return np.asarray(np.rint(units), dtype=np.int64)


def from_units(units: NDArray[np.int64], quantities: Sequence[Quantity]) -> NDArray[np.float64]:
    """What `to_units` has rounded: float64 [n, quantities], each in its unit."""
    low, high = (np.array([getattr(each, end) for each in quantities]) for end in ("minimum", "maximum"))
    return np.asarray(low + units / (1 << VALUE_BITS) * (high - low))


def rows_to_bytes(rows: Rows) -> bytes:
    """A safetensors file with tensors `x` and `labels`; equal rows give equal bytes."""
    return write_tensors({"x": rows.x, "labels": rows.labels})


def encrypted_rows_to_bytes(rows: EncryptedRows) -> bytes:
    """A safetensors file with tensors `ciphertexts` and `labels`; equal rows give equal bytes."""
    return write_tensors({"ciphertexts": rows.ciphertexts, "labels": rows.labels})


def row_bytes(dimension: int, points: PointForm | None, label_width: int = 1) -> int:
    """Of one row in a file, label included; points: None for plain rows."""
    return _LABEL_BYTES * label_width + (dimension if points is None else (dimension + 1) * BYTES_OF_POINTS[points])


def max_file_bytes(rows: int, data: DataSet, points: PointForm | None) -> int:
    """No honest file of so many rows is larger; the cap to fetch one with, beside the size that the manifest states."""
    return rows * row_bytes(data.dimension, points, data.label_width) + _HEADER_ALLOWANCE_BYTES


def rows_from_bytes(content: bytes, data: DataSet, rows: int) -> Rows:
    """Read a plain file that must hold exactly `rows` rows fit for the manifest; raises DataInvalid."""
    x, labels = _read(content, "x", (rows, *data.shape), data)
    largest = (1 << data.discretisation.bits) - 1
    if int(x.max()) > largest:
        raise DataInvalid(f"row file holds the feature {x.max()}; {data.discretisation.bits} bits end at {largest}")
    return Rows(x, labels)


def encrypted_rows_from_bytes(content: bytes, data: DataSet, rows: int, points: PointForm) -> EncryptedRows:
    """Read an encrypted file of exactly `rows` rows; raises DataInvalid. Points are checked when they are decrypted."""
    return EncryptedRows(*_read(content, "ciphertexts", (rows, data.dimension + 1, BYTES_OF_POINTS[points]), data))


def _read(
    content: bytes, name: str, shape: tuple[int, ...], data: DataSet
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    tensors = read_tensors(content, "row file", DataInvalid).tensors
    if set(tensors) != {name, "labels"}:
        raise DataInvalid(f"row file holds the tensors {sorted(tensors)!r:.200}; need exactly {name} and labels")
    labels = shape[:1] if data.target is Target.CLASS else (shape[0], data.label_width)
    for key, dtype, wanted in ((name, np.uint8, shape), ("labels", np.int64, labels)):
        if tensors[key].dtype != dtype or tensors[key].shape != wanted or not wanted[0]:
            raise DataInvalid(
                f"row file holds {key} as {tensors[key].dtype} {tensors[key].shape}; "
                f"the manifest asks for {np.dtype(dtype)} {wanted} with at least one row"
            )
    _check_labels(tensors["labels"], data)
    return tensors[name], tensors["labels"]


def _check_labels(labels: NDArray[np.int64], data: DataSet) -> None:
    largest = {Target.CLASS: data.outputs - 1, Target.LABELS: 1, Target.QUANTITY: 1 << VALUE_BITS}[data.target]
    wrong = np.argwhere((labels < 0) | (labels > largest))
    if len(wrong):
        what = f"the {data.outputs} classes are" if data.target is Target.CLASS else "they are"
        raise DataInvalid(f"row {wrong[0][0]} has the label {labels[tuple(wrong[0])]}; {what} 0..{largest}")
