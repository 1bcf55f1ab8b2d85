"""Whitening changes how a model trains, and nothing about what is submitted."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from miner.training.whitening import FULL, HALF, foldable_layers, is_exact, whitening_of
from pole.learning.mapping import query_vectors
from pole.task.manifest import Activation, AnyLayer, Convolution, GraphModel, Linear, Shape, TorchvisionModel


class Classifier(nn.Module):
    """A model with the named first layer that a specification would have."""

    def __init__(self, width: int, has_bias: bool) -> None:
        super().__init__()
        self.first = nn.Linear(width, 8, bias=has_bias)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.last(torch.relu(self.first(x)))
        return scores


def mapped_rows(n: int, width: int) -> npt.NDArray[np.float32]:
    """Standardised inner products with query vectors: as strongly correlated as real features are."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 16, size=(n, 32)) @ query_vectors(bytes(range(32)), width, 32, 3).T
    standardised: npt.NDArray[np.float64] = (x - x.mean(axis=0)) / x.std(axis=0)
    return standardised.astype(np.float32)


@pytest.mark.parametrize(
    "layers",
    [
        [Convolution(name="c", channels=4, kernel=3)],
        [
            Linear(name="a", size=4),
            Activation(name="b", type="relu", inputs=["input"]),
            Shape(name="s", type="concat", inputs=["a", "b"]),
        ],
        [Linear(name="a", size=4), Shape(name="s", type="concat", inputs=["a", "input"])],
    ],
)
def test_foldable_layers__input_goes_elsewhere_too__none(layers: list[AnyLayer]) -> None:
    assert foldable_layers(GraphModel(layers=layers)) == []


def test_foldable_layers__named_architecture__none() -> None:
    assert foldable_layers(TorchvisionModel(architecture="resnet18")) == []


@pytest.mark.parametrize("inputs", [[], ["input"]])
def test_foldable_layers__linear_alone_on_the_input__is_found(inputs: list[str]) -> None:
    first = Linear(name="first", size=8, inputs=inputs)
    assert foldable_layers(GraphModel(layers=[first, Linear(name="last", size=3)])) == [first]


def test_foldable_layers__linear_beside_linear__both_are_found() -> None:
    both = [Linear(name="a", size=4), Linear(name="b", size=4, inputs=["input"])]
    assert foldable_layers(GraphModel(layers=[*both, Shape(name="s", type="add", inputs=["a", "b"])])) == both


def test_is_exact__another_model__false() -> None:
    x = mapped_rows(200, 16)
    whitening = whitening_of(x, has_bias=True)
    torch.manual_seed(0)
    model, other = Classifier(16, True), Classifier(16, True)
    assert not is_exact(model, whitening.fold(other, "first"), x, whitening)
    assert not is_exact(model, model, x, whitening)


def test_whitening__correlated_features__become_uncorrelated_with_unit_variance() -> None:
    x = mapped_rows(2000, 16)
    assert np.abs(np.corrcoef(x.T) - np.eye(16)).max() > 0.5
    white = whitening_of(x, has_bias=True).apply(x)
    covariance = np.cov(white.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3
    assert 0.9 < np.diag(covariance)[-8:].min() <= np.diag(covariance).max() < 1.01


def test_half_whitening__correlated_features__deviations_become_their_square_roots() -> None:
    x = mapped_rows(2000, 16)
    principal = np.sqrt(np.linalg.eigvalsh(np.cov(x.T)))
    white = whitening_of(x, has_bias=True, power=HALF).apply(x)
    deviations = white.std(axis=0)
    expected = np.sqrt(principal) / np.sqrt(principal.mean())
    assert np.abs(deviations[-8:] / expected[-8:] - 1).max() < 0.01
    assert np.mean(deviations**2) == pytest.approx(1, abs=1e-3)


def test_whitening__feature_that_never_changes__stays_finite() -> None:
    x = np.concatenate([mapped_rows(100, 3), np.zeros((100, 1), np.float32)], axis=1)
    whitening = whitening_of(x, has_bias=True)
    assert np.isfinite(whitening.matrix).all()
    assert np.abs(whitening.apply(x)).max() < 100


def test_whitening__all_features_constant__stays_finite() -> None:
    assert np.isfinite(whitening_of(np.zeros((10, 4), np.float32), has_bias=True).matrix).all()


@settings(max_examples=15, deadline=None)
@given(
    width=st.integers(1, 40),
    rows=st.integers(2, 300),
    has_bias=st.booleans(),
    power=st.sampled_from([0.0, HALF, FULL]),
    seed=st.integers(0, 99),
)
def test_fold__any_shape__leaves_the_logits_unchanged(
    width: int, rows: int, has_bias: bool, power: float, seed: int
) -> None:
    x = mapped_rows(300, width)[:rows]
    whitening = whitening_of(x, has_bias, power)
    torch.manual_seed(seed)
    model = Classifier(width, has_bias)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = whitening.fold(model, "first")
    assert is_exact(model, folded, x, whitening)
    with torch.inference_mode():
        expected, actual = model(torch.from_numpy(whitening.apply(x))), folded(torch.from_numpy(x))
    assert torch.allclose(expected, actual, atol=1e-3 * max(1.0, float(expected.abs().max())))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert {n: t.dtype for n, t in folded.state_dict().items()} == {n: t.dtype for n, t in before.items()}
