"""Windows that no manifest can ask for, only architectures; and averages against fractions."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pole.exact.grid import FINE
from pole.exact.layers import layer_of
from pole.exact.steps import Step, Window


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 8), (7, 7), (14, 15)])
def test_adaptive_average_pool__any_map__windows_of_torch(height: int, width: int) -> None:
    v = np.random.default_rng(0).integers(-1000, 1000, (2, 3, height, width)).astype(np.float64)
    step = Step("adaptive_average_pool", "a", ("input",), (v.shape[1:],), (3, 7, 7), "a")
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(v), 7).round().numpy()
    found = layer_of(step, {}, [FINE], FINE)(v)
    # torch multiplies and divides in an order of its own, which decides halves.
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.02


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (9, 8)])
def test_max_pool__with_padding__padding_never_wins(height: int, width: int) -> None:
    v = -np.random.default_rng(0).integers(1, 1000, (2, 3, height, width)).astype(np.float64)
    window = Window(3, 2, 1)
    shape = (3, window.over(height), window.over(width))
    step = Step("max_pool", "a", ("input",), (v.shape[1:],), shape, "a", window)
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(v), 3, 2, 1).numpy()
    assert np.array_equal(layer_of(step, {}, [FINE], FINE)(v), expected)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([3, 2**28]))
def test_global_average_pool__any_values__halves_to_even(height: int, width: int, seed: int, most: int) -> None:
    v = np.random.default_rng(seed).integers(-most, most, (1, 1, height, width), endpoint=True)
    step = Step("global_average_pool", "a", ("input",), (v.shape[1:],), (1,), "a")
    found = layer_of(step, {}, [FINE], FINE)(v.astype(np.float64))
    assert found.tolist() == [[round(Fraction(int(v.sum()), height * width))]]


@given(st.lists(st.integers(-(2**28), 2**28), min_size=1, max_size=20))
def test_layer_norm__any_row__near_the_definition_and_inside_the_grid(row: list[int]) -> None:
    size = len(row)
    tensors = {"a.weight": np.ones(size, np.float32), "a.bias": np.zeros(size, np.float32)}
    step = Step("layer_norm", "a", ("input",), ((size,),), (size,), "a")
    v = np.array([row], np.float64)
    found = layer_of(step, tensors, [FINE], FINE)(v) / 2**16
    expected = torch.nn.functional.layer_norm(torch.from_numpy(v / 2**16), (size,)).numpy()
    np.testing.assert_allclose(found, expected, atol=4e-3, rtol=1e-4)
