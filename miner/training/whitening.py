"""Whitens the features for training, and folds the whitening into the first linear layer of the submitted model.

Inner products with random query vectors are strongly correlated, which slows every gradient method down; whitening
undoes that, and costs the submitted model nothing: a linear map before a linear layer is a linear layer.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pole.task.manifest import AnyModel, GraphModel, Linear

# Directions with less variance than this share of the mean are not blown up to unit variance: they are mostly
# rounding, and would need weights that cancel badly in float32.
VARIANCE_FLOOR = 1e-5
FULL = 0.5
# What the default trainer takes. Full whitening blows up the directions that say least, and costs test accuracy;
# half of it trains as fast (measured: `python -m experiments discretisation`).
HALF = 0.25
# Largest change of a logit by folding, relative to the largest logit (float32 has 24 bits; sums lose some).
FOLD_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Whitening:
    """x -> (x - mean) @ matrix, with mean float64 [d] and matrix float64 [d, d]."""

    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def apply(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((x - self.mean) @ self.matrix).astype(np.float32)

    def fold(self, model: nn.Module, layer: str) -> nn.Module:
        """A copy of the model, on the CPU, that takes plain features and yields what `model` yields on whitened ones.

        `(x - m) W A^T + b == x (A W^T)^T + (b - A W^T m)`, computed in float64.
        """
        folded = copy.deepcopy(model).cpu()
        linear = folded.get_submodule(layer)
        assert isinstance(linear, nn.Linear)
        weight = linear.weight.detach().double().numpy() @ self.matrix.T
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            if linear.bias is not None:
                linear.bias.copy_(torch.from_numpy(linear.bias.double().numpy() - weight @ self.mean))
        return folded


def whitening_of(x: NDArray[np.float32], has_bias: bool, power: float = FULL) -> Whitening:
    """The principal components of the rows x [n, d], each over its variance to a power: 0 rotates, 1/2 whitens.

    Scaled to a mean variance of 1; uncentred if no bias can take up the mean.
    """
    rows = x.astype(np.float64)
    mean = rows.mean(axis=0) if has_bias else np.zeros(rows.shape[1])
    centred = rows - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / len(rows))
    variances = np.maximum(variances, 0.0)
    floor = max(VARIANCE_FLOOR * float(variances.mean()), np.finfo(np.float64).tiny)
    factors = (variances + floor) ** -power
    if variances.any():
        factors /= np.sqrt(np.mean(variances * factors**2))
    return Whitening(mean, directions * factors)


def foldable_layer(spec: AnyModel) -> Linear | None:
    """The linear layer that alone consumes "input", or None: only into such a layer can whitening be folded."""
    if not isinstance(spec, GraphModel):
        return None
    consumers = [
        layer for i, layer in enumerate(spec.layers) if "input" in layer.inputs or (i == 0 and not layer.inputs)
    ]
    if len(consumers) == 1 and isinstance(consumers[0], Linear) and consumers[0].inputs in ([], ["input"]):
        return consumers[0]
    return None


@torch.inference_mode()
def is_exact(model: nn.Module, folded: nn.Module, x: NDArray[np.float32], whitening: Whitening) -> bool:
    """Whether the folded model yields the same logits on x [n, d], to what float32 can hold."""
    model_cpu = copy.deepcopy(model).cpu().eval()
    expected = model_cpu(torch.from_numpy(whitening.apply(x)))
    actual = folded.eval()(torch.from_numpy(x))
    scale = max(1.0, float(expected.abs().max()))
    return float((actual - expected).abs().max()) <= FOLD_TOLERANCE * scale
