"""Weights on grids: integers that share one exponent for each output channel, as large as exact sums allow.

Source: docs/exact-evaluation.md, Weights
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pole.exact.grid import EXACT, Floats, Grid
from pole.exact.steps import NORMS, Step

_EPSILON = 1e-5  # of batch_norm and layer_norm alike
BLOCK = 1 << 24  # elements of the largest intermediate array, where there is a choice
_CACHED = 1 << 16  # the same, where weights are rounded in several passes

Tensors = Mapping[str, NDArray[Any]]


class Rounded(NamedTuple):
    """T = weights · v + bias is exact, and stands for T / 2^(exponents + the input's fraction bits).

    weights: int32 [channels, n]; bias: integers in float64 [channels]; exponents: int64 [channels].
    """

    weights: NDArray[np.int32]
    bias: Floats
    exponents: NDArray[np.int64]


class Norm(NamedTuple):
    """Of a batch_norm, float64 [channels]: v -> (v - mean) * scale + offset."""

    scale: Floats
    mean: Floats
    offset: Floats


def weights_of(step: Step, tensors: Tensors, grid: Grid) -> Rounded:
    """Of a linear or conv2d, with its batch_norm folded in, or of a batch_norm or layer_norm alone (n is 1)."""
    if step.kind in NORMS:
        weight, bias = (tensors[f"{step.tensors}.{each}"].reshape(-1) for each in ("weight", "bias"))
        return rounded(weight[:, None], bias.astype(np.float64), np.ones(len(weight)), grid)
    channels = step.shape[0]
    if step.kind == "batch_norm":
        return _folded(np.ones((channels, 1), np.float32), np.zeros(channels), _norm(step.tensors, tensors), grid)
    weight = tensors[f"{step.tensors}.weight"].reshape(channels, -1)
    bias = tensors[f"{step.tensors}.bias"].astype(np.float64) if step.has_bias else np.zeros(channels)
    if step.norm:
        return _folded(weight, bias, _norm(step.norm, tensors), grid)
    return rounded(weight, bias, np.ones(channels), grid)


def linear_weights(name: str, tensors: Tensors, grid: Grid) -> Rounded:
    """Of a linear layer inside another."""
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"].astype(np.float64)
    return rounded(weight, bias, np.ones(len(bias)), grid)


def _folded(weight: NDArray[np.float32], bias: Floats, norm: Norm, grid: Grid) -> Rounded:
    return rounded(weight, (bias - norm.mean) * norm.scale + norm.offset, norm.scale, grid)


def _norm(name: str, tensors: Tensors) -> Norm:
    weight, bias, mean, variance = (
        tensors[f"{name}.{each}"].astype(np.float64) for each in ("weight", "bias", "running_mean", "running_var")
    )
    return Norm(weight / np.sqrt(np.maximum(variance, 0.0) + _EPSILON), mean, bias)


def rounded(weights: NDArray[np.float32], bias: Floats, scale: Floats, grid: Grid) -> Rounded:
    """Round weights [channels, n], times their channel's scale, for inputs on `grid`."""
    parts = []
    for some in blocks(len(weights), _CACHED // weights.shape[1]):
        scaled = weights[some].astype(np.float64) * scale[some, None]
        exponents = _exponents(np.abs(scaled), np.abs(bias[some]), grid)
        integers = np.rint(scaled * _power(exponents)[:, None]).astype(np.int32)
        parts.append((integers, np.rint(bias[some] * _power(exponents + grid.fraction_bits)), exponents))
    return Rounded(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _exponents(weights: Floats, bias: Floats, grid: Grid) -> NDArray[np.int64]:
    """The largest that keep sums exact, of magnitudes [channels, n]: down from ones that are certainly too large.

    For rounding takes at most half a unit off each weight: grid.bound * n / 2 off what is needed.
    """
    need = grid.bound * weights.sum(axis=1) + bias * 2.0**grid.fraction_bits
    too_large = 55 if weights.shape[1] <= 1 << 22 else 57
    exponents = np.where(need > 0, too_large - np.frexp(need)[1].astype(np.int64), 0)
    while True:
        integers = weights * _power(exponents)[:, None]
        sums = np.rint(integers, out=integers).sum(axis=1)
        # Not a sum compared to 2^53: it could round down to that.
        fits = np.rint(bias * _power(exponents + grid.fraction_bits)) <= EXACT - grid.bound * sums
        if fits.all():
            return exponents
        exponents -= ~fits


def _power(exponents: NDArray[np.int64]) -> Floats:
    return np.ldexp(1.0, exponents)


def blocks(total: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at least one and at most `size`."""
    size = max(1, size)
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
