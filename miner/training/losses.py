"""What the default trainer descends on, chosen by the task's metric."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pole.task.scores import Metric, Target, form_of
from pole.task.value_scores import VALUE_BITS

Loss = Callable[[Tensor, Tensor], Tensor]
"""The mean over a batch: outputs float32 [n, outputs], and labels as `estimate_ppm` takes them -> float32, no shape."""

# Metrics in which every class weighs the same, however few rows it has.
_BY_CLASS = ("balanced_accuracy", "macro_f1")


def loss_for(metric: Metric, labels: Tensor, outputs: int) -> Loss:
    """The loss that goes down where the metric goes up; `labels`: int64, all training rows', on the trainer's device.

    Quantities: squared or absolute errors over those of the mean, so that 1 is what predicting the mean costs.
    """
    target = form_of(metric).target
    if target is Target.LABELS:
        return lambda x, y: nn.functional.binary_cross_entropy_with_logits(x, y.float())
    if target is Target.QUANTITY:
        return _relative(labels, is_absolute=metric == "mae")
    weight = _balanced(labels, outputs) if metric in _BY_CLASS else None
    return lambda x, y: nn.functional.cross_entropy(x, y, weight=weight)


def _balanced(labels: Tensor, classes: int) -> Tensor:
    """Float32 [classes]: every class that has rows weighs the same in all, and a row 1 on average."""
    rows = torch.bincount(labels, minlength=classes).float()
    return torch.where(rows > 0, len(labels) / (int((rows > 0).sum()) * rows.clamp(min=1)), 0.0)


def _relative(labels: Tensor, *, is_absolute: bool) -> Loss:
    values = labels.double() / (1 << VALUE_BITS)
    differences = values - values.mean(dim=0)
    spread = (differences.abs() if is_absolute else differences.square()).mean(dim=0)
    scale = torch.where(spread > 0, 1 / spread.clamp(min=2.0**-52), 1.0).float()

    def loss(x: Tensor, y: Tensor) -> Tensor:
        errors = x - (y.double() / (1 << VALUE_BITS)).float()
        return ((errors.abs() if is_absolute else errors.square()) * scale).mean()

    return loss
