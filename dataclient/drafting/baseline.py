"""A quick linear model on mapped, discretised rows: what accuracy a client can reasonably ask for."""

import hashlib
import statistics as numbers
import warnings

import numpy as np
import numpy.typing as npt

from dataclient.sources.plain import PlainData, limit_rows, split
from pole.learning.mapping import project
from pole.task.manifest import AnyMapping, Discretisation
from pole.task.rows import discretise

BASELINE_ROWS = 3_000
MIN_ROWS_PER_CLASS = 3
BASELINE_HASHES = 3
HELD_OUT_FRACTION = 0.25
MAX_WHITENED = 512


def baseline_ppm(training: PlainData, discretisation: Discretisation, mapping: AnyMapping) -> int:
    """Accuracy in ppm: the lower of fitted and held-out rows, the median over a few made-up previous hashes."""
    rows = baseline_rows(training)
    whole = discretise(rows.x.reshape(rows.rows, -1), discretisation).reshape(rows.x.shape)
    is_held_out = _held_out(rows)
    scores = []
    for i in range(BASELINE_HASHES):
        made_up_hash = hashlib.sha256(f"baseline {i}".encode()).digest()
        mapped = project(mapping, made_up_hash, whole).reshape(rows.rows, -1)
        scores.append(_score(mapped, rows.labels, is_held_out))
    return int(numbers.median(scores) * 1_000_000)


def baseline_rows(training: PlainData) -> PlainData:
    """As many as a quick model needs."""
    return limit_rows(training, rows=max(BASELINE_ROWS, MIN_ROWS_PER_CLASS * len(training.class_names)), seed=0)


def _held_out(rows: PlainData) -> npt.NDArray[np.bool_]:
    """A stratified choice of rows to score on; classes of a single row stay in the fit."""
    numbered = PlainData(np.arange(rows.rows)[:, None], rows.labels, rows.class_names)
    chosen = np.zeros(rows.rows, dtype=np.bool_)
    chosen[split(numbered, test_fraction=HELD_OUT_FRACTION, seed=0).test.x[:, 0]] = True
    return chosen


def _score(mapped: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], is_held_out: npt.NDArray[np.bool_]) -> float:
    from sklearn.decomposition import PCA  # scikit-learn takes seconds to import
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [StandardScaler(), RidgeClassifier(alpha=100.0)]
    if mapped.shape[1] <= MAX_WHITENED:
        steps = [StandardScaler(), PCA(whiten=True, random_state=0), LogisticRegression(max_iter=200)]
    model = make_pipeline(*steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stops early is good enough for a baseline
        model.fit(mapped[~is_held_out], labels[~is_held_out])
        fitted = model.score(mapped[~is_held_out], labels[~is_held_out])
        held_out = model.score(mapped[is_held_out], labels[is_held_out])
    return float(min(fitted, held_out))
