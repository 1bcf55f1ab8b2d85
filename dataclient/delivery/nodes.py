"""The layers of a model as ONNX operators, in float32. Needs onnx.

Values saturate where exact evaluation does. They are rounded where its grid is coarse; the fine one is as fine as
float32 itself. Source: docs/exact-evaluation.md, Layers
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from pole.errors import BadInput
from pole.exact.attention import PROJECTED
from pole.exact.grid import COARSE, FINE, RAW, Grid
from pole.exact.layers import output_grid
from pole.exact.plan import Plan
from pole.exact.steps import INPUT, NORMS, Step, Window
from pole.exact.weights import Tensors

_EPSILON = 1e-5  # of all norms alike


class GraphBuilder:
    """Collects nodes and constants; every method returns the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known = set[str]()

    def constant(self, name: str, array: NDArray[Any] | np.generic) -> str:
        """The array under this name, once however often it is asked for."""
        if name not in self._known:
            self._known.add(name)
            self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def settle(self, value: str, grid: Grid, *, is_rounding: bool = True) -> str:
        """Onto the grid: rounded, if that is coarser than float32, and no larger than its bound."""
        if grid.fraction_bits == COARSE.fraction_bits and is_rounding:
            unit = self.constant("unit", np.float32(2.0**grid.fraction_bits))
            value = self.node("Div", self.node("Round", self.node("Mul", value, unit)), unit)
        bound = grid.bound / 2.0**grid.fraction_bits
        low, high = (self.constant(f"limit_{limit:g}", np.float32(limit)) for limit in (-bound, bound))
        return self.node("Clip", value, low, high)


def add_layers(graph: GraphBuilder, plan: Plan, tensors: Tensors, features: str, *, is_raw: bool) -> str:
    """The whole plan on mapped rows; returns its logits. `is_raw`: they are integers, as `normalisation: none` has."""
    activations, last = COARSE if is_raw else FINE, plan.steps[-1]
    values, grids = {INPUT: features}, {INPUT: RAW if is_raw else FINE}
    for step in plan.steps:
        inputs, input_grids = [values[name] for name in step.inputs], [grids[name] for name in step.inputs]
        grids[step.name] = output_grid(step, input_grids, activations)
        if RAW in input_grids and step.kind in (*_PLAIN, *_LEARNED) and grids[step.name] is activations:
            inputs = [graph.settle(value, activations, is_rounding=False) for value in inputs]
        made = _layer(graph, step, inputs, tensors, input_grids[0], activations)
        is_settled = grids[step.name] in input_grids and step.kind in _KEEPING
        is_logits = step is last and step.kind == "linear"
        values[step.name] = made if is_settled or is_logits else graph.settle(made, activations)
    return values[last.name]


def _layer(graph: GraphBuilder, step: Step, inputs: list[str], tensors: Tensors, input_grid: Grid, grid: Grid) -> str:
    if step.kind in NORMS:
        return _norm(graph, step, inputs[0], tensors, input_grid, grid)
    if step.kind in _LEARNED:
        return _LEARNED[step.kind](graph, step, inputs[0], tensors, grid)
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
    moves = _row_moves(step) if step.kind == "conv1d" else _moves(step)
    groups = step.shape[0] if step.kind == "depthwise_conv2d" else 1
    return graph.node("Conv", value, *(_tensor(graph, name, tensors) for name in parts), group=groups, **moves)


def _batch_norm(graph: GraphBuilder, name: str, value: str, tensors: Tensors) -> str:
    weight, bias, mean = (_tensor(graph, f"{name}.{each}", tensors) for each in ("weight", "bias", "running_mean"))
    variance = graph.constant(f"{name}.running_var", np.maximum(tensors[f"{name}.running_var"], np.float32(0)))
    return graph.node("BatchNormalization", value, weight, bias, mean, variance, epsilon=_EPSILON)


