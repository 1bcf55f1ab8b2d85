"""The reference against vectors worked by hand, against float32, and at the ends of what float32 can hold."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from pole.errors import BadInput, InexactMachine, ModelInvalid
from pole.exact import ExactModel, plan_model, read_model
from pole.storage.tensorfile import write_tensors
from pole.task.manifest import AnyModel, GraphModel, TorchvisionModel
from pole.task.model import build_model
from pole.task.weights import save_model
from tests.paths import ROOT, VECTORS
from tests.unit.graphs import FLATTEN, GLOBAL, RELU, conv, graph_of, linear, pool

CASES = json.loads((VECTORS / "exact.json").read_text())["layers"]
NORM = {"type": "batch_norm"}
LAYER_NORM = {"type": "layer_norm"}
MLP = graph_of(linear(16), NORM, {"type": "gelu"}, linear(16), LAYER_NORM, {"type": "tanh"}, linear(3))
CNN = graph_of(
    conv(4, 3, stride=2, padding=1, name="a"),
    NORM,
    {"type": "silu"},
    conv(4, 3, padding=1, name="b"),
    {"type": "add", "inputs": ["b", "l2"], "name": "sum"},
    RELU,
    pool(2),
    {"type": "average_pool", "kernel": 2, "stride": 1},
    {"type": "sigmoid"},
    GLOBAL,
    linear(3),
)
TRANSFORMER = graph_of(
    {"type": "reshape", "shape": [1, 4, 6]},
    conv(8, 2, stride=2, name="patches"),
    {"type": "embedding_position", "name": "placed"},
    {"type": "channel_norm"},
    {"type": "attention", "heads": 2, "name": "mixed"},
    {"type": "add", "inputs": ["mixed", "placed"]},
    {"type": "depthwise_conv2d", "kernel": 3, "padding": 1},
    {"type": "group_norm", "groups": 4},
    {"type": "upsample", "factor": 2},
    {"type": "conv1d", "channels": 8, "kernel": 3},
    NORM,
    {"type": "gelu"},
    GLOBAL,
    linear(3),
)
SHAPES = {"mlp": (MLP, (5,)), "cnn": (CNN, (2, 9, 8)), "transformer": (TRANSFORMER, (24,))}


def rows_of(shape: tuple[int, ...], count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def trained_like(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, with running statistics that are not those of a fresh one."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if "running" in name:
            lowest = 0.5 if "var" in name else -0.5
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + lowest)
    return model.eval()


def new_model(spec: AnyModel, shape: tuple[int, ...], classes: int) -> nn.Module:
    torch.manual_seed(0)
    return trained_like(build_model(spec, shape, classes))


def exact_of(model: nn.Module, spec: AnyModel, shape: tuple[int, ...], classes: int) -> ExactModel:
    return read_model(save_model(model), plan_model(spec, shape, classes))


@pytest.fixture(scope="module", params=SHAPES)
def network(request: pytest.FixtureRequest) -> tuple[nn.Module, ExactModel, tuple[int, ...]]:
    spec, shape = SHAPES[request.param]
    model = new_model(spec, shape, 3)
    return model, exact_of(model, spec, shape, 3), shape


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [np.zeros((2, 4), np.float32), np.zeros((2, 5)), np.zeros(5, np.float32)])
def test_logits__rows_of_another_shape_or_dtype__refused(rows: NDArray[Any]) -> None:
    exact = exact_of(new_model(MLP, (5,), 3), MLP, (5,), 3)
    with pytest.raises(BadInput, match=r"need float32 with rows of \(5,\)"):
        exact.logits(rows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits__feature_not_finite__refused(value: float) -> None:
    rows = rows_of((5,), 3)
    rows[1, 2] = value
    with pytest.raises(BadInput, match="finite"):
        exact_of(new_model(MLP, (5,), 3), MLP, (5,), 3).logits(rows)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tensors: tensors.pop("l1.running_var"), "lacks 1 tensor"),
        (lambda tensors: tensors.update(more=np.zeros(1, np.float32)), "unknown 1 tensor"),
        (lambda tensors: tensors.update({"l0.bias": np.zeros(15, np.float32)}), "shape"),
        (lambda tensors: tensors.update({"l0.bias": np.zeros(16)}), "dtype"),
        (lambda tensors: tensors.update({"l0.bias": np.full(16, np.nan, np.float32)}), "NaN"),
        (lambda tensors: tensors.update({"l1.num_batches_tracked": np.zeros((), np.float32)}), "dtype"),
    ],
)
def test_read_model__file_that_does_not_fit__invalid(change: Callable[[dict[str, Any]], Any], problem: str) -> None:
    tensors = {name: tensor.numpy() for name, tensor in new_model(MLP, (5,), 3).state_dict().items()}
    change(tensors)
    with pytest.raises(ModelInvalid, match=problem):
        read_model(write_tensors(tensors), plan_model(MLP, (5,), 3))


def test_exact_model__subnormal_numbers_read_as_zero__refused() -> None:
    """Some libraries set the processor so, for speed; the smallest weights would vanish."""
    plan = plan_model(graph_of(linear(2, bias=False)), (1,), 2)
    tensors = {"l0.weight": np.array([[1e-45], [0]], np.float32)}
    assert torch.set_flush_denormal(True)
    try:
        with pytest.raises(InexactMachine, match="subnormal"):
            ExactModel(plan, tensors)
    finally:
        torch.set_flush_denormal(False)
    assert ExactModel(plan, tensors).logits(np.ones((1, 1), np.float32)).tolist() == [[2.0**-149, 0]]


# --- vectors ---------------------------------------------------------------------------------------------------------


def by_hand(case: dict[str, Any]) -> tuple[ExactModel, NDArray[np.float32], list[list[Fraction]]]:
    """A vector's model, rows, and expected logits."""
    unit = 1 if case["raw"] else 1 << 16
    if "outputs" in case:
        fraction_bits = 16 if not case["raw"] else 0 if case["layers"][-1]["type"] == "dropout" else 10
        logits = [[Fraction(v, 1 << fraction_bits) for v in row] for row in case["outputs"]]
    else:
        logits = [[m * Fraction(2) ** e for m, e in row] for row in case["logits"]]
    features = case["features"] if "features" in case else np.array(case["values"]) / unit
    plan = plan_model(GraphModel.model_validate({"layers": case["layers"]}), tuple(case["shape"]), len(logits[0]))
    tensors = {name: np.array(case["tensors"][name], kind.dtype) for name, kind in plan.tensors.items()}
    assert set(tensors) == set(case.get("tensors", {}))
    rows = np.array(features, np.float32).reshape(-1, *plan.input_shape)
    return read_model(write_tensors(tensors), plan, case["raw"]), rows, logits


