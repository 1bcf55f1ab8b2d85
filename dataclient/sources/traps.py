"""Leaks and traps that a client is told before anything is spent."""

import warnings

import numpy as np
import numpy.typing as npt

from dataclient.sources.plain import PlainData, feature_name, limit_rows, listed

SAMPLE_ROWS = 3_000
MAX_COLUMNS = 200
NEARLY = 0.99
USUAL = 0.9
FEW_ROWS = 10
FOLDS = 3


def traps(training: PlainData, test: PlainData) -> list[str]:
    """A warning for each: labels given away, rows on both sides of the split, tiny classes, identical rows."""
    return [
        f"WARNING: {said}"
        for said in (*_give_aways(training), *_on_both_sides(training, test), *_tiny(training, test), *_alike(training))
    ]


def _give_aways(training: PlainData) -> list[str]:
    """Columns from which alone a small tree tells nearly all labels of rows held out."""
    rows = limit_rows(training, rows=SAMPLE_ROWS, seed=0)
    counts = np.bincount(rows.labels, minlength=len(rows.class_names))
    smallest = int(counts[counts > 0].min())
    if not rows.has_columns or rows.x.shape[1] > MAX_COLUMNS or smallest < FOLDS or counts.max() > USUAL * rows.rows:
        return []
    scores = [_alone(rows.x[:, i : i + 1], rows.labels) for i in range(rows.x.shape[1])]
    found = [i for i, score in enumerate(scores) if score >= NEARLY]
    if not found:
        return []
    names = listed([f"{feature_name(rows, i)} ({100 * scores[i]:.1f} %)" for i in found])
    return [f"a column alone nearly gives the label away: {names}; is it known when you predict? If not, --drop it"]


def _alone(x: npt.NDArray[np.generic], labels: npt.NDArray[np.int64]) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.tree import DecisionTreeClassifier

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
