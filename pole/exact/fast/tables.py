"""Activation functions by table: the entries of the specification, computed once in a process and checked by hash."""

import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import NamedTuple

import torch
from torch import Tensor

from pole.errors import InexactMachine
from pole.exact.fast.weights import Grid

UNIT = 65_536
_DOUBT = 1e-6
"""Float64 libraries are good to some 1e-9 of an entry's unit; entries so close to a half take decimals."""
_DIGITS = 60
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


class Kind(NamedTuple):
    """What one table holds. `grows`: the function tends to x, and the table to 0; else both have a limit."""

    entries: int
    sha256: str
    approximate: Callable[[Tensor], Tensor]
    precise: Callable[[Decimal], Decimal]
    grows: bool


def _precise_gelu(x: Decimal) -> Decimal:
    """x * erfc(x / sqrt 2) / 2, by the series of erf."""
    term, series, n = Decimal(1), Decimal(0), 0
    while abs(term) > Decimal(10) ** -_DIGITS:
        series += term / (2 * n + 1)
        n += 1
        term *= -x * x / (2 * n)
    return x * (1 - (2 / _PI).sqrt() * x * series) / 2


KINDS = {
    "tanh": Kind(
        408_836,
        "b9c550415b1bde7ff5008144bbfee796321d2411e09dbb35a4bf0069880fd10e",
        torch.tanh,
        lambda x: 1 - 2 / ((2 * x).exp() + 1),
        grows=False,
    ),
    "sigmoid": Kind(
        772_245,
        "e79e70dd038565124739ff91b552dfff0e965d25d2d2636ed4b3ddde127d6d00",
        torch.sigmoid,
        lambda x: 1 / (1 + (-x).exp()),
        grows=False,
    ),
    "exp": Kind(  # of -x, in units of 2^-20
        953_949,
        "65eacd43a355466a785509781035bce01d77d1a0b67a52bc8cc4ca89f6f79b8f",
        lambda x: 16 * torch.exp(-x),
        lambda x: 16 * (-x).exp(),
        grows=False,
    ),
    "silu": Kind(
        947_292,
        "5e576c57c88f5829ade78c8e7b5a952b8dbfedc6042808135f07fcf6707ca4ce",
        lambda x: x / (1 + torch.exp(x)),
        lambda x: x / (1 + x.exp()),
        grows=True,
    ),
    "gelu": Kind(
        304_906,
        "9b98cd93afbf284b0aa1eb243ee981c978e27ce5b68f54bf986830dac0638e53",
        lambda x: x * torch.special.erfc(x / math.sqrt(2)) / 2,
        _precise_gelu,
        grows=True,
    ),
}


def entries(name: str) -> Tensor:
    """Entry i is 65536 * F(i / 65536), rounded: float64 [entries]. Raises InexactMachine if the hash is another."""
    kind = KINDS[name]
    exact = UNIT * kind.approximate(torch.arange(kind.entries, dtype=torch.float64) / UNIT)
    table = torch.round(exact)
    for index in torch.nonzero((exact - torch.floor(exact) - 0.5).abs() < _DOUBT)[:, 0].tolist():
        table[index] = _precise_entry(kind, index)
    digest = hashlib.sha256(table.to(torch.int32).numpy().astype("<i4").tobytes()).hexdigest()
    if digest != kind.sha256:
        raise InexactMachine(
            f"the table of {name} has the SHA-256 {digest}, not {kind.sha256}; torch computes wrongly here"
        )
    return table


def _precise_entry(kind: Kind, index: int) -> int:
    with localcontext() as context:
        context.prec = _DIGITS
        return int((UNIT * kind.precise(Decimal(index) / UNIT)).to_integral_value())


@functools.cache
def exponentials(device: torch.device) -> Tensor:
    """2^20 * exp(-d / 2^16) for d = 0, 1, ..., the last entry for all d beyond: float64."""
    return entries("exp").to(device)


@dataclass(frozen=True)
class Lookup:
    """A function on all values of a grid of activations. `values`: float64, of the integers from -reach to reach."""

    values: Tensor
    reach: int
    grows: bool

    def __call__(self, x: Tensor) -> Tensor:
        """The function of activations, of any shape; below -reach and above reach it is constant, or grows as x."""
        places = x.clamp(-self.reach, self.reach).add_(self.reach).to(torch.int32)
        y = torch.index_select(self.values, 0, places.reshape(-1)).view(x.shape)
        if self.grows and float(x.amax()) > self.reach:
            y += (x - self.reach).clamp_(min=0)
        return y


@functools.cache
def lookup(name: str, grid: Grid, device: torch.device) -> Lookup:
    """The function of this name on the fine or the coarse grid, from the first use in a process on."""
    table, step = entries(name), UNIT >> grid.bits
    if step > 1:
        table = torch.cat([table[::step], table[-1:]]).div_(step).round_()
    negative = 2**grid.bits - table if name == "sigmoid" else -table
    positive = torch.arange(len(table), dtype=torch.float64) - table if KINDS[name].grows else table
    values = torch.cat([negative[1:].flip(0), positive])
    return Lookup(values.to(device), len(table) - 1, KINDS[name].grows)
