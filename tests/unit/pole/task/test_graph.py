"""Graphs that are built: values worked by hand, costs, names, and random graphs that must run."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pole.errors import ManifestInvalid
from pole.task.manifest import GraphModel
from pole.task.model import build_model, measure_model, parameter_bytes
from tests.unit.graphs import FLATTEN, GLOBAL, RELU, Layers, conv, graph_of, linear, pool


def _set(parameter: torch.Tensor, values: list[Any]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(values))


def test_forward__two_linear_layers_with_skip__values_worked_by_hand() -> None:
    model = build_model(
        graph_of(
            linear(2, name="hidden"),
            {"name": "bend", "type": "relu"},
            {"name": "sum", "type": "add", "inputs": ["bend", "input", "input"]},
            linear(2, name="classes", bias=False),
        ),
        (2,),
        2,
    )
    state = model.state_dict()
    _set(state["hidden.weight"], [[1.0, -1.0], [2.0, 0.5]])
    _set(state["hidden.bias"], [0.0, -1.0])
    _set(state["classes.weight"], [[1.0, 0.0], [3.0, -1.0]])
    # x = (1, 3): hidden = (-2, 2.5), bend = (0, 2.5), sum = bend + 2x = (2, 8.5), classes = (2, -2.5)
    assert model(torch.tensor([[1.0, 3.0]])).tolist() == [[2.0, -2.5]]


def test_forward__convolution_pool_concat__values_worked_by_hand() -> None:
    model = build_model(
        graph_of(
            {"name": "fold", "type": "reshape", "shape": [1, 2, 4]},
            conv(1, 2, name="conv", stride=2),
            {"name": "pool", "type": "average_pool", "kernel": 1, "stride": 1},
            {"name": "both", "type": "concat", "inputs": ["pool", "conv"]},
            {"name": "mean", "type": "global_average_pool"},
        ),
        (8,),
        2,
    )
    _set(model.state_dict()["conv.weight"], [[[[1.0, 2.0], [3.0, 4.0]]]])
    _set(model.state_dict()["conv.bias"], [0.5])
    # rows (1 2 3 4 / 5 6 7 8): windows 1+4+15+24 = 44, 3+8+21+32 = 64; mean 54 + bias
    assert model(torch.arange(1.0, 9.0)[None]).tolist() == [[54.5, 54.5]]


EVERY_TYPE = graph_of(
    conv(4, 3, padding=1, bias=False),
    {"type": "batch_norm"},
    {"type": "silu"},
    {"type": "layer_norm"},
    {"type": "gelu"},
    {"type": "add", "inputs": ["l2", "l4"]},
    pool(2),
    {"type": "average_pool", "kernel": 2, "stride": 1},
    FLATTEN,
    {"type": "batch_norm"},
    {"type": "tanh"},
    {"type": "dropout", "probability": 0.5},
    {"type": "sigmoid"},
    linear(3),
)


def test_build_model__every_layer_type__runs_backward_and_matches_its_measure() -> None:
    model = build_model(EVERY_TYPE, (2, 6, 6), 3)
    logits = model(torch.randn(5, 2, 6, 6))
    logits.sum().backward()
    assert logits.shape == (5, 3)
    assert all(parameter.grad is not None for parameter in model.parameters())
    size = measure_model(EVERY_TYPE, (2, 6, 6), 3)
    assert size.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert size.state_bytes == sum(t.numel() * t.element_size() for t in model.state_dict().values())
    assert size.state_bytes == parameter_bytes(EVERY_TYPE, (2, 6, 6), 3)


def test_measure_model__small_graph__worked_by_hand() -> None:
    graph = graph_of(conv(4, 3), {"type": "batch_norm"}, RELU, GLOBAL, linear(2))
    size = measure_model(graph, (1, 6, 6), 2)
    assert size.parameters == (4 * 9 + 4) + 2 * 4 + (4 * 2 + 2)
    assert size.state_bytes == 4 * (size.parameters + 2 * 4) + 8
    assert size.activations == 64 + 64
    assert size.multiplications == 40 * 16 + 8 * 16 + 10


def test_build_model__same_seed__same_weights_whatever_was_measured_before() -> None:
    torch.manual_seed(7)
    first = build_model(EVERY_TYPE, (2, 6, 6), 3).state_dict()
    torch.manual_seed(7)
    measure_model(EVERY_TYPE, (2, 6, 6), 3)
    second = build_model(EVERY_TYPE, (2, 6, 6), 3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["l13.weight"], build_model(EVERY_TYPE, (2, 6, 6), 3).state_dict()["l13.weight"])


@pytest.mark.parametrize("name", ["train", "type", "forward", "keys", "weight", "T_destination", "to"])
def test_build_model__layer_named_like_an_attribute_of_torch__works(name: str) -> None:
    model = build_model(graph_of(linear(4, name=name), linear(2)), (3,), 2)
    assert list(model.state_dict()) == [f"{name}.weight", f"{name}.bias", "l1.weight", "l1.bias"]
    assert isinstance(model.get_submodule(name), nn.Linear)
    assert model.train().eval()(torch.ones(1, 3)).shape == (1, 2)


def test_build_model__deepest_graph__runs_forward_and_backward() -> None:
    model = build_model(graph_of(linear(2), *[{"type": "tanh"}] * 510, linear(2)), (2,), 2)
    model(torch.ones(1, 2)).sum().backward()


@st.composite
def _random_graph(draw: st.DrawFn) -> tuple[GraphModel, tuple[int, int, int], int]:
    """A valid graph: blocks on maps that may skip back, then blocks on features."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    layers: Layers = []
    channels, source = shape[0], "input"
    for index in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["conv", "norm", "skip", "concat", "pool"]))
        name = f"b{index}"
        if kind == "conv":
            channels = draw(st.integers(1, 6))
            layers.append(conv(channels, 3, name=name, padding=1, inputs=[source]))
        elif kind == "norm":
            layers.append({"type": "layer_norm", "name": name, "inputs": [source]})
        elif kind == "pool":
            layers.append({"type": "max_pool", "kernel": 1, "stride": 1, "name": name, "inputs": [source]})
        else:
            layers.append({"type": "relu", "name": f"{name}x", "inputs": [source]})
            layers.append({"type": "add" if kind == "skip" else "concat", "name": name, "inputs": [source, f"{name}x"]})
            channels *= 1 if kind == "skip" else 2
        source = name
    layers.append({"name": "flat", "inputs": [source], **draw(st.sampled_from([FLATTEN, GLOBAL]))})
    layers += [linear(draw(st.integers(1, 5)), name=f"f{index}") for index in range(draw(st.integers(0, 2)))]
    classes = draw(st.integers(2, 5))
    return graph_of(*layers, linear(classes)), shape, classes


