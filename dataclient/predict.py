"""Uses a bought model on new plain rows: discretise, map, normalise, classify; and score where labels are known."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataclient.answers import answers_of, true_labels, written
from dataclient.bundle import Bundle
from dataclient.sources.plain import listed
from dataclient.sources.tables import Table, feature_array, read_arrays, read_table
from pole.atomicfile import write_atomically
from pole.errors import BadInput
from pole.task.manifest import Discretisation
from pole.task.scores import Target, form_of, predictions_of, score_ppm


@dataclass(frozen=True)
class NewRows:
    """`x`: plain values [n, *shape]; `labels`: as row files have them, or None if not asked for."""

    x: npt.NDArray[np.generic]
    labels: npt.NDArray[np.int64] | None


@dataclass(frozen=True)
class Predictions:
    """`classes`: indices, and of other targets what is predicted; with `confidences` as `answers_of` has them.

    `score_ppm`: the task's own metric, and `accuracy` the share of rows that are right, where labels are known;
    `clipped_fraction`: share of values outside the range that the model was trained on.
    """

    classes: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]
    accuracy: float | None
    clipped_fraction: float
    score_ppm: int | None = None


def read_new_rows(path: Path, bundle: Bundle, label: str | None) -> NewRows:
    """Rows of a CSV or .npz file, with the features that the model needs; `label` names a column or an array."""
    if not path.is_file():
        raise BadInput(f"no file {path}; give a .csv or .npz file with rows to predict")
    is_npz = path.suffix.lower() == ".npz"
    x, given = _from_npz(path, label) if is_npz else _from_csv(path, bundle, label)
    if not len(x):
        raise BadInput(f"{path} has no rows; give at least one row to predict")
    shape = tuple(bundle.description.manifest.data.shape)
    if math.prod(x.shape[1:]) != math.prod(shape):
        raise BadInput(f"rows of {path} have {math.prod(x.shape[1:])} features, the model needs {math.prod(shape)}")
    _check_finite(x, path)
    labels = None if given is None else true_labels(given, bundle.description.manifest.data, str(path))
    return NewRows(x.reshape(-1, *shape), labels)


def _from_npz(path: Path, label: str | None) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic] | None]:
    arrays = read_arrays(path)
    for name in ("x", label):
        if name is not None and name not in arrays:
            raise BadInput(f"{path} has no array {name!r}; it holds {listed(sorted(arrays)) or 'nothing'}")
    x = feature_array(arrays["x"], path)
    if label is None:
        return x, None
    if arrays[label].ndim not in (1, 2) or len(arrays[label]) != len(x):
        raise BadInput(f"{path}: {label} has shape {arrays[label].shape}; it needs one label for each of {len(x)} rows")
    return x, arrays[label]


def _from_csv(path: Path, bundle: Bundle, label: str | None) -> tuple[npt.NDArray[np.generic], list[str] | None]:
    table = read_table(path)
    target = None if label is None else table.column(label, "label")
    texts = None if target is None else [row[target].strip() for row in table.rows]
    return table.numbers(_feature_columns(table, bundle, target)), texts


def _feature_columns(table: Table, bundle: Bundle, target: int | None) -> list[int]:
    """Columns by name, in the order of the training data; by position if the training data had no names."""
    names = bundle.description.feature_names
    if names is None:
        return [i for i in range(len(table.header)) if i != target]
    missing = [name for name in names if name not in table.header]
    if missing:
        raise BadInput(f"{table.path} lacks column(s) {listed(missing)}; the model needs {listed(names)}")
    return [table.header.index(name) for name in names]


def _check_finite(x: npt.NDArray[np.generic], path: Path) -> None:
    bad = ~np.isfinite(x.astype(np.float64, copy=False))
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise BadInput(
            f"{path} has {int(bad.sum())} missing or infinite value(s), first in row {row + 1}; fill them in"
        )


def predict(bundle: Bundle, rows: NewRows) -> Predictions:
    """The answer for every row, exactly as the verifiers found it; the confidence in a class is its softmax."""
    manifest, logits = bundle.description.manifest, bundle.logits(rows.x)
    predicted, confidences = answers_of(logits, manifest.data)
    clipped = clipped_fraction(rows.x, manifest.data.discretisation)
    if rows.labels is None:
        return Predictions(predicted, confidences, None, clipped)
    is_class = manifest.data.target is Target.CLASS
    accuracy = float((predicted == rows.labels).mean()) if is_class else None
    scored = predictions_of(logits, form_of(manifest.metric))
    score = score_ppm(scored, rows.labels, manifest.metric, manifest.outputs)
    return Predictions(predicted, confidences, accuracy, clipped, score)


def clipped_fraction(x: npt.NDArray[np.generic], discretisation: Discretisation) -> float:
    flat = x.reshape(len(x), -1).astype(np.float64)
    low, high = np.asarray(discretisation.minimum), np.asarray(discretisation.maximum)
    return float(((flat < low) | (flat > high)).mean())


def write_predictions(path: Path, bundle: Bundle, predictions: Predictions) -> None:
    """CSV with row number, and class and confidence, labels and their probabilities, or quantities. Raises BadInput."""
    header, rows = written(predictions.classes, predictions.confidences, bundle.description.manifest.data)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["row", *header])
    writer.writerows([number, *cells] for number, cells in enumerate(rows, start=1))
    try:
        write_atomically(path, text.getvalue().encode())
    except OSError as exc:
        raise BadInput(f"cannot write {path}: {exc.strerror}; choose another --out") from exc