@pytest.mark.parametrize("case", CASES, ids=[case["about"].partition(":")[0] for case in CASES])
def test_logits__worked_by_hand__equal(case: dict[str, Any]) -> None:
    exact, rows, expected = by_hand(case)
    found = exact.logits(rows)
    assert [[Fraction(value) for value in row] for row in found.tolist()] == expected
    assert not np.signbit(found[found == 0]).any()
    assert exact.predict(rows).tolist() == case["predictions"]


def test_vectors__every_layer_type__has_one() -> None:
    types = {layer["type"] for case in CASES for layer in case["layers"]}
    assert types == {
        *("linear", "conv2d", "max_pool", "average_pool", "global_average_pool", "batch_norm", "layer_norm", "relu"),
        *("silu", "gelu", "tanh", "sigmoid", "dropout", "flatten", "reshape", "add", "concat"),
        *("conv1d", "depthwise_conv2d", "upsample", "group_norm", "channel_norm", "embedding_position", "attention"),
    }


# --- the same bits ---------------------------------------------------------------------------------------------------


def test_logits__any_chunks__same_bits(network: tuple[nn.Module, ExactModel, tuple[int, ...]]) -> None:
    _, exact, shape = network
    rows = rows_of(shape, 23)
    whole = exact.logits(rows).tobytes()
    for size in (1, 2, 7, 22, 23, 1000):
        assert exact.logits(rows, size).tobytes() == whole
    assert exact.logits(rows[::-1]).tobytes() == exact.logits(rows)[::-1].tobytes()


