"""Weights as the specification has them: read to the bit, batch_norm folded in, rounded to one exponent per channel."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

LARGEST_SUM = 2.0**53
BLOCK_NUMBERS = 1 << 18
"""Numbers that are rounded at once: 8 MiB of memory beside the result."""

_EPSILON = 1e-5
_FRACTION, _EXPONENT = 0x7FFFFF, 0x7F800000
FAR_ABOVE_SUBNORMAL = 2.0**-38
"""If the magnitudes of up to 2^28 weights have this sum, the largest of them is at least 2^-66."""


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

    weight: [outputs, n], float32, or float64 without subnormal numbers; scale: float64 [outputs], multiplied in before;
    bias: float64 [outputs].
    """
    outputs, n = weight.shape
    result = Affine(_empty(outputs, n), _empty(outputs))
    rows = max(1, BLOCK_NUMBERS // n)
    block = _Block(min(rows, outputs), n)
    for start in range(0, outputs, rows):
        part = slice(start, start + rows)
        exponents = block.round(weight[part].detach(), None if scale is None else scale[part], bias[part], grid)
        unit = power_of_two(output_bits - grid.bits - exponents)
        torch.mul(block.integers[: len(unit)], unit[:, None], out=result.weight[part])
        torch.mul(block.constants[: len(unit)], unit, out=result.bias[part])
    return result


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float64)


class _Block:
    """Rounds some outputs at a time. `integers` [rows, n] are their W_i, and `constants` [rows] their W_0."""

    def __init__(self, rows: int, n: int) -> None:
        self.integers, self.constants = _empty(rows, n), _empty(rows)
        self._weights, self._magnitudes = _empty(rows, n), _empty(rows, n)

    def round(self, weight: Tensor, scale: Tensor | None, bias: Tensor, grid: Grid) -> Tensor:
        """Returns the largest exponents whose sums stay exact, int64 [rows]; ValueError if there are none."""
        rows = len(weight)
        weights, integers, constants = self._weights[:rows], self.integers[:rows], self.constants[:rows]
        total = self._read(weight, scale, weights)
        if not bool(torch.isfinite(total + bias).all()):
            raise ValueError("weights that are not finite have no exponent")
        exponents = _upper_exponents(grid.bound * total + bias.abs() * 2.0**grid.bits, weight.shape[1], grid)
        torch.mul(weights, power_of_two(exponents)[:, None], out=integers).round_()
        torch.mul(bias, power_of_two(exponents + grid.bits), out=constants).round_()
        while True:
            sums = self._sums(integers)
            fits = (sums <= LARGEST_SUM / grid.bound) & (constants.abs() <= LARGEST_SUM - grid.bound * sums)
            if bool(fits.all()):
                return exponents
            failed = torch.nonzero(~fits)[:, 0]
            exponents[failed] -= 1
            integers[failed] = torch.round(weights[failed] * power_of_two(exponents[failed])[:, None])
            constants[failed] = torch.round(bias[failed] * power_of_two(exponents[failed] + grid.bits))

    def _read(self, weight: Tensor, scale: Tensor | None, weights: Tensor) -> Tensor:
        """Leaves the scaled weights in `weights`; returns the sums of their magnitudes, good to some 15 digits [rows].

        A subnormal weight matters only beside others that are about as small: beside any other, it is rounded to zero.
        """
        weights.copy_(weight)
        sums = self._sums(weights)
        small = torch.nonzero(sums < FAR_ABOVE_SUBNORMAL)[:, 0]
        if len(small) and weight.dtype == torch.float32:
            weights[small] = exact_float64(weight[small.to(weight.device)])
            sums = self._sums(weights)
        if scale is None:
            return sums
        weights *= scale[:, None]
        return sums * scale.abs()

    def _sums(self, numbers: Tensor) -> Tensor:
        return torch.abs(numbers, out=self._magnitudes[: len(numbers)]).sum(1)


def _upper_exponents(total: Tensor, n: int, grid: Grid) -> Tensor:
    """No exponent above can fit, since need(k) >= 2^k * total - B * n / 2 - 1 / 2; 0 if all are zero. int64 [rows]."""
    largest = (LARGEST_SUM + grid.bound * n / 2 + 1) * (1 + 2.0**-20)
    exponents = torch.frexp(largest / total.clamp(min=2.0**-400)).exponent.long() - 1
    return torch.where(total > 0, exponents, 0)
