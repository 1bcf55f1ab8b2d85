"""Leaks and traps that a client is told before anything is spent."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.sources.plain import PlainData, feature_name, limit_rows, listed
from pole.task.scores import Target

SAMPLE_ROWS = 3_000
MAX_COLUMNS = 200
NEARLY = 0.99
USUAL = 0.9
FEW_ROWS = 10
FOLDS = 3
LEAVES = 64


def traps(training: PlainData, test: PlainData) -> list[str]:
    """A warning for each: labels given away, rows on both sides of the split, tiny classes, identical rows."""
    found = [*_give_aways(training), *_on_both_sides(training, test)]
    if training.target is Target.CLASS:
        found += [*_tiny(training, test), *_alike(training)]
    return [f"WARNING: {said}" for said in found]


def _give_aways(training: PlainData) -> list[str]:
    """Columns from which alone a small tree tells nearly all labels of rows held out, or one quantity."""
    rows = limit_rows(training, rows=max(SAMPLE_ROWS, len(training.class_names)), seed=0)
    if not rows.has_columns or rows.x.shape[1] > MAX_COLUMNS or not _can_tell(rows):
        return []
    scores = [_alone(rows.x[:, i : i + 1], rows.labels, rows.target) for i in range(rows.x.shape[1])]
    found = [i for i, score in enumerate(scores) if score >= NEARLY]
    if not found:
        return []
    names = listed([f"{feature_name(rows, i)} ({100 * scores[i]:.1f} %)" for i in found])
    return [f"a column alone nearly gives the label away: {names}; is it known when you predict? If not, --drop it"]


def _can_tell(rows: PlainData) -> bool:
    """Whether enough rows of every class, or of one quantity, are there to try."""
    if rows.target is not Target.CLASS:
        return rows.target is Target.QUANTITY and rows.labels.shape[1] == 1 and rows.rows >= FOLDS * FEW_ROWS
    counts = np.bincount(rows.labels, minlength=len(rows.class_names))
    return bool(counts[counts > 0].min() >= FOLDS and counts.max() <= USUAL * rows.rows)


def _alone(x: npt.NDArray[np.generic], labels: npt.NDArray[Any], target: Target) -> float:
    """Accuracy or r2 of a tree on rows held out."""
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if target is Target.QUANTITY:
        folds, tree = (
            KFold(FOLDS, shuffle=True, random_state=0),
            DecisionTreeRegressor(max_leaf_nodes=LEAVES, random_state=0),
        )
    else:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        tree = DecisionTreeClassifier(max_leaf_nodes=2 * len(np.unique(labels)), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(cross_val_score(tree, x, labels, cv=folds).mean())


def _keys(data: PlainData) -> list[bytes]:
    flat = np.ascontiguousarray(data.x.reshape(data.rows, -1))
    return [row.tobytes() for row in flat]


def _on_both_sides(training: PlainData, test: PlainData) -> list[str]:
    known = set(_keys(training))
    count = sum(key in known for key in _keys(test))
    if not count:
        return []
    return [f"{count} of {test.rows} test rows are also training rows: the test score flatters"]


def _tiny(training: PlainData, test: PlainData) -> list[str]:
    counts = np.bincount(np.concatenate([training.labels, test.labels]), minlength=len(training.class_names))
    tiny = [f"{training.class_names[i]} ({counts[i]})" for i in np.flatnonzero(counts < FEW_ROWS)]
    return [f"classes of fewer than {FEW_ROWS} rows, hardly to be learned or tested: {listed(tiny)}"] if tiny else []


def _alike(training: PlainData) -> list[str]:
    """Classes whose rows are all one and the same."""
    same = []
    for i, name in enumerate(training.class_names):
        rows = training.x[training.labels == i]
        if len(rows) > 1 and bool((rows == rows[:1]).all()):
            same.append(name)
    return [f"all rows of a class are identical: {listed(same)}"] if same else []
