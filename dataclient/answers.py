"""What a model's outputs mean to its client: classes, labels or quantities in their units; and labels to score by."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataclient.sources.plain import encode_labels, listed
from dataclient.sources.targets import label_matrix, label_set, targets_of_array, targets_of_texts
from pole.errors import BadInput
from pole.task.manifest import DataSet
from pole.task.rows import from_units, to_units
from pole.task.scores import Form, Target, predictions_of

FORMS = {Target.CLASS: Form.CLASSES, Target.LABELS: Form.LABELS, Target.QUANTITY: Form.VALUES}


def answers_of(logits: npt.NDArray[np.float64], data: DataSet) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """What is predicted, in the form of the task's target; and the confidence [n] in a class, or [n, labels] that a
    label belongs to the row, or the quantities [n, quantities] in their units.
    """
    found = predictions_of(logits, FORMS[data.target])
    if data.target is Target.QUANTITY:
        return found, from_units(found, data.quantities)
    if data.target is Target.LABELS:
        return found, np.asarray(0.5 * (1 + np.tanh(logits / 2)))
    return found, _softmax(logits).max(axis=1)


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of every row [n, classes]; the largest logit is taken off first, so nothing overflows."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def written(
    predicted: npt.NDArray[np.int64], confidences: npt.NDArray[np.float64], data: DataSet
) -> tuple[list[str], list[list[str]]]:
    """Column names and cells for a table of predictions."""
    if data.target is Target.QUANTITY:
        names = [f"{each.name} [{each.unit}]" if each.unit else each.name for each in data.quantities]
        return names, [[f"{value:.9g}" for value in row] for row in confidences]
    if data.target is Target.LABELS:
        return ["labels", *data.label_names], [
            ["|".join(data.label_names[i] for i in np.flatnonzero(row)), *(f"{value:.4f}" for value in shares)]
            for row, shares in zip(predicted, confidences, strict=True)
        ]
    return ["class", "confidence"], [
        [data.class_names[int(index)], f"{confidence:.4f}"]
        for index, confidence in zip(predicted, confidences, strict=True)
    ]


def true_labels(given: Sequence[str] | npt.NDArray[np.generic], data: DataSet, where: str) -> npt.NDArray[np.int64]:
    """Labels of new rows, texts or an array, as row files have them. Raises BadInput."""
    if data.target is Target.CLASS:
        return _classes(given, data, where)
    if isinstance(given, np.ndarray):
        return _of_array(given, data, where)
    if data.target is Target.LABELS:
        sets = [label_set(text) for text in given]
        _refuse_unknown(set[str]().union(*sets), data.label_names, where)
        return label_matrix(sets, data.label_names)
    values = targets_of_texts(given, Target.QUANTITY, data.quantities[0].name, where)["labels"]
    return to_units(values, data.quantities)


def _classes(given: Sequence[str] | npt.NDArray[np.generic], data: DataSet, where: str) -> npt.NDArray[np.int64]:
    if isinstance(given, np.ndarray) and given.ndim != 1:
        raise BadInput(f"{where}: labels have shape {given.shape}; need one class for each row")
    texts = [text.strip() for text in given] if not isinstance(given, np.ndarray) else _texts(given)
    _refuse_unknown(set(texts), data.class_names, where)
    index = {name: i for i, name in enumerate(data.class_names)}
    return np.asarray([index[text] for text in texts], dtype=np.int64)


def _texts(array: npt.NDArray[np.generic]) -> list[str]:
    indices, names = encode_labels(array)
    return [names[i] for i in indices]


def _refuse_unknown(given: set[str], known: Sequence[str], where: str) -> None:
    if unknown := sorted(given - set(known)):
        raise BadInput(f"{where} has label(s) {listed(unknown)}; the model knows {listed(known)}")


def _of_array(given: npt.NDArray[np.generic], data: DataSet, where: str) -> npt.NDArray[np.int64]:
    labels: npt.NDArray[np.int64] = targets_of_array(given, data.target, "the array of labels", where)["labels"]
    if labels.shape[1] != data.outputs:
        raise BadInput(f"{where}: labels have {labels.shape[1]} columns, the model predicts {data.outputs}")
    return to_units(labels.astype(np.float64), data.quantities) if data.target is Target.QUANTITY else labels
