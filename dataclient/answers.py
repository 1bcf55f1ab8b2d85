"""What a model's outputs mean to its client: classes, labels or quantities in their units."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pole.task.manifest import DataSet
from pole.task.rows import from_units
from pole.task.scores import Form, Target, predictions_of

FORMS = {Target.CLASS: Form.CLASSES, Target.LABELS: Form.LABELS, Target.QUANTITY: Form.VALUES}


def answers_of(logits: npt.NDArray[np.float64], data: DataSet) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """What is predicted, in the form of the task's target; and float64 [n, outputs]: the probability of every class,
    that every label belongs to the row, or the quantities in their units.
    """
    found = predictions_of(logits, FORMS[data.target])
    if data.target is Target.QUANTITY:
        return found, from_units(found, data.quantities)
    if data.target is Target.LABELS:
        return found, np.asarray(0.5 * (1 + np.tanh(logits / 2)))
    return found, _softmax(logits)


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of every row [n, classes]; the largest logit is taken off first, so nothing overflows."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def answer_columns(
    predicted: npt.NDArray[np.int64], values: npt.NDArray[np.float64], data: DataSet
) -> list[tuple[str, Any]]:
    """What is answered, for a table of predictions: names and columns."""
    if data.target is Target.QUANTITY:
        return list(zip(quantity_titles(data), values.T, strict=True))
    if data.target is Target.LABELS:
        sets = ["|".join(data.label_names[i] for i in np.flatnonzero(row)) for row in predicted]
        return [("labels", sets)]
    classes = [data.class_names[int(index)] for index in predicted]
    return [("class", classes), ("confidence", values.max(axis=1))]


def probability_columns(values: npt.NDArray[np.float64], data: DataSet) -> list[tuple[str, Any]]:
    """The same of every class or label; quantities have none."""
    names = data.class_names or data.label_names
    return [(f"probability {name}", values[:, i]) for i, name in enumerate(names)]


def quantity_titles(data: DataSet) -> list[str]:
    return [f"{each.name} [{each.unit}]" if each.unit else each.name for each in data.quantities]