def test_logits__no_rows__none(network: tuple[nn.Module, ExactModel, tuple[int, ...]]) -> None:
    _, exact, shape = network
    assert exact.logits(rows_of(shape, 0)).shape == (0, 3)


def test_logits__small_blocks__same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = new_model(CNN, (2, 9, 8), 3), rows_of((2, 9, 8), 5)
    whole = exact_of(model, CNN, (2, 9, 8), 3).logits(rows).tobytes()
    monkeypatch.setattr("pole.exact.layers.BLOCK", 20)
    monkeypatch.setattr("pole.exact.weights._CACHED", 1)
    assert exact_of(model, CNN, (2, 9, 8), 3).logits(rows).tobytes() == whole


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("mlp", "30008a7bb034f08890e01c8540a2ec179242f31b34391d853c126ee84d6a9e10"),
        ("cnn", "15959fcfa4f0b64812c2a4899c5d3cf893f34dcb592fc2d884512177d4b89d43"),
        ("transformer", "21b4fea5168111e47b2740947e96435eac8a6105f03b3caba19deefdcdd99563"),
    ],
)
def test_logits__weights_and_rows_by_formula__known_bits(kind: str, known: str) -> None:
    """If this fails on one machine alone, exact evaluation is not exact there."""
    spec, shape = SHAPES[kind]
    plan = plan_model(spec, shape, 3)
    tensors = {name: by_formula(each.shape).astype(each.dtype) for name, each in plan.tensors.items()}
    tensors |= {name: abs(tensor) for name, tensor in tensors.items() if name.endswith("var")}
    found = ExactModel(plan, tensors).logits(4 * by_formula((40, *shape)))
    assert hashlib.sha256(found.astype("<f8").tobytes()).hexdigest() == known


def by_formula(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Multiples of 2^-10 between -1/2 and 1/2, in no order."""
    return ((np.arange(prod(shape)) * 7919 % 1009 - 504) / 1024).astype(np.float32).reshape(shape)


def test_exact__without_torch__imports_and_predicts() -> None:
    code = """
import sys
sys.modules["torch"] = None
import numpy as np
from pole.exact import ExactModel, plan_model
from pole.task.manifest import GraphModel
plan = plan_model(GraphModel.model_validate({"layers": [{"name": "a", "type": "linear", "size": 2}]}), (1,), 2)
model = ExactModel(plan, {"a.weight": np.float32([[-1], [1]]), "a.bias": np.float32([0, 0])})
print(model.predict(np.float32([[-3], [3]])).tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 1]\n"


# --- extreme weights -------------------------------------------------------------------------------------------------

EXTREMES = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 1.0, -1.0, 0.1, 3e4, -1e38, 3.4028234663852886e38]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 2**32 - 1))
def test_logits__extreme_weights__finite_and_independent_of_the_other_rows(kind: str, seed: int) -> None:
    spec, shape = SHAPES[kind]
    plan, random = plan_model(spec, shape, 3), np.random.default_rng(seed)
    tensors = {
        name: random.choice(EXTREMES, kind.shape).astype(kind.dtype) if kind.dtype == np.float32 else np.zeros((), "i8")
        for name, kind in plan.tensors.items()
    }
    exact = ExactModel(plan, tensors)
    rows = random.choice([0.0, -0.0, 1e-45, 0.3, -7.0, 3e38], (5, *shape)).astype(np.float32)
    found = exact.logits(rows)
    assert np.isfinite(found).all()
    assert exact.logits(rows[2:3]).tobytes() == found[2:3].tobytes()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-(2**28), 2**28))
