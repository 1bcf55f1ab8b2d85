"""How well a delivered ONNX file agrees with exact evaluation on the client's own rows. Needs onnx and onnxruntime."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pole.task.manifest import DataSet, Discretisation
from pole.task.rows import from_units
from pole.task.scores import Target

_COMPARED_ROWS = 1_000
_ROWS_AT_ONCE = 16  # of a large network on large images, a hundred take gigabytes


def agreement(session: Any, data: DataSet, x: NDArray[np.uint8], predictions: NDArray[np.int64]) -> str:
    """Half a sentence on the first rows: x discretised, predictions as exact evaluation has them for the target."""
    from dataclient.delivery.onnx_file import CLASS, LABELS, VALUES

    rows = min(len(x), _COMPARED_ROWS)
    x, predictions = x[:rows], predictions[:rows]
    if data.target is Target.QUANTITY:
        values = np.concatenate(list(_outputs(session, VALUES, data, x)))
        ranges = np.array([each.maximum - each.minimum for each in data.quantities])
        furthest = float((np.abs(values - from_units(predictions, data.quantities)) / ranges).max())
        return (
            f"gives the values that predict gives to within {100 * furthest:.1g} % of their range on {rows} test rows"
        )
    if data.target is Target.LABELS:
        sets = np.concatenate(list(_outputs(session, LABELS, data, x)))
        same = int((sets == predictions.astype(bool)).all(axis=1).sum())
        return f"gives the labels that predict gives on {same} of {rows} test rows"
    classes = np.concatenate(list(_outputs(session, CLASS, data, x)))
    same = sum(found == data.class_names[i] for found, i in zip(classes, predictions, strict=True))
    return f"gives the class that predict gives on {same} of {rows} test rows"


def _outputs(session: Any, name: str, data: DataSet, x: NDArray[np.uint8]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(x), _ROWS_AT_ONCE):
        some = undiscretised(x[start : start + _ROWS_AT_ONCE], data.discretisation)
        [found] = session.run([name], {"features": some})
        yield found


def undiscretised(x: NDArray[np.uint8], discretisation: Discretisation) -> NDArray[np.float64]:
    """Values [n, *shape] in the client's units that discretise to these integers."""
    low, high = np.asarray(discretisation.minimum), np.asarray(discretisation.maximum)
    flat = x.reshape(len(x), -1).astype(np.float64)
    levels = (1 << discretisation.bits) - 1
    values: NDArray[np.float64] = (low + flat / levels * (high - low)).reshape(x.shape)
    return values
