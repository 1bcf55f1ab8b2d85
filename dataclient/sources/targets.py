"""What a row's label is: one class, any of some labels, or quantities; and how sources write it down."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.sources.plain import encode_labels
from pole.errors import BadInput
from pole.task.scores import Target

SEPARATORS = "|;"
NO_LABEL = ("", "-", "none")


def label_set(text: str) -> set[str]:
    """The labels that a cell names."""
    parts = (part.strip() for part in re.split(f"[{SEPARATORS}]", text))
    return {part for part in parts if part.lower() not in NO_LABEL}


def targets_of_sets(sets: Sequence[set[str]], column: str, where: str) -> dict[str, Any]:
    """The fields `labels` and names of `PlainData`, from the labels of each row, which may have none. Raises BadInput
    if no row has one.
    """
    names = tuple(sorted(set[str]().union(*sets)))
    if not names:
        raise BadInput(f"{where}: no cell of column {column!r} names a label; write them as a{SEPARATORS[0]}b")
    return {"labels": label_matrix(sets, names), "label_names": names}


def label_matrix(sets: Iterable[set[str]], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """0 or 1, int64 [n, names]."""
    return np.array([[name in each for name in names] for each in sets], dtype=np.int64).reshape(-1, len(names))


def targets_of_array(
    y: Sequence[str] | npt.NDArray[np.generic], target: Target, name: str, where: object
) -> dict[str, Any]:
    """The same from an array: [n], or [n, labels] of 0 and 1, or [n, quantities]; columns are named after the array."""
    if target is Target.CLASS:
        labels, names = encode_labels(y)
        return {"labels": labels, "class_names": names}
    y = np.asarray(y)
    columns = y[:, None] if y.ndim == 1 else y
    if columns.ndim != 2 or not columns.shape[1]:
        raise BadInput(f"{where}: {name} has shape {y.shape}; as {target} it needs [rows] or [rows, columns]")
    if not (np.issubdtype(y.dtype, np.number) or np.issubdtype(y.dtype, np.bool_)) or np.iscomplexobj(y):
        raise BadInput(f"{where}: {name} has dtype {y.dtype}; as {target} it needs numbers")
    names = (name,) if y.ndim == 1 else tuple(f"{name}{i}" for i in range(columns.shape[1]))
    if target is Target.QUANTITY:
        return {"labels": columns.astype(np.float64), "quantity_names": names}
    if not np.isin(columns, (0, 1)).all():
        raise BadInput(
            f"{where}: {name} holds other values than 0 and 1; as labels it needs a column of these for each"
        )
    return {"labels": columns.astype(np.int64), "label_names": names}
