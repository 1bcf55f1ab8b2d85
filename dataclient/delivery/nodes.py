"""The layers of a model as ONNX operators, in float32 but for attention. Needs onnx.

Values saturate where exact evaluation does. They are rounded where its grid is coarse; the fine one is as fine as
float32 itself. Source: docs/exact-evaluation.md, Layers
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataclient.delivery.attention import attention
from dataclient.delivery.builder import GraphBuilder, Grids, reshaped
from dataclient.delivery.norms import EPSILON, channel_norm, group_norm, layer_norm
from pole.errors import BadInput
from pole.exact.grid import COARSE, FINE, RAW
from pole.exact.layers import output_grid
from pole.exact.plan import Plan
from pole.exact.steps import INPUT, Step, Window
from pole.exact.weights import Tensors


def add_layers(graph: GraphBuilder, plan: Plan, tensors: Tensors, features: str, *, is_raw: bool) -> str:
    """The whole plan on mapped rows; returns its logits. `is_raw`: they are integers, as `normalisation: none` has."""
    activations, last = COARSE if is_raw else FINE, plan.steps[-1]
    values, grids = {INPUT: features}, {INPUT: RAW if is_raw else FINE}
    for step in plan.steps:
        inputs, input_grids = [values[name] for name in step.inputs], [grids[name] for name in step.inputs]
        grids[step.name] = output_grid(step, input_grids, activations)
        if RAW in input_grids and step.kind in _OF_ACTIVATIONS and grids[step.name] is activations:
            inputs = [graph.settle(value, activations, is_rounding=False) for value in inputs]
        made = _layer(graph, step, inputs, tensors, Grids(input_grids[0], activations))
        is_settled = grids[step.name] in input_grids and step.kind in _KEEPING
        is_logits = step is last and step.kind == "linear"
        values[step.name] = made if is_settled or is_logits else graph.settle(made, activations)
    return values[last.name]


def _layer(graph: GraphBuilder, step: Step, inputs: list[str], tensors: Tensors, grids: Grids) -> str:
    if step.kind in _SETTLING:
        return _SETTLING[step.kind](graph, step, inputs[0], tensors, grids)
    if step.kind in _WEIGHTED:
        made = _WEIGHTED[step.kind](graph, step, inputs[0], tensors)
        return _batch_norm(graph, step.norm, made, tensors) if step.norm else made
    if step.kind in _PLAIN:
        return _PLAIN[step.kind](graph, step, inputs)
    raise BadInput(f"layer {step.name!r} of type {step.kind} has no form in ONNX; use `predict` with this model")


# --- with weights ----------------------------------------------------------------------------------------------------


def _tensor(graph: GraphBuilder, name: str, tensors: Tensors) -> str:
    return graph.constant(name, tensors[name])


def _linear(graph: GraphBuilder, step: Step, value: str, tensors: Tensors) -> str:
    parts = [f"{step.tensors}.weight", *([f"{step.tensors}.bias"] if step.has_bias else [])]
    return graph.node("Gemm", value, *(_tensor(graph, name, tensors) for name in parts), transB=1)


def _convolution(graph: GraphBuilder, step: Step, value: str, tensors: Tensors) -> str:
    parts = [f"{step.tensors}.weight", *([f"{step.tensors}.bias"] if step.has_bias else [])]
    group = step.shape[0] if step.kind == "depthwise_conv2d" else 1
    return graph.node("Conv", value, *(_tensor(graph, name, tensors) for name in parts), group=group, **_moves(step))


def _batch_norm(graph: GraphBuilder, name: str, value: str, tensors: Tensors) -> str:
    weight, bias, mean = (_tensor(graph, f"{name}.{each}", tensors) for each in ("weight", "bias", "running_mean"))
    variance = graph.constant(f"{name}.running_var", np.maximum(tensors[f"{name}.running_var"], np.float32(0)))
    return graph.node("BatchNormalization", value, weight, bias, mean, variance, epsilon=EPSILON)


def _embedding(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, grids: Grids) -> str:
    """One number for each element, brought to the grid of activations first."""
    bound, unit = grids.output.bound, 2.0**grids.output.fraction_bits
    added = np.clip(np.rint(tensors[f"{step.tensors}.weight"].astype(np.float64) * unit), -bound, bound) / unit
    return graph.node("Add", value, graph.constant(f"{step.tensors}.weight", added.astype(np.float32)))


# --- without -------------------------------------------------------------------------------------------------------


def _window(step: Step) -> Window:
    assert step.window is not None
    return step.window


def _moves(step: Step) -> dict[str, Any]:
    """A conv1d moves along the width alone."""
    kernel, stride, padding = _window(step)
    if step.kind == "conv1d":
        return {"kernel_shape": [1, kernel], "strides": [1, stride], "pads": [0, padding, 0, padding]}
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [padding] * 4}


def _pool(operator: str) -> Callable[[GraphBuilder, Step, list[str]], str]:
    return lambda graph, step, inputs: graph.node(operator, inputs[0], **_moves(step))


def _global_average_pool(graph: GraphBuilder, _: Step, inputs: list[str]) -> str:
    return graph.node("Flatten", graph.node("GlobalAveragePool", inputs[0]), axis=1)


def _adaptive_average_pool(graph: GraphBuilder, step: Step, inputs: list[str]) -> str:
    """Two products with matrices of averages: over rows, then over columns."""
    (_, height, width), (_, rows, columns) = step.input_shapes[0], step.shape
    down = graph.constant(f"{step.name}/rows", _averages(height, rows))
    across = graph.constant(f"{step.name}/columns", _averages(width, columns).T)
    return graph.node("MatMul", graph.node("MatMul", down, inputs[0]), across)


def _averages(side: int, outputs: int) -> NDArray[np.float32]:
    """[outputs, side]: output i averages from floor(i side / outputs) up to ceil((i + 1) side / outputs)."""
    matrix = np.zeros((outputs, side), np.float32)
    for i in range(outputs):
        start, stop = i * side // outputs, -(-(i + 1) * side // outputs)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def _silu(graph: GraphBuilder, _: Step, inputs: list[str]) -> str:
    return graph.node("Mul", inputs[0], graph.node("Sigmoid", inputs[0]))


def _gelu(graph: GraphBuilder, _: Step, inputs: list[str]) -> str:
    """x * (1 + erf(x / sqrt 2)) / 2: the operator Gelu is younger than many runtimes."""
    root, one, half = (graph.constant(f"number_{x:.9g}", np.float32(x)) for x in (np.sqrt(2.0), 1.0, 0.5))
    error = graph.node("Erf", graph.node("Div", inputs[0], root))
    return graph.node("Mul", graph.node("Mul", inputs[0], graph.node("Add", error, one)), half)


def _reshape(graph: GraphBuilder, step: Step, inputs: list[str]) -> str:
    return reshaped(graph, inputs[0], step.shape)


def _upsample(graph: GraphBuilder, step: Step, inputs: list[str]) -> str:
    """Every value into a map of its own, factor by factor; no coordinates are computed."""
    (channels, height, width), factor = step.input_shapes[0], step.parts
    apart = reshaped(graph, inputs[0], (channels, height, 1, width, 1))
    times = graph.constant(f"{factor}_times", np.array([1, 1, 1, factor, 1, factor], np.int64))
    return reshaped(graph, graph.node("Expand", apart, times), step.shape)


def _one(operator: str) -> Callable[[GraphBuilder, Step, list[str]], str]:
    return lambda graph, _, inputs: graph.node(operator, *inputs)


_WEIGHTED: dict[str, Callable[[GraphBuilder, Step, str, Tensors], str]] = {
    "linear": _linear,
    **dict.fromkeys(("conv2d", "conv1d", "depthwise_conv2d"), _convolution),
    "batch_norm": lambda graph, step, value, tensors: _batch_norm(graph, step.tensors, value, tensors),
}
_SETTLING: dict[str, Callable[[GraphBuilder, Step, str, Tensors, Grids], str]] = {
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "channel_norm": channel_norm,
    "attention": attention,
    "embedding_position": _embedding,
}
_PLAIN: dict[str, Callable[[GraphBuilder, Step, list[str]], str]] = {
    "max_pool": _pool("MaxPool"),
    "average_pool": _pool("AveragePool"),
    "global_average_pool": _global_average_pool,
    "adaptive_average_pool": _adaptive_average_pool,
    "relu": _one("Relu"),
    "tanh": _one("Tanh"),
    "sigmoid": _one("Sigmoid"),
    "silu": _silu,
    "gelu": _gelu,
    "dropout": lambda _graph, _step, inputs: inputs[0],
    "flatten": lambda graph, _, inputs: graph.node("Flatten", inputs[0], axis=1),
    "reshape": _reshape,
    "upsample": _upsample,
    "add": _one("Sum"),
    "concat": lambda graph, _, inputs: graph.node("Concat", *inputs, axis=1),
}
_KEEPING = ("relu", "max_pool", "dropout", "upsample", "flatten", "reshape", "concat")
_OF_ACTIVATIONS = (*_PLAIN, "attention", "embedding_position")
LAYER_TYPES = (*_WEIGHTED, *_SETTLING, *_PLAIN)
