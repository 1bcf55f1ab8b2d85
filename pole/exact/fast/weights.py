"""Weights as the specification has them: read to the bit, batch_norm folded in, rounded to one exponent per channel."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

LARGEST_SUM = 2.0**53
BLOCK_NUMBERS = 1 << 16
"""Numbers that are rounded at once: they stay in the processor's cache, and little memory is needed beside them."""

_EPSILON = 1e-5
_FRACTION, _EXPONENT = 0x7FFFFF, 0x7F800000
_FAR_ABOVE_SUBNORMAL = 2.0**-60


class Grid(NamedTuple):
    """A value v between two layers stands for v / 2^bits, and |v| <= bound."""

    bits: int
    bound: int


FINE = Grid(16, 1 << 28)
RAW = Grid(0, 1 << 24)
COARSE = Grid(10, 1 << 28)
"""What becomes of values on the raw grid."""


class Affine(NamedTuple):
    """Float64 weight [outputs, n] and bias [outputs], each an integer times a power of two of its output's own.

    weight @ v + bias has no rounding in it, in whatever order it is summed, for values v of the grid it was made for.
    """

    weight: Tensor
    bias: Tensor


def exact_float64(tensor: Tensor) -> Tensor:
    """A float32 tensor as float64, on the CPU; subnormal numbers too, where the processor is set to flush them."""
    single = tensor.detach().cpu().contiguous()
    bits = single.view(torch.int32)
    is_subnormal = (bits & _EXPONENT == 0) & (bits & _FRACTION != 0)
    magnitude = (bits & _FRACTION).double() * 2.0**-149
    return torch.where(is_subnormal, torch.where(bits < 0, -magnitude, magnitude), single.double())


def power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent as float64, exactly, for integers from -1022 to 1023."""
    return (exponent.long() + 1023 << 52).view(torch.float64)


def batch_norm_affine(norm: nn.BatchNorm1d | nn.BatchNorm2d, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scale and bias, float64 [channels], of a batch_norm behind a layer with this bias."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    variance = exact_float64(norm.running_var).clamp(min=0.0)
    scale = exact_float64(norm.weight) / torch.sqrt(variance + _EPSILON)
    mean = exact_float64(norm.running_mean)
    before = torch.zeros_like(mean) if bias is None else bias
    return scale, (before - mean) * scale + exact_float64(norm.bias)


def rounded(weight: Tensor, scale: Tensor | None, bias: Tensor, grid: Grid, output_bits: int) -> Affine:
    """Weights rounded for inputs on `grid`, such that the sums are in units of 2^-output_bits.

    weight: [outputs, n], float32, or float64 in a single block; scale: float64 [outputs], multiplied in before; bias:
    float64 [outputs].
    """
    outputs, n = weight.shape
    result = Affine(torch.empty(outputs, n, dtype=torch.float64), torch.empty(outputs, dtype=torch.float64))
    rows = max(1, BLOCK_NUMBERS // n)
    buffer = torch.empty(min(rows, outputs), n, dtype=torch.float64)
    for start in range(0, outputs, rows):
        part = slice(start, start + rows)
        block = _weights(weight[part].detach(), None if scale is None else scale[part], buffer)
        exponents = _round_block(block, bias[part], grid, result.bias[part])
        unit = power_of_two(output_bits - grid.bits - exponents)
        torch.mul(block, unit[:, None], out=result.weight[part])
        result.bias[part] *= unit
    return result


def _weights(weight: Tensor, scale: Tensor | None, buffer: Tensor) -> Tensor:
    """The weights of some outputs as float64, scaled.

    A subnormal weight matters only beside others that are about as small: it is rounded to zero beside any other.
    """
    block = buffer[: len(weight)]
    block.copy_(weight)
    if weight.dtype == torch.float32:
        small = torch.nonzero(block.abs().amax(1) < _FAR_ABOVE_SUBNORMAL)[:, 0]
        if len(small):
            block[small] = exact_float64(weight[small.to(weight.device)])
    if scale is not None:
        block *= scale[:, None]
    return block


def _round_block(weight: Tensor, bias: Tensor, grid: Grid, constants: Tensor) -> Tensor:
    """Leaves the integers W_i in `weight` [rows, n] and W_0 in `constants` [rows]; returns the largest exponents k
    [rows], int64, whose sums stay exact."""
    exponents = _upper_exponents(weight, bias, grid)
    integers = weight * power_of_two(exponents)[:, None]
    integers.round_()
    constants.copy_(torch.round(bias * power_of_two(exponents + grid.bits)))
    while True:
        sums = _sums(integers)
        fits = (sums <= LARGEST_SUM / grid.bound) & (constants.abs() <= LARGEST_SUM - grid.bound * sums)
        if bool(fits.all()):
            weight.copy_(integers)
            return exponents
        failed = torch.nonzero(~fits)[:, 0]
        exponents[failed] -= 1
        integers[failed] = torch.round(weight[failed] * power_of_two(exponents[failed])[:, None])
        constants[failed] = torch.round(bias[failed] * power_of_two(exponents[failed] + grid.bits))


def _upper_exponents(weight: Tensor, bias: Tensor, grid: Grid) -> Tensor:
    """No exponent above can fit, since need(k) >= 2^k * total - B * n / 2 - 1 / 2; 0 if all are zero. int64 [rows]."""
    total = grid.bound * _sums(weight) + bias.abs() * 2.0**grid.bits
    largest = (LARGEST_SUM + grid.bound * weight.shape[1] / 2 + 1) * (1 + 2.0**-20)
    exponents = torch.frexp(largest / total.clamp(min=2.0**-400)).exponent.long() - 1
    return torch.where(total > 0, exponents, 0)


def _sums(weight: Tensor) -> Tensor:
    """The sum of the magnitudes for each output."""
    sums: Tensor = torch.linalg.vector_norm(weight, ord=1, dim=1)
    return sums
