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

from pole.learning.mapping import Statistics
from pole.learning.unmixing import unmixing_matrix
from pole.task.manifest import AnyModel, DenseMapping, GraphModel, Linear, Manifest

# Directions with less variance than this share of the mean are not blown up to unit variance: they are mostly
# rounding, and would need weights that cancel badly in float32.
VARIANCE_FLOOR = 1e-5
FULL = 0.5
# What the default trainer takes. Full whitening blows up the directions that say least, and costs test accuracy;
# half of it trains as fast (measured: `python -m experiments discretisation`).
HALF = 0.25
# Unmixed columns with less deviation than this share of the mean are not blown up: they say next to nothing.
DEVIATION_FLOOR = 0.05
MAX_UNMIXED = 1 << 24  # entries of the matrix
# Largest change of a logit by folding, relative to the largest logit (float32 has 24 bits; sums lose some).
FOLD_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Whitening:
    """x -> (x - mean) @ matrix, with mean float64 [d] and matrix float64 [d, e]."""

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
            linear.weight = nn.Parameter(torch.from_numpy(weight).float())
            linear.in_features = weight.shape[1]
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


def unmixing_of(
    x: NDArray[np.float32], has_bias: bool, manifest: Manifest, previous_hash: bytes, statistics: Statistics
) -> Whitening | None:
    """The columns of the least-squares estimate of the plain rows, each with deviation 1; None if there is none."""
    mapping, shape = manifest.mapping, tuple(manifest.data.shape)
    if not isinstance(mapping, DenseMapping) or x.shape[1] * manifest.data.dimension > MAX_UNMIXED:
        return None
    matrix = unmixing_matrix(mapping, previous_hash, shape, statistics.scale)
    mean = x.mean(axis=0, dtype=np.float64) if has_bias else np.zeros(x.shape[1])
    variances = ((x - mean) @ matrix).var(axis=0)
    if not variances.any():
        return None
    return Whitening(mean, matrix / np.sqrt(variances + DEVIATION_FLOOR**2 * variances.mean()))


def foldable_layers(spec: AnyModel) -> list[Linear]:
    """The layers that consume "input", if all are linear (else none): into those whitening can be folded."""
    if not isinstance(spec, GraphModel):
        return []
    consumers = [
        layer for i, layer in enumerate(spec.layers) if "input" in layer.inputs or (i == 0 and not layer.inputs)
    ]
    linear = [layer for layer in consumers if isinstance(layer, Linear) and layer.inputs in ([], ["input"])]
    return linear if len(linear) == len(consumers) else []


@torch.inference_mode()
def is_exact(model: nn.Module, folded: nn.Module, x: NDArray[np.float32], whitening: Whitening) -> bool:
    """Whether the folded model yields the same logits on x [n, d], to what float32 can hold."""
    model_cpu = copy.deepcopy(model).cpu().eval()
    expected = model_cpu(torch.from_numpy(whitening.apply(x)))
    actual = folded.eval()(torch.from_numpy(x))
    scale = max(1.0, float(expected.abs().max()))
    return float((actual - expected).abs().max()) <= FOLD_TOLERANCE * scale
