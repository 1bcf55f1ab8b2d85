"""Uses a bought model on new plain rows: discretise, map, normalise, predict; and score where labels are known."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dataclient.answers import answers_of
from dataclient.bundle import Bundle
from dataclient.newrows.rows import NewRows
from dataclient.sources.ranges import FAR, outside
from pole.task.manifest import Manifest
from pole.task.scores import Integers, Target, form_of, predictions_of, score_ppm

MAX_NAMED = 4


@dataclass(frozen=True)
class Predictions:
    """Of a piece of rows. `predicted`: classes [n], labels 0 or 1 [n, labels], or quantities in units of their ranges;
    `values`: float64 [n, outputs], the probability of every class or label, or the quantities in their own units.

    `far`: bool [n, features], values far outside the range that the model was trained on.
    """

    rows: NewRows
    predicted: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    far: npt.NDArray[np.bool_]


@dataclass
class Tally:
    """What is said about all rows in the end. `scored`, `labels`: of rows with known labels, what the task's metric
    looks at; `right`: of classes, those that are.
    """

    rows: int = 0
    right: int | None = None
    values: int = 0
    clipped: int = 0
    far_rows: int = 0
    notes: list[str] = field(default_factory=list)
    scored: list[Integers] = field(default_factory=list)
    labels: list[Integers] = field(default_factory=list)

    @property
    def accuracy(self) -> float | None:
        return None if self.right is None else self.right / sum(map(len, self.labels))

    def score_ppm(self, manifest: Manifest) -> int | None:
        """Of the rows with known labels, by the task's own metric."""
        if not self.labels:
            return None
        return score_ppm(np.concatenate(self.scored), np.concatenate(self.labels), manifest.metric, manifest.outputs)

    @property
    def clipped_fraction(self) -> float:
        return self.clipped / self.values if self.values else 0.0


def predict(bundle: Bundle, pieces: Iterable[NewRows], tally: Tally) -> Iterator[Predictions]:
    """The answer for every row, exactly as the verifiers found it; probabilities of classes are the logits' softmax.

    `tally` is complete once the last piece was taken.
    """
    model, manifest = bundle.model(), bundle.description.manifest
    discretisation = manifest.data.discretisation
    for rows in pieces:
        tally.notes += [note for note in rows.notes if note not in tally.notes]
        if not len(rows.x):
            continue
        logits = bundle.logits(rows.x, model)
        found = Predictions(rows, *answers_of(logits, manifest.data), outside(rows.unclipped, discretisation, FAR))
        _count(tally, found, int(outside(rows.unclipped, discretisation).sum()))
        if rows.labels is not None:
            _keep(tally, manifest, logits, found.predicted, rows.labels)
        yield found


def _count(tally: Tally, found: Predictions, clipped: int) -> None:
    tally.rows += len(found.predicted)
    tally.values += found.far.size
    tally.clipped += clipped
    tally.far_rows += int(found.far.any(axis=1).sum())


def _keep(
    tally: Tally, manifest: Manifest, logits: npt.NDArray[np.float64], predicted: Integers, labels: Integers
) -> None:
    tally.scored.append(predictions_of(logits, form_of(manifest.metric)))
    tally.labels.append(labels)
    if manifest.data.target is Target.CLASS:
        tally.right = (tally.right or 0) + int((predicted == labels).sum())


def far_outside(found: Predictions, bundle: Bundle) -> list[str]:
    """For every row the names of the features whose values lie far outside of the training range."""
    names = bundle.description.feature_names
    return [_named(np.flatnonzero(row), names) if row.any() else "" for row in found.far]


def _named(features: npt.NDArray[np.int64], names: list[str] | None) -> str:
    if names is None:
        return f"{len(features)} value(s)"
    shown = "; ".join(names[i] for i in features[:MAX_NAMED])
    return f"{shown}; ... ({len(features)} in all)" if len(features) > MAX_NAMED else shown