def test_logits__one_weight__exact_product(weight: float, value: int) -> None:
    plan = plan_model(graph_of(linear(2, bias=False)), (1,), 2)
    exact = ExactModel(plan, {"l0.weight": np.array([[weight], [0]], np.float32)})
    row = np.array([[value / 2**16]], np.float32)
    units = round(Fraction(float(row[0, 0])) * 2**16)
    assert Fraction(exact.logits(row)[0, 0]) == Fraction(weight) * units / 2**16


def test_logits__saturating_weights__the_largest_activation() -> None:
    spec = graph_of(linear(2, bias=False), FLATTEN)
    exact = ExactModel(plan_model(spec, (1,), 2), {"l0.weight": np.array([[3e38], [-3e38]], np.float32)})
    assert exact.logits(np.array([[1.0], [1e-9]], np.float32)).tolist() == [[4096, -4096], [0, 0]]


# --- like float32 ----------------------------------------------------------------------------------------------------


def fitted(spec: GraphModel, x: torch.Tensor, y: torch.Tensor, classes: int) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(spec, tuple(x.shape[1:]), classes)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize(
    "spec",
    [
        graph_of(linear(32), {"type": "gelu"}, linear(32), LAYER_NORM, {"type": "tanh"}, linear(10)),
        graph_of(
            {"type": "reshape", "shape": [1, 8, 8]},
            conv(8, 3, padding=1),
            NORM,
            {"type": "silu"},
            pool(2),
            conv(16, 3, padding=1),
            RELU,
            GLOBAL,
            linear(10),
        ),
    ],
    ids=["mlp", "cnn"],
)
def test_predict__trained_on_digits__at_most_one_row_in_a_thousand_unlike_float32(spec: GraphModel) -> None:
    x, y = load_digits(return_X_y=True)
    rows = torch.tensor((x - x.mean()) / x.std(), dtype=torch.float32)
    model = fitted(spec, rows, torch.from_numpy(y), 10)
    with torch.no_grad():
        expected = model(rows).argmax(dim=1).numpy()
    assert (expected == y).mean() > 0.9
    predicted = exact_of(model, spec, (64,), 10).predict(rows.numpy())
    assert (predicted != expected).sum() <= 1


def test_logits__ordinary_network__near_float64(network: tuple[nn.Module, ExactModel, tuple[int, ...]]) -> None:
    model, exact, shape = network
    rows = rows_of(shape, 50)
    with torch.no_grad():
        expected = model.double()(torch.from_numpy(rows).double()).numpy()
    model.float()
    np.testing.assert_allclose(exact.logits(rows), expected, atol=1e-4)


@pytest.mark.parametrize("stem", ["stock", "cifar"])
@pytest.mark.parametrize("shape", [(3, 20, 24), (256,)])
def test_logits__resnet__near_float64(stem: str, shape: tuple[int, ...]) -> None:
    _compare(TorchvisionModel(architecture="resnet18", stem=stem), shape)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        ("vgg16", (256,)),
        ("vgg16_bn", (3, 40, 33)),
        pytest.param("vgg16", (3, 40, 33), marks=pytest.mark.full),
        pytest.param("vgg16_bn", (256,), marks=pytest.mark.full),
    ],
)
def test_logits__vgg__near_float64(architecture: str, shape: tuple[int, ...]) -> None:
    _compare(TorchvisionModel(architecture=architecture), shape)  # type: ignore[arg-type]


def _compare(spec: TorchvisionModel, shape: tuple[int, ...]) -> None:
    model, rows = new_model(spec, shape, 7), rows_of(shape, 2)
    found = exact_of(model, spec, shape, 7).logits(rows)
    with torch.no_grad():
        expected = model.double()(torch.from_numpy(rows).double()).numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, atol=2e-2 * expected.std())
