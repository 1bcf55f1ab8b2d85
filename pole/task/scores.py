"""Scores in parts per million, more is better, floored, by integer arithmetic from predictions.

Source: PoLe, Algorithm 2; docs/exact-evaluation.md, Scores
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from pole.errors import BadInput
from pole.task import class_scores, label_scores, probability_scores, value_scores
from pole.task.integers import PPM, Integers
from pole.task.value_scores import VALUE_BITS

__all__ = ["PPM", "Form", "Integers", "Metric", "MetricName", "Target", "form_of", "predictions_of", "score_ppm"]

Metric = str
"""One of METRICS, or top_K_accuracy with a number for K."""

LOGIT_BITS = 16
LARGEST_LOGIT = 1 << 40


class Target(StrEnum):
    """What a task asks for: one class, any of some labels, or quantities."""

    CLASS = "class"
    LABELS = "labels"
    QUANTITY = "quantity"


class Form(StrEnum):
    """What a metric looks at, made of a model's outputs by `predictions_of`."""

    CLASSES = "classes"
    LOGITS = "logits"
    LABELS = "labels"
    VALUES = "values"

    @property
    def target(self) -> Target:
        return _TARGETS[self]


_TARGETS = {
    Form.CLASSES: Target.CLASS,
    Form.LOGITS: Target.CLASS,
    Form.LABELS: Target.LABELS,
    Form.VALUES: Target.QUANTITY,
}

Score = Callable[[Integers, Integers, int], int]
"""Of predictions, labels and the number of outputs."""

METRICS: dict[Metric, tuple[Form, Score]] = {
    "accuracy": (Form.CLASSES, class_scores.accuracy),
    "balanced_accuracy": (Form.CLASSES, class_scores.balanced_accuracy),
    "macro_f1": (Form.CLASSES, class_scores.macro_f1),
    "weighted_f1": (Form.CLASSES, class_scores.weighted_f1),
    "mcc": (Form.CLASSES, class_scores.mcc),
    "cohen_kappa": (Form.CLASSES, class_scores.cohen_kappa),
    "roc_auc": (Form.LOGITS, probability_scores.roc_auc),
    "average_precision": (Form.LOGITS, probability_scores.average_precision),
    "log_loss": (Form.LOGITS, probability_scores.log_loss),
    "brier": (Form.LOGITS, probability_scores.brier),
    "multilabel_accuracy": (Form.LABELS, label_scores.multilabel_accuracy),
    "multilabel_f1": (Form.LABELS, label_scores.multilabel_f1),
    "r2": (Form.VALUES, value_scores.r2),
    "rmse": (Form.VALUES, value_scores.rmse),
    "mae": (Form.VALUES, value_scores.mae),
}
_TOP_K = re.compile(r"top_([2-9]|[1-9][0-9]{1,3})_accuracy")


def top_k_of(metric: Metric) -> int | None:
    """K of top_K_accuracy; None for every other metric."""
    found = _TOP_K.fullmatch(metric)
    return int(found[1]) if found else None


def form_of(metric: Metric) -> Form:
    """What the metric looks at. Raises BadInput for a name that is no metric."""
    return _known(metric)[0]


def score_ppm(predictions: Integers, labels: Integers, metric: Metric, outputs: int) -> int:
    """The metric over all rows.

    predictions: what `predictions_of` makes of a model's outputs in the metric's form; labels: classes [n], labels 0 or
    1 [n, outputs], or values in units of 2^-24 of their range [n, outputs]; outputs: how many classes, labels or
    quantities there are. Raises BadInput without rows, for shapes that do not belong together and numbers out of range.
    """
    form, score = _known(metric)
    _check(predictions, labels, form, outputs)
    return score(predictions, labels, outputs)


def predictions_of(logits: NDArray[np.float64], form: Form) -> Integers:
    """A model's outputs, float64 [n, outputs], as a metric looks at them: int64 [n] for CLASSES, else [n, outputs].

    CLASSES: the largest output, the lowest class of equals; LOGITS: in units of 2^-16; LABELS: 1 where an output is
    above zero; VALUES: in units of 2^-24 of the range, cut off at its ends.
    """
    if form is Form.CLASSES:
        return np.asarray(logits.argmax(axis=1), dtype=np.int64)
    if form is Form.LABELS:
        return np.asarray(logits > 0, dtype=np.int64)
    if form is Form.LOGITS:
        rounded = np.rint(logits * 2.0**LOGIT_BITS)
        return np.asarray(np.clip(rounded, -LARGEST_LOGIT, LARGEST_LOGIT), dtype=np.int64)
    return np.asarray(np.clip(np.rint(logits * 2.0**VALUE_BITS), 0, 1 << VALUE_BITS), dtype=np.int64)


def _known(metric: Metric) -> tuple[Form, Score]:
    k = top_k_of(metric)
    if k is not None:
        return Form.LOGITS, lambda predictions, labels, _: probability_scores.top_k(predictions, labels, k)
    if metric not in METRICS:
        raise BadInput(f"there is no metric {metric!r:.100}; choose one of {', '.join(METRICS)} or top_K_accuracy")
    return METRICS[metric]


def _checked_name(metric: str) -> str:
    try:
        _known(metric)
    except BadInput as exc:
        raise ValueError(str(exc)) from exc
    return metric


MetricName = Annotated[str, AfterValidator(_checked_name)]
"""A metric's name in a document."""


def _check(predictions: Integers, labels: Integers, form: Form, outputs: int) -> None:
    if len(labels) == 0 or len(predictions) != len(labels):
        raise BadInput(f"cannot score {len(predictions)} rows against {len(labels)} labels: need as many, at least one")
    shapes = {"predictions": (predictions, form is not Form.CLASSES), "labels": (labels, form.target != Target.CLASS)}
    for what, (values, has_columns) in shapes.items():
        wanted = (len(labels), outputs) if has_columns else (len(labels),)
        if values.shape != wanted:
            raise BadInput(f"{what} have shape {values.shape}; to be scored as {form}, they need {wanted}")
    largest = {Target.CLASS: outputs - 1, Target.LABELS: 1, Target.QUANTITY: 1 << VALUE_BITS}[form.target]
    for what, values in (("labels", labels), ("predictions", predictions)):
        if form is Form.LOGITS and what == "predictions":
            continue
        if values.min() < 0 or values.max() > largest:
            meant = f"there are {outputs} classes" if form.target == Target.CLASS else f"they end at {largest}"
            raise BadInput(f"{what} run from {values.min()} to {values.max()}, but {meant}")