@settings(max_examples=60, deadline=None)
@given(_random_graph(), st.integers(1, 3))
def test_build_model__random_valid_graph__yields_finite_logits(
    case: tuple[GraphModel, tuple[int, int, int], int], rows: int
) -> None:
    graph, shape, classes = case
    model = build_model(graph, shape, classes).eval()
    logits = model(torch.from_numpy(np.ones((rows, *shape), dtype=np.float32)))
    assert logits.shape == (rows, classes)
    assert bool(torch.isfinite(logits).all())
    assert measure_model(graph, shape, classes).parameters == sum(p.numel() for p in model.parameters())


_LAYER_VALUES = st.fixed_dictionaries(
    {"type": st.sampled_from(["linear", "conv2d", "max_pool", "relu", "add", "concat", "flatten", "reshape"])},
    optional={
        "size": st.integers(1, 65_536),
        "channels": st.integers(1, 65_536),
        "kernel": st.integers(1, 31),
        "stride": st.integers(1, 16),
        "shape": st.lists(st.integers(1, 9), min_size=3, max_size=3),
        "inputs": st.lists(st.sampled_from(["input", "l0", "l1", "l2", "l9"]), max_size=3),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_LAYER_VALUES, min_size=1, max_size=4), st.sampled_from([(6,), (2, 5, 5)]))
def test_measure_model__any_graph_that_parses__measured_or_manifest_invalid(
    layers: Layers, shape: tuple[int, ...]
) -> None:
    try:
        graph = graph_of(*layers)
    except ValueError:
        return
    try:
        size = measure_model(graph, shape, 2)
    except ManifestInvalid as exc:
        assert "layer 'l" in str(exc)  # noqa: PT017 - most of these graphs are invalid, and some are not
    else:
        assert size.activations > 0


# --- convolutions along one axis, norms of a part, attention ---------------------------------------------------------

ATTEND = {"type": "attention", "heads": 2, "name": "mixed"}
EVERY_NEW_TYPE = graph_of(
    {"type": "depthwise_conv2d", "kernel": 3, "padding": 1},
    conv(8, 1),
    {"type": "embedding_position", "name": "placed"},
    {"type": "channel_norm"},
    ATTEND,
    {"type": "add", "inputs": ["mixed", "placed"]},
    {"type": "group_norm", "groups": 4},
    {"type": "upsample", "factor": 2},
    {"type": "conv1d", "channels": 3, "kernel": 4, "stride": 2, "padding": 1},
    GLOBAL,
)


