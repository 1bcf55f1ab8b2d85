"""What the layers compute, on float64 tensors of integers [*shape of a row, rows]. None changes its inputs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pole.exact.fast.weights import COARSE, FINE, Affine, Grid, power_of_two

Function = Callable[..., Tensor]

BOUND = float(FINE.bound)
"""Of all activations, fine and coarse."""


@dataclass(frozen=True)
class Linear:
    """[inputs, n] -> [outputs, n]; logits are neither rounded nor clamped, and their `low` is None."""

    affine: Affine
    low: float | None

    def __call__(self, x: Tensor) -> Tensor:
        y = torch.addmm(self.affine.bias[:, None], self.affine.weight, x)
        return y if self.low is None else y.round_().clamp_(self.low, BOUND)


@dataclass(frozen=True)
class Scale:
    """One weight and one bias for each channel, or (after a layer_norm) for each element: x * weight + bias."""

    affine: Affine
    low: float

    def __call__(self, x: Tensor) -> Tensor:
        shape = (-1, *[1] * (x.ndim - 1))
        y = x * self.affine.weight.view(shape)
        return y.add_(self.affine.bias.view(shape)).round_().clamp_(self.low, BOUND)


@dataclass(frozen=True)
class LayerNorm:
    """Over all values of a row, from one grid to another."""

    scale: Scale
    grid: Grid
    activations: Grid

    def __call__(self, x: Tensor) -> Tensor:
        return self.scale(self.normalised(x.reshape(-1, x.shape[-1]))).view(x.shape)

    def normalised(self, v: Tensor) -> Tensor:
        """Each column of [values, columns] by itself."""
        n = _number(len(v), v)
        d = v - torch.round(v.sum(0) / n)
        g = _halvings(d.abs().amax(0))
        q = torch.round(d * power_of_two(-g))
        variance = (q.square_().sum(0) * power_of_two(2 * g - 2 * self.grid.bits)) / n
        factor = _number(2.0 ** (self.activations.bits - self.grid.bits), v) / torch.sqrt(variance + 1e-5)
        return d.mul_(factor).round_()


@dataclass(frozen=True)
class ChannelNorm(LayerNorm):
    """Over the channels of each position."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.scale(self.normalised(x.reshape(len(x), -1)).view(x.shape))


@dataclass(frozen=True)
class GroupNorm(LayerNorm):
    """Over each group of neighbouring channels; one weight and one bias for each channel."""

    groups: int

    def __call__(self, x: Tensor) -> Tensor:
        parts = x.reshape(self.groups, -1, x.shape[-1]).transpose(0, 1)
        v = self.normalised(parts.reshape(parts.shape[0], -1)).view(parts.shape)
        return self.scale(v.transpose(0, 1).reshape(x.shape))


@dataclass(frozen=True)
class Shift:
    """Adds whole numbers [*shape, 1] to every row."""

    offset: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return (x + self.offset).clamp_(-BOUND, BOUND)


@dataclass(frozen=True)
class Upsample:
    factor: int

    def __call__(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(self.factor, 1).repeat_interleave(self.factor, 2)


def _halvings(largest: Tensor) -> Tensor:
    """The least g >= 0 with largest <= 2^(15 + g), int64."""
    mantissa, exponent = torch.frexp(largest)
    return (exponent.long() - (mantissa == 0.5).long() - 15).clamp(min=0)


def _number(value: float, like: Tensor) -> Tensor:
    """A tensor to divide by: torch may replace a division by a plain number with a product."""
    return torch.tensor(value, dtype=torch.float64, device=like.device)


def relu(x: Tensor) -> Tensor:
    return x.clamp(min=0.0)


def lifted(x: Tensor) -> Tensor:
    """From the raw grid to the coarse one."""
    return (x * 2.0**COARSE.bits).clamp_(-BOUND, BOUND)


@dataclass(frozen=True)
class Sum:
    """Adds all inputs, then clamps once."""

    low: float

    def __call__(self, *inputs: Tensor) -> Tensor:
        total = inputs[0] + inputs[1]
        for summand in inputs[2:]:
            total += summand
        return total.clamp_(self.low, BOUND)


def concatenation(*inputs: Tensor) -> Tensor:
    return torch.cat(inputs)


def flatten(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


@dataclass(frozen=True)
class Reshape:
    shape: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        return x.reshape(*self.shape, x.shape[-1])


# --- pooling ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MaxPool:
    """The largest value of every window; padding never wins."""

    kernel: int
    stride: int
    padding: int

    def __call__(self, x: Tensor) -> Tensor:
        if self.padding:
            channels, height, width, n = x.shape
            around, p = x, self.padding
            x = x.new_full((channels, height + 2 * p, width + 2 * p, n), -2 * BOUND)
            x[:, p : p + height, p : p + width] = around
        return _pooled(_pooled(x, 1, self, torch.maximum), 2, self, torch.maximum)


@dataclass(frozen=True)
class AveragePool:
    kernel: int
    stride: int

    def __call__(self, x: Tensor) -> Tensor:
        sums = _pooled(_pooled(x, 1, self, torch.add), 2, self, torch.add)
        return sums.div_(_number(self.kernel**2, x)).round_()


def _pooled(x: Tensor, dim: int, pool: MaxPool | AveragePool, combine: Callable[..., Tensor]) -> Tensor:
    """Combines the values of a window along one side of the map."""
    windows = (x.shape[dim] - pool.kernel) // pool.stride + 1
    extent = (windows - 1) * pool.stride + 1
    parts = [_every(x, dim, start, extent, pool.stride) for start in range(pool.kernel)]
    if len(parts) == 1:
        return parts[0]
    y = combine(parts[0], parts[1])
    for part in parts[2:]:
        combine(y, part, out=y)
    return y


def _every(x: Tensor, dim: int, start: int, extent: int, step: int) -> Tensor:
    return x[:, start : start + extent : step] if dim == 1 else x[:, :, start : start + extent : step]


def global_average(x: Tensor) -> Tensor:
    """[channels, height, width, n] -> [channels, n]"""
    return torch.round(x.sum((1, 2)) / _number(x.shape[1] * x.shape[2], x))


@dataclass(frozen=True)
class AdaptiveAverage:
    """The average pool to a map of `side` x `side`: windows may overlap, and differ in size by one."""

    side: int

    def __call__(self, x: Tensor) -> Tensor:
        height, width = self._windows(x.shape[1]), self._windows(x.shape[2])
        rows = torch.stack([x[:, start:end].sum(1) for start, end in height], 1)
        sums = torch.stack([rows[:, :, start:end].sum(2) for start, end in width], 2)
        counts = [[(bottom - top) * (right - left) for left, right in width] for top, bottom in height]
        return torch.round(sums / torch.tensor(counts, dtype=torch.float64, device=x.device)[..., None])

    def _windows(self, size: int) -> list[tuple[int, int]]:
        return [(i * size // self.side, -(-(i + 1) * size // self.side)) for i in range(self.side)]
