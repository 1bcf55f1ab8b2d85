"""What a quick linear model on mapped, discretised rows scores under the task's own metric, whatever is predicted."""

import hashlib
import statistics as numbers
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.drafting.frontier import HELD_OUT_FRACTION, NEAR, Choice, given_away, measured_rows
from dataclient.sources.plain import PlainData, split
from pole.learning.mapping import project
from pole.task.manifest import AnyMapping, Discretisation, Quantity
from pole.task.rows import discretise, to_units
from pole.task.scores import PPM, Metric, Target, form_of, predictions_of, score_ppm
from pole.task.value_scores import VALUE_BITS

MARGIN_PPM, STEP_PPM = 30_000, 10_000
MOST_ROWS = 10_000
HASHES = 3
DEFAULT_METRICS: dict[Target, Metric] = {
    Target.CLASS: "accuracy",
    Target.LABELS: "multilabel_accuracy",
    Target.QUANTITY: "r2",
}


def propose_quantities(training: PlainData, unit: str) -> list[Quantity]:
    """The ranges of the training labels and a tenth more on either side; none of other targets."""
    if training.target is not Target.QUANTITY:
        return []
    ends = zip(training.quantity_names, training.labels.min(axis=0), training.labels.max(axis=0), strict=True)
    return [
        Quantity(name=name, unit=unit, minimum=float(low - (high - low) / 10), maximum=float(high + (high - low) / 10))
        for name, low, high in ends
    ]


@dataclass(frozen=True)
class LinearScores:
    """What a linear model reaches under each mapping; for metrics and targets that no quick network measures."""

    choices: list[Choice]

    def pick(self, protect: str) -> Choice:
        """`accuracy`: what reaches most; `balanced`: the smallest within a point of that; `rows`: the smallest."""
        best = max(choice.reached for choice in self.choices)
        least = {"accuracy": best, "balanced": best - NEAR, "rows": 0.0}[protect]
        good = [choice for choice in self.choices if choice.reached >= least]
        return min(good, key=lambda choice: choice.given_away)


def linear_scores(
    training: PlainData,
    discretisation: Discretisation,
    mappings: Sequence[AnyMapping],
    metric: Metric,
    quantities: list[Quantity],
) -> LinearScores:
    """Measures every mapping; see `linear_ppm`."""
    return LinearScores(
        [
            Choice(
                mapping,
                given_away(mapping, training.shape),
                linear_ppm(training, discretisation, mapping, metric, quantities) / PPM,
            )
            for mapping in mappings
        ]
    )


def linear_ppm(
    training: PlainData,
    discretisation: Discretisation,
    mapping: AnyMapping,
    metric: Metric,
    quantities: list[Quantity],
) -> int:
    """The lower score of fitted and held-out rows, the median over a few made-up previous hashes."""
    rows = measured_rows(training, MOST_ROWS)
    whole = discretise(rows.x.reshape(rows.rows, -1), discretisation).reshape(rows.x.shape)
    labels = to_units(rows.labels, quantities) if quantities else rows.labels
    numbered = PlainData(np.arange(rows.rows)[:, None], rows.strata, rows.names)
    is_held_out = np.zeros(rows.rows, dtype=np.bool_)
    is_held_out[split(numbered, test_fraction=HELD_OUT_FRACTION, seed=0).test.x[:, 0]] = True
    scores = []
    for i in range(HASHES):
        mapped = project(mapping, hashlib.sha256(f"baseline {i}".encode()).digest(), whole).reshape(rows.rows, -1)
        outputs = _outputs(mapped, labels, is_held_out, rows)
        found = predictions_of(outputs, form_of(metric))
        parts = (~is_held_out, is_held_out)
        scores.append(min(score_ppm(found[part], labels[part], metric, outputs.shape[1]) for part in parts))
    return int(numbers.median(scores))


def required_ppm(measured_ppm: int) -> int:
    """The measured score less a margin, in whole per cent, but at least half of it and one per cent."""
    wanted = max(measured_ppm - MARGIN_PPM, measured_ppm // 2) // STEP_PPM * STEP_PPM
    return max(STEP_PPM, wanted)


def _outputs(
    mapped: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], is_held_out: npt.NDArray[np.bool_], rows: PlainData
) -> npt.NDArray[np.float64]:
    """As a model's outputs [n, outputs], fitted on the rows that are not held out."""
    from sklearn.linear_model import RidgeCV  # scikit-learn takes seconds to import
    from sklearn.preprocessing import StandardScaler

    x = StandardScaler().fit(mapped[~is_held_out]).transform(mapped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stops early is good enough for a baseline
        if rows.target is Target.QUANTITY:
            model = RidgeCV(np.logspace(-2, 4, 13)).fit(x[~is_held_out], labels[~is_held_out] / (1 << VALUE_BITS))
            return np.asarray(model.predict(x), dtype=np.float64).reshape(len(x), -1)
        if rows.target is Target.LABELS:
            return np.stack([_log_odds(x, column, is_held_out)[:, 1] for column in labels.T], axis=1)
        return np.asarray(_log_odds(x, labels, is_held_out, len(rows.class_names)))


def _log_odds(x: Any, labels: npt.NDArray[np.int64], is_held_out: npt.NDArray[np.bool_], classes: int = 2) -> Any:
    """Logits [n, classes] of a logistic regression; of two classes 0 and the log odds."""
    from sklearn.linear_model import LogisticRegression

    found = np.full((len(x), classes), -20.0)
    known = np.unique(labels[~is_held_out])
    if len(known) == 1:
        found[:, known] = 20.0
        return found
    logits = LogisticRegression(max_iter=200).fit(x[~is_held_out], labels[~is_held_out]).decision_function(x)
    found[:, known] = np.stack([np.zeros(len(x)), logits], axis=1) if logits.ndim == 1 else logits
    return found
