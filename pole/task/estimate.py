"""What float32 makes of a model's score: quick, and right to a row or so, for trainers and the gradient chain.

Its rounding depends on the machine, so no verdict on a model of the learning chain rests on it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pole.errors import BadInput, ModelInvalid
from pole.task.scores import Form, Integers, Metric, form_of, predictions_of, score_ppm

ROWS_PER_BATCH = 256


def estimate_ppm(
    model: nn.Module,
    x: NDArray[np.float32] | torch.Tensor,
    y: NDArray[np.int64] | torch.Tensor,
    metric: Metric,
    device: torch.device | str = "cpu",
) -> int:
    """The metric over all rows in ppm, floored; the model is moved to `device`.

    x: float32 [n, *features]; y: int64, labels as `score_ppm` takes them. Raises ModelInvalid if an output is not
    finite or not [n, outputs], BadInput if there are no rows or x and y differ in length.
    """
    rows, labels = torch.as_tensor(x), torch.as_tensor(y)
    if len(rows) == 0 or len(rows) != len(labels):
        raise BadInput(f"cannot score {len(rows)} rows against {len(labels)} labels: need as many, and at least one")
    predicted, outputs = _predict(model, rows, torch.device(device), form_of(metric))
    return score_ppm(predicted, labels.cpu().numpy(), metric, outputs)


@torch.inference_mode()
def _predict(model: nn.Module, rows: torch.Tensor, device: torch.device, form: Form) -> tuple[Integers, int]:
    """What the metric looks at, in evaluation mode, and how many outputs the model has."""
    was_training = model.training
    model.to(device).eval()
    try:
        batches = [_checked(model(batch.to(device)), len(batch)) for batch in torch.split(rows, ROWS_PER_BATCH)]
    finally:
        model.train(was_training)
    return predictions_of(torch.cat(batches).double().cpu().numpy(), form), batches[0].shape[1]


def _checked(logits: torch.Tensor, rows: int) -> torch.Tensor:
    if logits.ndim != 2 or logits.shape[0] != rows:
        raise ModelInvalid(f"model yields shape {tuple(logits.shape)} for {rows} rows; need ({rows}, outputs)")
    if not bool(torch.isfinite(logits).all()):
        raise ModelInvalid("model yields outputs that are not finite; weights this large overflow float32")
    return logits
