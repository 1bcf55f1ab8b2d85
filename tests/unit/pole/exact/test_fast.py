"""The fast evaluation against the plain reference, bit for bit: the two share no code."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from pole.errors import BadInput, ModelInvalid, PoleError
from pole.exact import plan_model, read_model
from pole.exact.fast import devices, prepare
from pole.exact.fast.devices import check_products, has_exact_products
from pole.exact.fast.tables import KINDS, entries
from pole.exact.fast.weights import FINE, rounded
from pole.task.graph import RowShape
from pole.task.manifest import AnyModel, GraphModel, TorchvisionModel
from pole.task.model import build_model
from pole.task.scores import Form
from pole.task.weights import save_model
from tests.paths import VECTORS

Layer = dict[str, Any]
CASES = json.loads((VECTORS / "exact.json").read_text())["layers"]
WEIGHTS = ("usual", "wide", "subnormal", "huge", "zero", "saturating", "mixed")
CLASSES = 3


# --- random graphs ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Sketch:
    """A graph under construction: what was made, of which shape, and what nothing reads yet."""

    layers: list[Layer]
    shapes: dict[str, RowShape]
    unread: list[str]

    def put(self, yields: RowShape, inputs: list[str], **layer: Any) -> str:
        name = f"l{len(self.layers)}"
        self.layers.append({"name": name, "inputs": inputs, **layer})
        self.shapes[name] = yields
        self.unread = [other for other in self.unread if other not in inputs] + [name]
        return name


def _window(draw: st.DrawFn, shape: RowShape, most_padding: int) -> tuple[int, int, int, tuple[int, int]]:
    padding = draw(st.integers(0, most_padding))
    kernel = draw(st.integers(1, min(4, min(shape[1:]) + 2 * padding)))
    stride = draw(st.integers(1, 3))
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in shape[1:])
    return kernel, stride, padding, (height, width)


def _put_any(draw: st.DrawFn, sketch: Sketch) -> None:
    """One more layer, of any type that fits, on any value so far."""
    source = draw(st.sampled_from(sorted(sketch.shapes)))
    shape = sketch.shapes[source]
    same = ("batch_norm", "layer_norm", "relu", "silu", "gelu", "tanh", "sigmoid", "dropout")
    if len(shape) == 3:
        types: tuple[str, ...] = ("conv2d", "conv2d", "max_pool", "average_pool", "global_average_pool", "flatten")
        types += ("conv1d", "depthwise_conv2d", "upsample", "attention", "channel_norm")
    else:
        types = ("linear", "linear", "reshape")
    kind = draw(st.sampled_from((*types, *same, "group_norm", "embedding_position", "add", "concat")))
    if kind in ("add", "concat"):
        _put_join(draw, sketch, kind, source)
    elif kind == "conv2d":
        kernel, stride, padding, sides = _window(draw, shape, 2)
        layer = {"kernel": kernel, "stride": stride, "padding": padding, "bias": draw(st.booleans())}
        channels = draw(st.integers(1, 5))
        sketch.put((channels, *sides), [source], type=kind, channels=channels, **layer)
    elif kind in ("conv1d", "depthwise_conv2d", "upsample", "attention", "group_norm"):
        _put_map_layer(draw, sketch, kind, source)
    elif kind in ("max_pool", "average_pool"):
        kernel, stride, _, sides = _window(draw, shape, 0)
        sketch.put((shape[0], *sides), [source], type=kind, kernel=kernel, stride=stride)
    elif kind == "linear":
        size = draw(st.integers(1, 7))
        sketch.put((size,), [source], type=kind, size=size, bias=draw(st.booleans()))
    elif kind == "reshape":
        parts = next(p for p in (3, 2, 1) if shape[0] % p == 0)
        sketch.put((parts, shape[0] // parts, 1), [source], type=kind, shape=[parts, shape[0] // parts, 1])
    else:
        shapes = {"flatten": (int(np.prod(shape)),), "global_average_pool": shape[:1]}
        extra = {"probability": 0.5} if kind == "dropout" else {}
        sketch.put(shapes.get(kind, shape), [source], type=kind, **extra)


def _put_map_layer(draw: st.DrawFn, sketch: Sketch, kind: str, source: str) -> None:
    shape = sketch.shapes[source]
    if kind == "conv1d":
        kernel, stride, padding, sides = _window(draw, (shape[0], 9, shape[2]), 2)
        channels, layer = draw(st.integers(1, 5)), {"kernel": kernel, "stride": stride, "padding": padding}
        width = (shape[2] + 2 * padding - kernel) // stride + 1
        sketch.put((channels, shape[1], width), [source], type=kind, channels=channels, **layer)
    elif kind == "depthwise_conv2d":
        kernel, stride, padding, sides = _window(draw, shape, 2)
        layer = {"kernel": kernel, "stride": stride, "padding": padding, "bias": draw(st.booleans())}
        sketch.put((shape[0], *sides), [source], type=kind, **layer)
    elif kind == "upsample":
        factor = draw(st.integers(2, 3)) if max(shape[1:]) < 20 else 2
        sketch.put((shape[0], shape[1] * factor, shape[2] * factor), [source], type=kind, factor=factor)
    elif kind in ("attention", "group_norm"):
        parts = draw(st.sampled_from([part for part in (1, 2, 3, 4) if shape[0] % part == 0]))
        field = {"heads": parts} if kind == "attention" else {"groups": parts}
        is_too_large = kind == "attention" and shape[1] * shape[2] > 300
        sketch.put(shape, [source], **({"type": "relu"} if is_too_large else {"type": kind, **field}))


def _put_join(draw: st.DrawFn, sketch: Sketch, kind: str, source: str) -> None:
    shape = sketch.shapes[source]
    fitting = [name for name, other in sketch.shapes.items() if other[1:] == shape[1:] and len(other) == len(shape)]
    if kind == "add":
        fitting = [name for name in fitting if sketch.shapes[name] == shape]
    others = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3))
    channels = shape[0] if kind == "add" else shape[0] + sum(sketch.shapes[name][0] for name in others)
    sketch.put((channels, *shape[1:]), [source, *others], type=kind)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[GraphModel, RowShape]:
    """A graph in which any type may follow any other, and one value may have many readers."""
    shape: RowShape = draw(
        st.one_of(st.tuples(st.integers(1, 9)), st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)))
    )
    sketch = Sketch([], {"input": shape}, ["input"])
    for _ in range(draw(st.integers(1, 9))):
        _put_any(draw, sketch)
    loose = [name for name in sketch.unread if name != "input"]
    flat = [
        name
        if len(sketch.shapes[name]) == 1
        else sketch.put((int(np.prod(sketch.shapes[name])),), [name], type="flatten")
        for name in loose
    ]
    last = flat[0]
    if len(flat) > 1:
        last = sketch.put((sum(sketch.shapes[name][0] for name in flat),), flat, type="concat")
    last = sketch.put((CLASSES,), [last], type="linear", size=CLASSES)
    for kind in draw(st.lists(st.sampled_from(("batch_norm", "relu", "tanh", "layer_norm", "dropout")), max_size=2)):
        extra = {"probability": 0.5} if kind == "dropout" else {}
        last = sketch.put((CLASSES,), [last], type=kind, **extra)
    return GraphModel.model_validate({"layers": sketch.layers}), shape


def set_weights(module: nn.Module, kind: str, seed: int) -> None:
    """Random tensors of a kind; negative variances too."""
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.dtype == torch.float32:
                values = _numbers(random, kind, tuple(tensor.shape))
                if name.endswith("running_var") and random.random() < 0.8:
                    values = np.abs(values)
                tensor.copy_(torch.from_numpy(values))


def _numbers(random: np.random.Generator, kind: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if kind == "mixed":
        kinds = random.integers(0, len(WEIGHTS) - 1, shape)
        choices = [_numbers(random, other, shape) for other in WEIGHTS[:-1]]
        mixed: NDArray[np.float32] = np.stack(choices)[(kinds, *np.indices(shape))]
        return mixed
    normal = random.standard_normal(shape)
    signs = np.where(normal < 0, -1.0, 1.0)
    with np.errstate(over="ignore", under="ignore"):
        makers: dict[str, Callable[[], Any]] = {
            "usual": lambda: normal / 2,
            "wide": lambda: signs * 2.0 ** random.uniform(-149, 127.9, shape),
            "subnormal": lambda: signs * 2.0**-149 * random.integers(0, 1 << 23, shape),
            "huge": lambda: signs * random.uniform(1e38, 3.4e38, shape),
            "zero": lambda: np.where(normal < 0, -0.0, 0.0),
            "saturating": lambda: normal * 10_000,
        }
        numbers: NDArray[np.float32] = makers[kind]().astype(np.float32)
    return numbers


def features(seed: int, rows: int, shape: RowShape, is_raw: bool) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    scale = 10.0 ** random.integers(0, 8 if is_raw else 5)
    x = random.standard_normal((rows, *shape)) * scale
    rounded: NDArray[np.float64] = np.rint(x) if is_raw else x
    return rounded.astype(np.float32)


@contextmanager
def threads(count: int, is_flushing: bool) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    torch.set_flush_denormal(is_flushing)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def reference(spec: AnyModel, shape: RowShape, classes: int, content: bytes, x: Any, is_raw: bool) -> Any:
    return read_model(content, plan_model(spec, shape, classes), is_raw).logits(x)


def assert_same_bits(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> None:
    assert found.dtype == wanted.dtype == np.float64
    assert found.shape == wanted.shape
    assert found.tobytes() == wanted.tobytes(), f"{(found != wanted).sum()} of {found.size} differ"


@given(graphs(), st.sampled_from(WEIGHTS), st.integers(0, 1 << 30), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_logits__random_graph_and_weights__bits_of_the_reference(
    graph: tuple[GraphModel, RowShape], kind: str, seed: int, data: st.DataObject
) -> None:
    spec, shape = graph
    is_raw, rows = data.draw(st.booleans()), data.draw(st.sampled_from([1, 2, 3, 7, 13]))
    module = build_model(spec, shape, CLASSES)
    set_weights(module, kind, seed)
    x = features(seed + 1, rows, shape, is_raw)
    wanted = reference(spec, shape, CLASSES, save_model(module), x, is_raw)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with threads(data.draw(st.sampled_from([1, 2])), data.draw(st.booleans())):
        network = prepare(module, is_raw)
        found = network.logits(x)
        in_parts = network.logits(x, rows_per_chunk=data.draw(st.integers(1, 5)))
    assert_same_bits(found, wanted)
    assert_same_bits(in_parts, wanted)
    assert all(
        torch.equal(tensor.view(-1).view(torch.uint8), before[name].view(-1).view(torch.uint8))
        for name, tensor in module.state_dict().items()
    )


@pytest.mark.parametrize("channels", [3, 48, 64])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "shape"),
    [
        (3, 1, 1, (9, 7)),
        (3, 1, 1, (1, 1)),
        (3, 1, 0, (5, 4)),
        (1, 1, 0, (6, 5)),
        (1, 1, 2, (2, 3)),
        (1, 2, 0, (7, 5)),
        (5, 1, 4, (3, 2)),
        (2, 3, 1, (8, 9)),
        (3, 1, 1, (40, 40)),
    ],
)
def test_logits__convolution_of_many_channels__bits_of_the_reference(
    channels: int, kernel: int, stride: int, padding: int, shape: tuple[int, int]
) -> None:
    layer = {"kernel": kernel, "stride": stride, "padding": padding}
    spec = GraphModel.model_validate(
        {
            "layers": [
                {"type": "conv2d", "name": "a", "channels": 5, **layer},
                {"type": "global_average_pool", "name": "b"},
                {"type": "linear", "name": "c", "size": CLASSES},
            ]
        }
    )
    row = (channels, *shape)
    torch.manual_seed(1)
    module = build_model(spec, row, CLASSES)
    x = features(2, 33, row, is_raw=False)
    wanted = reference(spec, row, CLASSES, save_model(module), x, False)
    network = prepare(module)
    for rows_per_chunk in (0, 1, 33):
        assert_same_bits(network.logits(x, rows_per_chunk), wanted)


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("kind", ["usual", "mixed", "saturating", "huge"])
@pytest.mark.parametrize(("shape", "heads"), [((6, 3, 4), 1), ((6, 3, 4), 3), ((128, 1, 2), 1), ((4, 10, 13), 2)])
def test_logits__attention__bits_of_the_reference(
    shape: RowShape, heads: int, kind: str, is_raw: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = GraphModel.model_validate(
        {
            "layers": [
                {"type": "attention", "name": "a", "heads": heads},
                {"type": "global_average_pool", "name": "b"},
                {"type": "linear", "name": "c", "size": CLASSES},
            ]
        }
    )
    module, x = build_model(spec, shape, CLASSES), features(11, 7, shape, is_raw)
    set_weights(module, kind, 12)
    wanted = reference(spec, shape, CLASSES, save_model(module), x, is_raw)
    assert_same_bits(prepare(module, is_raw).logits(x), wanted)
    monkeypatch.setattr("pole.exact.fast.attention.NUMBERS_AT_ONCE", 1)
    monkeypatch.setattr("pole.exact.attention._SCORES_AT_ONCE", 1)
    assert_same_bits(prepare(module, is_raw).logits(x), wanted)
    assert_same_bits(reference(spec, shape, CLASSES, save_model(module), x, is_raw), wanted)


@lru_cache(maxsize=1)
def torchvision_model(model: TorchvisionModel, shape: RowShape) -> tuple[nn.Module, bytes]:
    """Drawn once for both kinds of features: some have a hundred million weights."""
    torch.manual_seed(3)
    module = build_model(model, shape, 10)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()  # type: ignore[union-attr]
            layer.running_var.uniform_(-0.1, 2)  # type: ignore[union-attr]
    return module, save_model(module)


@pytest.mark.slow
@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ({"architecture": "resnet18"}, (3, 33, 20)),
        ({"architecture": "resnet18"}, (1, 1, 1)),
        ({"architecture": "resnet18", "stem": "cifar"}, (48,)),
        ({"architecture": "resnet34", "stem": "cifar"}, (1, 7, 9)),
        ({"architecture": "resnet50"}, (3, 33, 20)),
        ({"architecture": "resnet50", "stem": "cifar"}, (64,)),
        ({"architecture": "vgg16"}, (1, 9, 16)),
        pytest.param({"architecture": "vgg16_bn"}, (2, 3, 40), marks=pytest.mark.full),
    ],
)
def test_logits__torchvision__bits_of_the_reference(spec: Layer, shape: RowShape, is_raw: bool) -> None:
    model = TorchvisionModel.model_validate(spec)
    module, content = torchvision_model(model, shape)
    x = features(4, 3, shape, is_raw)
    wanted = reference(model, shape, 10, content, x, is_raw)
    network = prepare(module, is_raw)
    assert_same_bits(network.logits(x), wanted)
    assert network.predict(x).tolist() == wanted.argmax(axis=1).tolist()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_entries__every_table__has_the_known_hash(name: str) -> None:
    table = entries(name)
    assert len(table) == KINDS[name].entries
    assert table[-1] != table[-2]


@pytest.mark.parametrize("name", ["silu", "gelu", "tanh", "sigmoid"])
def test_logits__largest_activations__saturate_as_the_reference(name: str) -> None:
    spec = GraphModel.model_validate({"layers": [{"type": name, "name": "a"}]})
    x = np.array([[-1e30, 1e30, -0.0], [14.5, -14.5, 4096], [20, -20, 3e-6]], np.float32)
    module = build_model(spec, (3,), 3)
    found = prepare(module).logits(x)
    assert_same_bits(found, reference(spec, (3,), 3, save_model(module), x, False))
    assert not np.signbit(found[0, 2])


def test_predict__equal_logits__lowest_class() -> None:
    spec = GraphModel.model_validate({"layers": [{"type": "linear", "name": "a", "size": 4}]})
    module = build_model(spec, (2,), 4)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.zero_()
    assert prepare(module).predict(np.ones((3, 2), np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("kind", ["usual", "wide", "huge"])
def test_predict__every_form__numbers_of_the_reference(form: Form, kind: str) -> None:
    spec = GraphModel.model_validate({"layers": [{"type": "linear", "name": "a", "size": 5}]})
    module, x = build_model(spec, (3,), 5), features(8, 300, (3,), is_raw=False)
    set_weights(module, kind, 9)
    wanted = read_model(save_model(module), plan_model(spec, (3,), 5)).predict(x, form)
    found = prepare(module).predict(x, form)
    assert found.dtype == wanted.dtype == np.int64
    assert np.array_equal(found, wanted)
    assert wanted.shape == ((300,) if form is Form.CLASSES else (300, 5))
    assert wanted.std() > 0
    assert prepare(module).predict(x[:0], form).shape == wanted[:0].shape


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits__feature_not_finite__refused(value: float) -> None:
    network = prepare(build_model(GraphModel.model_validate({"layers": [{"type": "tanh", "name": "a"}]}), (2,), 2))
    with pytest.raises(BadInput, match="NaN or infinite"):
        network.logits(np.array([[0, 1], [value, 2]], np.float32))


def test_logits__no_rows__none() -> None:
    network = prepare(build_model(GraphModel.model_validate({"layers": [{"type": "tanh", "name": "a"}]}), (2,), 2))
    assert network.logits(np.empty((0, 2), np.float32)).shape == (0, 2)


@pytest.mark.parametrize("case", CASES, ids=[case["about"].partition(":")[0] for case in CASES])
def test_logits__worked_by_hand__equal(case: Layer) -> None:
    is_raw, shape = case["raw"], tuple(case["shape"])
    wanted = case.get("outputs") or [[Fraction(m) * Fraction(2) ** e for m, e in row] for row in case["logits"]]
    module = build_model(GraphModel.model_validate({"layers": case["layers"]}), shape, len(wanted[0]))
    with torch.no_grad():
        for name, values in case.get("tensors", {}).items():
            module.state_dict()[name].copy_(torch.tensor(values, dtype=torch.float64))
    rows = case.get("features") or np.array(case["values"]) / (1 if is_raw else 65_536)
    network = prepare(module, is_raw)
    unit = Fraction(2) ** network.output_bits if "outputs" in case else 1
    found = network.logits(np.array(rows, np.float32).reshape(-1, *shape))
    assert [[Fraction(value) * unit for value in row] for row in found.tolist()] == wanted
    assert not np.signbit(found[found == 0]).any()


def test_prepare__layers_named_as_attributes_and_keywords__evaluated() -> None:
    names = ["forward", "named_modules", "class", "x", "weight", "add"]
    layers = [{"type": "tanh" if index % 2 else "relu", "name": name} for index, name in enumerate(names)]
    spec = GraphModel.model_validate({"layers": layers})
    module, x = build_model(spec, (4,), 4), features(5, 3, (4,), is_raw=False)
    assert_same_bits(prepare(module).logits(x), reference(spec, (4,), 4, save_model(module), x, False))


def test_has_exact_products__cpu__yes() -> None:
    assert has_exact_products(torch.device("cpu"))


def test_check_products__inexact_device__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_exact_products", lambda _: False)
    with pytest.raises(PoleError, match="inexactly"):
        check_products(torch.device("meta"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_logits__gpu__bits_of_the_cpu() -> None:
    torch.manual_seed(6)
    model = TorchvisionModel(architecture="resnet18", stem="cifar")
    module, x = build_model(model, (3, 16, 16), 10), features(7, 33, (3, 16, 16), is_raw=False)
    assert_same_bits(prepare(module, device="cuda").logits(x), prepare(module).logits(x))


def test_prepare__foreign_layer__refused_by_name() -> None:
    with pytest.raises(ModelInvalid, match="has no exact evaluation"):
        prepare(nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("is_bias", [False, True])
def test_rounded__not_finite__ends_with_an_error(value: float, is_bias: bool) -> None:
    """Files with such weights are refused when they are read; if one got through, no exponent would ever fit."""
    weight, bias = torch.ones(2, 3), torch.zeros(2, dtype=torch.float64)
    if is_bias:
        bias[1] = value
    else:
        weight[1, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        rounded(weight, None, bias, FINE, 16)
