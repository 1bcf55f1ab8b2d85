"""Plain rows: what every source yields, and which rows cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.preprocessing.document import AnyPreprocessing
from pole.errors import BadInput
from pole.task.scores import Target

Values = npt.NDArray[np.number[Any]]
Labels = npt.NDArray[Any]

MAX_LISTED = 8
MIN_ROWS = 4


@dataclass(frozen=True)
class PlainData:
    """Rows of one source.

    `x`: any real dtype, [n, features] or [n, channels, height, width]; `labels`: indices into `class_names`, int64 [n];
    or which of `label_names` a row has, int64 [n, labels] of 0 and 1; or a number for each of `quantity_names`, float64
    [n, quantities]. The two others are empty.
    `has_columns`: every feature is a quantity of its own with its own range (a table), not a pixel among pixels.
    `is_test`: the source's own split, if it has one.
    `preprocessing`: how the source became these rows; `notes`: what was left out, changed or guessed in reading it.
    `columns`, `digest`: of the source, so that what is submitted is what was looked at.
    """

    x: Values
    labels: Labels
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] | None = None
    has_columns: bool = False
    is_test: npt.NDArray[np.bool_] | None = None
    preprocessing: AnyPreprocessing | None = None
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    digest: str | None = None
    label_names: tuple[str, ...] = ()
    quantity_names: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        if self.quantity_names:
            return Target.QUANTITY
        return Target.LABELS if self.label_names else Target.CLASS

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, labels or quantities: one for each output of a model."""
        return self.class_names or self.label_names or self.quantity_names

    @property
    def strata(self) -> Labels:
        """What both parts of a split get alike: the class; nothing of the others."""
        return self.labels if self.target is Target.CLASS else np.zeros(self.rows, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.x.shape[1:])

    @property
    def rows(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.int64]) -> "PlainData":
        is_test = None if self.is_test is None else self.is_test[indices]
        return replace(self, x=self.x[indices], labels=self.labels[indices], is_test=is_test)


@dataclass(frozen=True)
class Split:
    training: PlainData
    test: PlainData


def listed(names: Sequence[object]) -> str:
    """Names for an error message, cut off after a few."""
    shown = ", ".join(str(name) for name in names[:MAX_LISTED])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > MAX_LISTED else shown


def encode_labels(values: Sequence[str] | npt.NDArray[np.generic]) -> tuple[Labels, tuple[str, ...]]:
    """Indices into the sorted class names; whole numbers sort as numbers ("2" before "10")."""
    texts = [label_text(value) for value in values]
    names = sorted(set(texts), key=_label_order)
    index = {name: i for i, name in enumerate(names)}
    return np.asarray([index[text] for text in texts], dtype=np.int64), tuple(names)


def label_text(value: object) -> str:
    """One reading of labels for training and use: 1, 1.0, "1.0" and b"1" are all "1"."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="backslashreplace")
    text = str(value).strip()
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def _label_order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.lstrip("-").isdecimal() and len(name) < 19 else (1, 0, name)


def check_rows(data: PlainData, source: str) -> None:
    """Refuses rows that nothing can be learned from, or that the protocol cannot carry. Raises BadInput."""
    if data.rows == 0:
        raise BadInput(f"{source} has no rows; give a source with at least a few rows of every class")
    if data.x[0].size == 0:
        raise BadInput(f"{source} has no feature besides the label; give at least one")
    check_targets(data, source)
    _check_finite(data, source)
    _check_different(data, source)


def check_targets(data: PlainData, source: str) -> None:
    """Refuses labels that are no classes, classes that are too small, and what cannot be learned. Raises BadInput."""
    if data.target is Target.CLASS:
        _check_classes(data, source)
    else:
        _check_columns(data, source)


def _check_classes(data: PlainData, source: str) -> None:
    counts = np.bincount(data.labels, minlength=len(data.class_names))
    present = int((counts > 0).sum())
    if present < 2:
        only = data.class_names[int(counts.argmax())]
        raise BadInput(f"{source} has one class only ({only!r}); there is nothing to tell apart, give at least two")
    if present > max(2, data.rows // 2):
        raise BadInput(
            f"{source}: the label has {present} distinct values in {data.rows} rows, so it is a quantity or an id, "
            "not a class; choose another label column, group its values, or say --target quantity"
        )
    rare = [data.class_names[i] for i in np.flatnonzero(counts < 2)]
    if rare:
        raise BadInput(
            f"{source}: fewer than 2 rows of class {listed(rare)}; one is needed for training and one for the test "
            "set, so add rows or drop the class"
        )


def _check_columns(data: PlainData, source: str) -> None:
    """Refuses labels and quantities that nothing can be learned about."""
    bad = np.argwhere(~np.isfinite(data.labels))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        raise BadInput(f"{source}, row {row + 1}: {data.names[column]} is no finite number; fill it in or drop the row")
    if data.rows < MIN_ROWS:
        raise BadInput(f"{source} has {data.rows} rows; give at least {MIN_ROWS}, for training and test set")
    constant = np.flatnonzero(data.labels.min(axis=0) == data.labels.max(axis=0))
    if len(constant):
        raise BadInput(
            f"{source}: {listed([data.names[i] for i in constant])} is the same in every row; there is nothing to "
            "predict, leave it out"
        )


def _check_finite(data: PlainData, source: str) -> None:
    if np.issubdtype(data.x.dtype, np.integer):
        return
    bad = ~np.isfinite(data.x.reshape(data.rows, -1))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise BadInput(
            f"{source} has {int(bad.sum())} missing or infinite value(s), first in row {row + 1}, "
            f"feature {feature_name(data, column)}; fill them in or remove those rows"
        )


def _check_different(data: PlainData, source: str) -> None:
    if bool((data.x == data.x[:1]).all()):
        why = "; with transparent images, another --background may show what is in them" if len(data.shape) == 3 else ""
        raise BadInput(f"{source}: all {data.rows} rows are identical; there is nothing to learn from{why}")


def feature_name(data: PlainData, column: int) -> str:
    return repr(data.feature_names[column]) if data.feature_names else f"number {column + 1}"


def split(data: PlainData, *, test_fraction: float, seed: int) -> Split:
    """Stratified and seeded; a source's own split is kept. Every class keeps at least one row on either side."""
    if data.is_test is not None:
        return Split(data.take(np.flatnonzero(~data.is_test)), data.take(np.flatnonzero(data.is_test)))
    generator = np.random.default_rng(seed)
    test: list[npt.NDArray[np.int64]] = []
    for label in np.unique(data.strata):
        rows = generator.permutation(np.flatnonzero(data.strata == label))
        count = min(max(1, round(len(rows) * test_fraction)), len(rows) - 1)
        test.append(rows[:count])
    chosen = np.sort(np.concatenate(test))
    rest = np.setdiff1d(np.arange(data.rows), chosen)
    return Split(data.take(generator.permutation(rest)), data.take(generator.permutation(chosen)))


def limit_rows(data: PlainData, *, rows: int | None, seed: int) -> PlainData:
    """A seeded, stratified choice of at most `rows` rows, in a seeded order; None keeps all."""
    if rows is None or rows >= data.rows:
        return data
    strata = data.strata
    if rows < len(data.class_names):
        raise BadInput(f"{rows} rows cannot hold all {len(data.class_names)} classes; ask for more rows")
    generator = np.random.default_rng(seed)
    order = generator.permutation(data.rows)
    position = np.empty(data.rows, dtype=np.float64)
    for label in np.unique(strata):
        members = order[strata[order] == label]
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return data.take(np.argsort(position, kind="stable")[:rows])