@pytest.mark.parametrize(
    ("layer", "shape", "complaint"),
    [
        ({"type": "conv1d", "channels": 2, "kernel": 3}, (5,), "needs (channels, height, width)"),
        ({"type": "conv1d", "channels": 2, "kernel": 5, "padding": 1}, (1, 9, 2), "kernel 5 on a width of 2"),
        ({"type": "depthwise_conv2d", "kernel": 3}, (1, 2, 9), "kernel 3 on a map of 2x9"),
        ({"type": "upsample", "factor": 2}, (5,), "needs (channels, height, width)"),
        ({"type": "upsample", "factor": 16}, (2, 128, 128), "the cap is"),
        ({"type": "channel_norm"}, (5,), "needs (channels, height, width)"),
        ({"type": "group_norm", "groups": 4}, (6,), "4 groups for 6 channels"),
        ({"type": "attention", "heads": 4}, (6, 2, 2), "4 heads for 6 channels"),
        ({"type": "attention", "heads": 1}, (129, 1, 2), "heads of at most 128"),
        ({"type": "attention", "heads": 1}, (2, 33, 32), "1056 positions to attend to; at most 1024"),
        ({"type": "attention", "heads": 64}, (64, 32, 32), "activations per row; the cap is 8388608"),
    ],
)
def test_build_model__layer_on_what_it_cannot_take__refused(
    layer: dict[str, Any], shape: tuple[int, ...], complaint: str
) -> None:
    with pytest.raises(ManifestInvalid, match=f"'l0' .*{re.escape(complaint)}"):
        build_model(graph_of(layer, FLATTEN, linear(2)), shape, 2)


def test_build_model__every_new_layer_type__runs_backward_and_matches_its_measure() -> None:
    model = build_model(EVERY_NEW_TYPE, (2, 4, 6), 3)
    logits = model(torch.randn(5, 2, 4, 6))
    logits.square().sum().backward()
    assert logits.shape == (5, 3)
    assert all(parameter.grad is not None for parameter in model.parameters())
    size = measure_model(EVERY_NEW_TYPE, (2, 4, 6), 3)
    assert size.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert size.state_bytes == sum(t.numel() * t.element_size() for t in model.state_dict().values())


def test_measure_model__attention_and_embedding__worked_by_hand() -> None:
    graph = graph_of({"type": "embedding_position"}, {"type": "attention", "heads": 2}, GLOBAL, linear(2))
    size = measure_model(graph, (4, 2, 3), 2)
    assert size.parameters == 24 + (12 * 4 + 12 + 4 * 4 + 4) + 10
    # The projections at 6 positions; 36 scores of 2 numbers in either head, and as many weighed; the last layer.
    assert size.multiplications == 80 * 6 + 2 * 2 * 36 * 2 + 10
    # Input and output, queries, keys and values, scores.
    assert size.activations == 2 * 24 + 3 * 24 + 2 * 36


def test_forward__attention__as_torchs_own() -> None:
    torch.manual_seed(0)
    model = build_model(graph_of(ATTEND, GLOBAL), (6, 2, 3), 6)
    own = nn.MultiheadAttention(6, 2, batch_first=True)
    state = model.state_dict()
    own.load_state_dict(
        {
            "in_proj_weight": state["mixed.qkv.weight"],
            "in_proj_bias": state["mixed.qkv.bias"],
            "out_proj.weight": state["mixed.out.weight"],
            "out_proj.bias": state["mixed.out.bias"],
        }
    )
    x = torch.randn(5, 6, 2, 3)
    tokens = x.flatten(2).transpose(1, 2)
    torch.testing.assert_close(model(x), own(tokens, tokens, tokens)[0].mean(dim=1))


def test_forward__embedding_and_channel_norm__values_worked_by_hand() -> None:
    model = build_model(
        graph_of({"type": "embedding_position", "name": "e"}, {"type": "channel_norm"}, FLATTEN), (2, 1, 2), 4
    )
    _set(model.state_dict()["e.weight"], [[[0.0, 1.0]], [[2.0, 3.0]]])
    # Positions (0 + 0, 0 + 2) and (5 + 1, 3 + 3): -1 and 1, no deviation.
    found = model(torch.tensor([[[[0.0, 5.0]], [[0.0, 3.0]]]]))
    torch.testing.assert_close(found, torch.tensor([[-1.0, 0.0, 1.0, 0.0]]), atol=1e-4, rtol=0)
