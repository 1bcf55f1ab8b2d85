"""What a client can reach and what it gives away for that: plain rows beside a handful of mappings, on rows held out.

Quick models of scikit-learn stand for what miners train: the mean vote of logistic regression and a small network, on
the estimate of the rows that inner products allow (`pole.learning.unmixing`).
"""

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.sources.plain import PlainData, limit_rows, split
from pole.learning.mapping import project, statistics
from pole.learning.unmixing import unmixing_matrix
from pole.task.manifest import AnyMapping, ConvolutionalMapping, DenseMapping, Discretisation
from pole.task.rows import discretise

MOST_ROWS = 2_000
MIN_ROWS_PER_CLASS = 3
HELD_OUT_FRACTION = 0.25
WIDE = 128  # features; quick models of wider rows take seconds each
NEAR = 0.01  # a mapping within one point of the plain rows is as good as they are ...
NEAR_SHARE = 0.1  # ... if that is within a tenth of what they have over guessing, which is little for a rare class
KEPT = 0.97  # ... and if it keeps nearly all that they say; a score of few rows is too rough to show what is lost
RECOVERABLE_SHARE = 0.5
LEAST_PROBABILITY = 1e-6

Floats = npt.NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True)
class PlainScores:
    """Accuracy on held-out plain rows, 0 to 1: what a client's own machine makes of them in seconds.

    `guessing`: always the most frequent class.
    """

    guessing: float
    linear: float
    boosting: float
    network: float


@dataclass(frozen=True)
class Choice:
    """`given_away`: share of a row's numbers that a round's keys open; `reached`: accuracy on held-out rows, 0 to 1;
    `doubt`: standard error of its distance from plain rows, over the splits; `kept`: share of what plain rows say about
    the label, in the log likelihood of held-out rows.
    """

    mapping: AnyMapping
    given_away: float
    reached: float
    doubt: float = 0.0
    kept: float = 1.0


@dataclass(frozen=True)
class Frontier:
    plain: PlainScores
    choices: list[Choice]

    def pick(self, protect: str) -> Choice:
        """`accuracy`: what reaches most; `balanced`: the smallest surely near plain rows, else what loses least;
        `rows`: the smallest.
        """
        if protect == "rows":
            return min(self.choices, key=lambda choice: choice.given_away)
        near = min(NEAR, NEAR_SHARE * max(0.0, self.plain.network - self.plain.guessing))
        good = [
            choice
            for choice in self.choices
            if choice.reached - choice.doubt >= self.plain.network - near and choice.kept >= KEPT
        ]
        if protect == "balanced" and good:
            return min(good, key=lambda choice: choice.given_away)
        if protect == "balanced":
            return max(self.choices, key=lambda choice: (choice.kept, choice.reached, -choice.given_away))
        return max(self.choices, key=lambda choice: (choice.reached, -choice.given_away))


def frontier(training: PlainData, discretisation: Discretisation, mappings: Sequence[AnyMapping], say: Say) -> Frontier:
    """Measures plain rows and mappings on the same held-out rows, each time under another made-up previous hash."""
    rows = measured_rows(training, MOST_ROWS)
    flat = rows.x.reshape(rows.rows, -1)
    whole = discretise(flat, discretisation).reshape(rows.x.shape)
    held_out = [_held_out(rows, seed) for seed in range(repeats(rows))]
    start = time.monotonic()
    network = np.array(
        [_vote(_standardised(flat, chosen, floor_share=0.0), rows.labels, chosen) for chosen in held_out]
    )
    fit_s = time.monotonic() - start
    say(f"measuring plain rows and {len(mappings)} mapping(s): about {math.ceil(fit_s * (len(mappings) + 2))} s")
    linear, boosting = (
        _mean(_score(model(), flat, rows.labels, chosen) for chosen in held_out[:2])
        for model in (_linear, lambda: _boosting(flat.shape[1], len(rows.class_names)))
    )
    choices = []
    for mapping in mappings:
        views = (_estimated(mapping, seed, whole, chosen) for seed, chosen in enumerate(held_out))
        votes = [_vote(x, rows.labels, chosen) for x, chosen in zip(views, held_out, strict=True)]
        choices.append(_choice(mapping, rows, np.array(votes), network))
    guessing = float(np.bincount(rows.labels).max()) / rows.rows
    return Frontier(PlainScores(guessing, linear, boosting, float(network[:, 0].mean())), choices)


