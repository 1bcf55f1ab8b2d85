"""What float32 makes of a model's score: quick, and good to a row or so, for trainers and the gradient chain.

Rounding depends on the machine, so no verdict rests on it: those are exact (pole.exact).
"""

from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pole.errors import BadInput, ModelInvalid

PPM = 1_000_000
# One batch size for everybody: the order of float32 sums in a matrix product may depend on it.
ROWS_PER_BATCH = 256

Metric = Literal["accuracy", "macro_f1", "balanced_accuracy"]


def estimate_ppm(
    model: nn.Module,
    x: NDArray[np.float32] | torch.Tensor,
    y: NDArray[np.int64] | torch.Tensor,
    metric: Metric,
    device: torch.device | str = "cpu",
) -> int:
    """The metric over all rows in ppm, floored by exact integer arithmetic; the model is moved to `device`.

    x: float32 [n, *features]; y: int64 [n], in 0..classes-1. Raises ModelInvalid if an output is not finite or not
    [n, classes], BadInput if there are no rows or x and y differ in length.
    """
    rows, labels = torch.as_tensor(x), torch.as_tensor(y)
    if len(rows) == 0 or len(rows) != len(labels):
        raise BadInput(f"cannot score {len(rows)} rows against {len(labels)} labels: need as many, and at least one")
    predicted, classes = _predict(model, rows, torch.device(device))
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise BadInput(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but the model has {classes} outputs"
        )
    if metric == "accuracy":
        return int((predicted == labels.cpu()).sum()) * PPM // len(rows)
    return _floor_ppm(_from_confusion(_confusion(predicted, labels.cpu(), classes), metric))


@torch.inference_mode()
def _predict(model: nn.Module, rows: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, int]:
    """Predicted classes (int64 [n], on the CPU) in evaluation mode, and how many classes the model knows."""
    was_training = model.training
    model.to(device).eval()
    try:
        batches = [_checked(model(batch.to(device)), len(batch)) for batch in torch.split(rows, ROWS_PER_BATCH)]
    finally:
        model.train(was_training)
    return torch.cat([logits.argmax(dim=1).cpu() for logits in batches]), batches[0].shape[1]


def _checked(logits: torch.Tensor, rows: int) -> torch.Tensor:
    if logits.ndim != 2 or logits.shape[0] != rows:
        raise ModelInvalid(f"model yields shape {tuple(logits.shape)} for {rows} rows; need ({rows}, classes)")
    if not bool(torch.isfinite(logits).all()):
        raise ModelInvalid("model yields outputs that are not finite; weights this large overflow float32")
    return logits


def _confusion(predicted: torch.Tensor, labels: torch.Tensor, classes: int) -> list[list[int]]:
    """Counts[label][prediction], as exact integers."""
    # Imported here: it costs seconds, and most tasks are judged by plain accuracy.
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    counts: list[list[int]] = multiclass_confusion_matrix(predicted, labels, num_classes=classes).tolist()
    return counts


def _from_confusion(counts: list[list[int]], metric: Metric) -> Fraction:
    """Mean over classes of recall (labelled classes only) or of F1 (classes labelled or predicted)."""
    hits = [row[k] for k, row in enumerate(counts)]
    labelled = [sum(row) for row in counts]
    guessed = [sum(column) for column in zip(*counts, strict=True)]
    if metric == "balanced_accuracy":
        parts = [Fraction(hit, of) for hit, of in zip(hits, labelled, strict=True) if of]
    else:
        parts = [Fraction(2 * h, a + b) for h, a, b in zip(hits, labelled, guessed, strict=True) if a + b]
    return sum(parts, Fraction(0)) / len(parts)


def _floor_ppm(value: Fraction) -> int:
    return value.numerator * PPM // value.denominator
