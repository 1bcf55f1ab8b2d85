"""Exponents are the largest that exact sums allow: checked with fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pole.exact.grid import FINE, RAW, Grid
from pole.exact.steps import Step
from pole.exact.weights import blocks, rounded, weights_of

FINITE = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 2.0**-149, 2.0**127, 0.5, 2.0**-26]),
)


def need(weights: list[float], bias: float, grid: Grid, k: int) -> Fraction:
    """Source: docs/exact-evaluation.md, Rounding. Python rounds fractions half to even."""
    total = sum(abs(round(Fraction(weight) * Fraction(2) ** k)) for weight in weights)
    return Fraction(grid.bound) * total + abs(round(Fraction(bias) * Fraction(2) ** (k + grid.fraction_bits)))


@example([1.0], 2.0**-26, FINE)  # more than 2^53 if the weight is 2^25
@example([1.0], 0.0, FINE)
@example([0.0, -0.0], 0.0, RAW)
@given(st.lists(FINITE, min_size=1, max_size=5), FINITE, st.sampled_from([FINE, RAW]))
def test_rounded__any_weights__largest_exponent(weights: list[float], bias: float, grid: Grid) -> None:
    found = rounded(np.array([weights], np.float32), np.array([bias]), np.ones(1), grid)
    k = int(found.exponents[0])
    assert need(weights, bias, grid, k) <= 2**53
    if any([*weights, bias]):
        assert need(weights, bias, grid, k + 1) > 2**53
    else:
        assert k == 0
    assert found.weights.tolist() == [[round(Fraction(weight) * Fraction(2) ** k) for weight in weights]]
    assert found.bias.tolist() == [round(Fraction(bias) * Fraction(2) ** (k + grid.fraction_bits))]


def test_rounded__bias_just_over_what_is_left__next_exponent() -> None:
    """2^53 + 1 is 2^53 in float64: a sum would not notice."""
    bias = 2.0**-41  # at k = 25 one unit, beside weights that need all 2^53
    found = rounded(np.ones((2, 1), np.float32), np.array([bias, 0.0]), np.ones(2), FINE)
    assert found.exponents.tolist() == [24, 25]


def test_rounded__scale__multiplies_in_float64() -> None:
    scale = 1 / 3
    found = rounded(np.array([[3.0]], np.float32), np.zeros(1), np.array([scale]), FINE)
    assert found.weights.tolist() == [[2**25]]
    assert found.exponents.tolist() == [25]


def test_weights_of__folded_batch_norm__operations_in_the_order_of_the_specification() -> None:
    """Beside weights of zero a bias keeps all 53 bits, so that each rounding on the way shows."""
    random, channels = np.random.default_rng(0), 50
    names = ("l.bias", "n.weight", "n.bias", "n.running_mean", "n.running_var")
    tensors = {name: random.random(channels).astype(np.float32) for name in names}
    step = Step("linear", "n", ("input",), ((1,),), (channels,), "l", norm="n")
    found = weights_of(step, {**tensors, "l.weight": np.zeros((channels, 1), np.float32)}, FINE)
    biases = np.ldexp(found.bias, -found.exponents - FINE.fraction_bits)
    for (b, weight, bias, mean, variance), expected in zip(
        zip(*(tensors[name].tolist() for name in names), strict=True), biases.tolist(), strict=True
    ):
        assert (b - mean) * (weight / math.sqrt(variance + 1e-5)) + bias == expected


@pytest.mark.parametrize(("total", "size", "expected"), [(0, 3, []), (5, 2, [2, 2, 1]), (2, 0, [1, 1])])
def test_blocks__cover_everything(total: int, size: int, expected: list[int]) -> None:
    assert [some.stop - some.start for some in blocks(total, size)] == expected