def _choice(mapping: AnyMapping, rows: PlainData, votes: Floats, network: Floats) -> Choice:
    """`votes`, `network`: of mapped and of plain rows, as `_vote` yields them, for every choice of held-out rows."""
    (reached, likelihood), (_, plain_likelihood) = votes.mean(axis=0), network.mean(axis=0)
    doubt = float(np.std(votes[:, 0] - network[:, 0])) / math.sqrt(max(1, len(votes) - 1))
    shares = np.bincount(rows.labels) / rows.rows
    guessing = float(np.sum(shares * np.log(np.maximum(shares, LEAST_PROBABILITY))))
    said = plain_likelihood - guessing
    kept = (likelihood - guessing) / said if said > 0 else 1.0
    return Choice(mapping, given_away(mapping, rows.shape), float(reached), doubt, float(kept))


def measured_rows(training: PlainData, most: int) -> PlainData:
    """As many as quick models need, and some of every class."""
    return limit_rows(training, rows=max(most, MIN_ROWS_PER_CLASS * len(training.class_names)), seed=0)


def given_away(mapping: AnyMapping, shape: tuple[int, ...]) -> float:
    """Equations about a row per number of it; the keys of a convolutional mapping open everything."""
    if not isinstance(mapping, DenseMapping):
        return 1.0
    return min(1.0, mapping.vectors / mapping.segment_width(shape))


def repeats(rows: PlainData) -> int:
    """Few held-out rows say little, so small sets are split more often."""
    if math.prod(rows.shape) > WIDE:
        return 1
    return 6 if rows.rows < 500 else 3 if rows.rows < 1_500 else 2


def _mean(scores: Any) -> float:
    return float(np.mean(list(scores)))


def _held_out(rows: PlainData, seed: int) -> npt.NDArray[np.bool_]:
    """A stratified choice of rows to score on; classes of a single row stay in the fit."""
    numbered = PlainData(np.arange(rows.rows)[:, None], rows.labels, rows.class_names)
    chosen = np.zeros(rows.rows, dtype=np.bool_)
    chosen[split(numbered, test_fraction=HELD_OUT_FRACTION, seed=seed).test.x[:, 0]] = True
    return chosen


# --- rows as models see them -----------------------------------------------------------------------------------------


def _standardised(x: npt.NDArray[Any], is_held_out: npt.NDArray[np.bool_], floor_share: float = 0.05) -> Floats:
    """Deviation 1, but for columns that change less than a share of the mean one; a few deviations at most."""
    fitted = x[~is_held_out].astype(np.float64)
    deviation = fitted.std(axis=0)
    divisor = np.hypot(deviation, floor_share * math.sqrt(float(np.mean(deviation**2))))
    scaled: Floats = (x - fitted.mean(axis=0)) / np.where(divisor > 0, divisor, 1.0)
    return np.clip(scaled, -10, 10)


def _estimated(
    mapping: AnyMapping, seed: int, whole: npt.NDArray[np.uint8], is_held_out: npt.NDArray[np.bool_]
) -> Floats:
    """The rows as a miner can estimate them under a made-up previous hash."""
    made_up_hash = hashlib.sha256(f"baseline {seed}".encode()).digest()
    mapped = project(mapping, made_up_hash, whole)
    if isinstance(mapping, ConvolutionalMapping):
        return _standardised(mapped.reshape(len(whole), -1), is_held_out)
    normalised = statistics(mapping, [mapped])
    matrix = unmixing_matrix(mapping, made_up_hash, whole.shape[1:], normalised.scale)
    return _standardised(normalised.apply(mapped) @ matrix, is_held_out)


# --- quick models ----------------------------------------------------------------------------------------------------


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression  # scikit-learn takes seconds to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))


def _boosting(features: int, classes: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    is_slow = classes > 3 or features > WIDE
    share = min(1.0, WIDE / features / 2) if features > WIDE else 1.0
    return HistGradientBoostingClassifier(max_iter=30 if is_slow else 100, max_features=share, random_state=0)


def _score(model: Any, x: npt.NDArray[Any], labels: npt.NDArray[np.int64], is_held_out: npt.NDArray[np.bool_]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stops early is good enough for a baseline
        model.fit(x[~is_held_out], labels[~is_held_out])
        return float(model.score(x[is_held_out], labels[is_held_out]))


def _vote(x: Floats, labels: npt.NDArray[np.int64], is_held_out: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Accuracy, and mean log likelihood of the labels, of held-out rows."""
    from sklearn.ensemble import VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((64, 32), alpha=0.1, batch_size=32, max_iter=40, random_state=0)
    both = [("linear", LogisticRegression(max_iter=100)), ("network", network)]
    model = VotingClassifier(both, voting="soft")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stops early is good enough for a baseline
        found = model.fit(x[~is_held_out], labels[~is_held_out]).predict_proba(x[is_held_out])
    asked = np.searchsorted(model.classes_, labels[is_held_out])
    likely = np.log(np.maximum(found[np.arange(len(asked)), asked], LEAST_PROBABILITY))
    return float((found.argmax(axis=1) == asked).mean()), float(likely.mean())