def _norm(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, input_grid: Grid, grid: Grid) -> str:
    """Normalised first, brought to the grid, then scaled, as exact evaluation does."""
    each_channel = (-1,) + (1,) * (len(step.shape) - 1)
    shape = step.shape if step.kind == "layer_norm" else each_channel
    weight, bias = (
        graph.constant(f"{step.tensors}.{each}", tensors[f"{step.tensors}.{each}"].reshape(shape))
        for each in ("weight", "bias")
    )
    if step.kind == "channel_norm":
        made = _to_unit(graph, value, [1], input_grid)
    elif step.kind == "group_norm":
        grouped = reshaped(graph, value, (step.parts, prod(step.shape) // step.parts))
        made = reshaped(graph, _to_unit(graph, grouped, [2], input_grid), step.shape)
    else:
        made = _to_unit(graph, value, list(range(1, len(step.shape) + 1)), input_grid)
    return graph.node("Add", graph.node("Mul", graph.settle(made, grid), weight), bias)


def _to_unit(graph: GraphBuilder, value: str, axes: list[int], grid: Grid) -> str:
    """Deviation 1 about the mean over these axes; the mean lies on the values' grid, as exact evaluation has it."""
    mean = graph.node("ReduceMean", value, axes=axes)
    if grid.fraction_bits <= COARSE.fraction_bits:
        unit = graph.constant(f"unit_{grid.fraction_bits}", np.float32(2.0**grid.fraction_bits))
        mean = graph.node("Div", graph.node("Round", graph.node("Mul", mean, unit)), unit)
    off = graph.node("Sub", value, mean)
    variance = graph.node("ReduceMean", graph.node("Mul", off, off), axes=axes)
    epsilon = graph.constant("epsilon", np.float32(_EPSILON))
    return graph.node("Div", off, graph.node("Sqrt", graph.node("Add", variance, epsilon)))


def _position_embedding(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, _: Grid) -> str:
    return graph.node("Add", value, _tensor(graph, f"{step.tensors}.weight", tensors))


def _attention(graph: GraphBuilder, step: Step, value: str, tensors: Tensors, grid: Grid) -> str:
    channels, tokens, heads = step.shape[0], prod(step.shape[1:]), step.parts
    size, inner = channels // heads, Grid(grid.fraction_bits, PROJECTED)
    seen = _projected(graph, f"{step.tensors}.qkv", reshaped(graph, value, (channels, tokens)), tensors)
    seen = reshaped(graph, graph.settle(seen, inner), (3, heads, size, tokens))
    query, key, values = (
        graph.node("Gather", seen, graph.constant(f"place_{i}", np.int64(i)), axis=1) for i in range(3)
    )
    scores = graph.node("MatMul", graph.node("Transpose", query, perm=[0, 1, 3, 2]), key)
    scale = graph.constant(f"scale_of_{size}", np.float32(1 / np.sqrt(size)))
    weights = graph.node("Softmax", graph.node("Mul", scores, scale), axis=3)
    mixed = graph.node("MatMul", values, graph.node("Transpose", weights, perm=[0, 1, 3, 2]))
    found = _projected(graph, f"{step.tensors}.out", reshaped(graph, mixed, (channels, tokens)), tensors)
    return reshaped(graph, found, step.shape)


def _projected(graph: GraphBuilder, name: str, value: str, tensors: Tensors) -> str:
    """[n, inputs, tokens] -> [n, outputs, tokens]."""
    bias = graph.constant(f"{name}.bias", tensors[f"{name}.bias"][:, None])
    return graph.node("Add", graph.node("MatMul", _tensor(graph, f"{name}.weight", tensors), value), bias)


# --- without -------------------------------------------------------------------------------------------------------


def _window(step: Step) -> Window:
    assert step.window is not None
    return step.window


def _moves(step: Step) -> dict[str, Any]:
    window = _window(step)
    return {"kernel_shape": [window.kernel] * 2, "strides": [window.stride] * 2, "pads": [window.padding] * 4}


def _row_moves(step: Step) -> dict[str, Any]:
    window = _window(step)
    pads = [0, window.padding] * 2
    return {"kernel_shape": [1, window.kernel], "strides": [1, window.stride], "pads": pads}


def _upsample(graph: GraphBuilder, step: Step, inputs: list[str]) -> str:
    factor = np.float32(step.parts)
    scales = graph.constant(f"scales_{step.parts}", np.array([1, 1, factor, factor], np.float32))
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.node("Resize", inputs[0], "", scales, **modes)


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


def reshaped(graph: GraphBuilder, value: str, shape: tuple[int, ...]) -> str:
    """Rows of this shape; the number of rows stays."""
    target = graph.constant("rows_of_" + "x".join(map(str, shape)), np.array([-1, *shape], np.int64))
    return graph.node("Reshape", value, target)


def _one(operator: str) -> Callable[[GraphBuilder, Step, list[str]], str]:
    return lambda graph, _, inputs: graph.node(operator, *inputs)


_WEIGHTED: dict[str, Callable[[GraphBuilder, Step, str, Tensors], str]] = {
    "linear": _linear,
    **dict.fromkeys(("conv2d", "conv1d", "depthwise_conv2d"), _convolution),
    "batch_norm": lambda graph, step, value, tensors: _batch_norm(graph, step.tensors, value, tensors),
}
_LEARNED: dict[str, Callable[[GraphBuilder, Step, str, Tensors, Grid], str]] = {
    "attention": _attention,
    "embedding_position": _position_embedding,
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
_KEEPING = ("relu", "max_pool", "dropout", "flatten", "reshape", "concat", "upsample")
LAYER_TYPES = (*_WEIGHTED, *NORMS, *_LEARNED, *_PLAIN)
