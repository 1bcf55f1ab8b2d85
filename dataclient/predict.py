"""Uses a bought model on new plain rows: discretise, map, normalise, classify; and score where labels are known."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dataclient.bundle import Bundle
from dataclient.newrows.rows import NewRows
from dataclient.sources.ranges import FAR, outside

MAX_NAMED = 4


@dataclass(frozen=True)
class Predictions:
    """Of a piece of rows. `classes`: indices; `probabilities`: float64 [n, classes].

    `far`: bool [n, features], values far outside the range that the model was trained on.
    """

    rows: NewRows
    classes: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    far: npt.NDArray[np.bool_]

    @property
    def confidences(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.probabilities.max(axis=1))


@dataclass
class Tally:
    """What is said about all rows in the end. `scored`: rows with a known label."""

    rows: int = 0
    scored: int = 0
    right: int = 0
    values: int = 0
    clipped: int = 0
    far_rows: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def accuracy(self) -> float | None:
        return self.right / self.scored if self.scored else None

    @property
    def clipped_fraction(self) -> float:
        return self.clipped / self.values if self.values else 0.0


def predict(bundle: Bundle, pieces: Iterable[NewRows], tally: Tally) -> Iterator[Predictions]:
    """Class of every row, exactly as the verifiers found it; probabilities are the softmax of the logits.

    `tally` is complete once the last piece was taken.
    """
    model = bundle.model()
    discretisation = bundle.description.manifest.data.discretisation
    for rows in pieces:
        tally.notes += [note for note in rows.notes if note not in tally.notes]
        if not len(rows.x):
            continue
        logits = bundle.logits(rows.x, model)
        found = Predictions(
            rows,
            logits.argmax(axis=1).astype(np.int64),
            _softmax(logits),
            outside(rows.unclipped, discretisation, FAR),
        )
        _count(tally, found, int(outside(rows.unclipped, discretisation).sum()))
        yield found


def _count(tally: Tally, found: Predictions, clipped: int) -> None:
    tally.rows += len(found.classes)
    tally.values += found.far.size
    tally.clipped += clipped
    tally.far_rows += int(found.far.any(axis=1).sum())
    if found.rows.labels is not None:
        tally.scored += len(found.classes)
        tally.right += int((found.classes == found.rows.labels).sum())


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of every row [n, classes]; the largest logit is taken off first, so nothing overflows."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def far_outside(found: Predictions, bundle: Bundle) -> list[str]:
    """For every row the names of the features whose values lie far outside of the training range."""
    names = bundle.description.feature_names
    return [_named(np.flatnonzero(row), names) if row.any() else "" for row in found.far]


def _named(features: npt.NDArray[np.int64], names: list[str] | None) -> str:
    if names is None:
        return f"{len(features)} value(s)"
    shown = "; ".join(names[i] for i in features[:MAX_NAMED])
    return f"{shown}; ... ({len(features)} in all)" if len(features) > MAX_NAMED else shown
