"""What a row's label is: one class, any of some labels, or quantities; and how sources write it down."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.sources.plain import encode_labels
from pole.errors import BadInput
from pole.task.scores import Target

SEPARATORS = "|;"
MISSING = ("", "-", "none")


def targets_of_texts(texts: Sequence[str], target: Target, column: str, where: str) -> dict[str, Any]:
    """The fields `labels` and names of `PlainData`, from the cells of one column.

    Labels are separated by | or ;, and a cell may name none. Raises BadInput naming the first row that is wrong.
    """
    if target is Target.CLASS:
        labels, names = encode_labels(texts)
        return {"labels": labels, "class_names": names}
    if target is Target.QUANTITY:
        values = [_number(text, f"{where}, row {row}, column {column!r}") for row, text in enumerate(texts, start=1)]
        return {"labels": np.array(values, dtype=np.float64)[:, None], "quantity_names": (column,)}
    sets = [label_set(text) for text in texts]
    names = tuple(sorted(set().union(*sets)))
    if not names:
        raise BadInput(f"{where}: no cell of column {column!r} names a label; write them as a{SEPARATORS[0]}b")
    return {"labels": label_matrix(sets, names), "label_names": names}


def label_set(text: str) -> set[str]:
    """The labels that a cell names."""
    parts = (part.strip() for part in re.split(f"[{SEPARATORS}]", text))
    return {part for part in parts if part.lower() not in MISSING}


def label_matrix(sets: Sequence[set[str]], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """0 or 1, int64 [n, names]."""
    return np.array([[name in each for name in names] for each in sets], dtype=np.int64).reshape(len(sets), len(names))


def targets_of_array(y: npt.NDArray[np.generic], target: Target, name: str, where: str) -> dict[str, Any]:
    """The same from an array: [n], or [n, labels] of 0 and 1, or [n, quantities]; columns are named after the array."""
    if target is Target.CLASS:
        labels, names = encode_labels(y)
        return {"labels": labels, "class_names": names}
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


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError as exc:
        raise BadInput(f"{where}: {text!r} is not a number; fill it in, or remove the row") from exc
    if not np.isfinite(value):
        raise BadInput(f"{where}: {text!r} is not finite; fill in a number, or remove the row")
    return value
