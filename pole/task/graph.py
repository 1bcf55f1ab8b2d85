"""Declared graphs of layers: the rules of every layer type, and shapes through the graph. Needs no torch.

A row's shape is (features,) or (channels, height, width), without the batch dimension.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from pole.errors import ManifestInvalid
from pole.task.layers import (
    AnyLayer,
    Attention,
    Convolution,
    DepthwiseConvolution,
    GlobalPool,
    GraphModel,
    GroupNormalisation,
    Layer,
    Linear,
    Pool,
    Reshape,
    RowConvolution,
    Shape,
    Upsampling,
)

INPUT = "input"
# Elements of one row's output of one layer; the sums over layers are capped by pole.task.model.
MAX_LAYER_OUTPUTS = 1 << 22
# So that sums of an attention's products stay exact; see docs/exact-evaluation.md.
MAX_HEAD_SIZE = 128
MAX_TOKENS = 1024

RowShape = tuple[int, ...]

# nn.Module assigns its own attribute `training`, which no submodule can stand in for.
_RESERVED = (INPUT, "training")


@dataclass(frozen=True)
class Step:
    """One layer with its place in the graph. `finished`: outputs that no later layer needs."""

    layer: AnyLayer
    inputs: tuple[str, ...]
    input_shapes: tuple[RowShape, ...]
    shape: RowShape
    finished: tuple[str, ...]


def plan_graph(model: GraphModel, input_shape: RowShape, outputs: int) -> list[Step]:
    """Names, connections and shapes of the whole graph; raises ManifestInvalid that names the offending layer."""
    sources = _connections(model)
    shapes = {INPUT: input_shape}
    for layer in model.layers:
        shapes[layer.name] = _output_shape(layer, [shapes[source] for source in sources[layer.name]])
    last = model.layers[-1]
    if shapes[last.name] != (outputs,):
        _refuse(
            last,
            f"is the last and yields {shapes[last.name]}; it must yield one output per class, label or quantity: "
            f"({outputs},)",
        )
    finished = _last_uses(sources)
    return [
        Step(
            layer,
            sources[layer.name],
            tuple(shapes[source] for source in sources[layer.name]),
            shapes[layer.name],
            finished[layer.name],
        )
        for layer in model.layers
    ]


# --- connections -----------------------------------------------------------------------------------------------------


def _connections(model: GraphModel) -> dict[str, tuple[str, ...]]:
    """Inputs of every layer by name; a layer without any takes the one before."""
    all_names = [layer.name for layer in model.layers]
    sources: dict[str, tuple[str, ...]] = {}
    before = INPUT
    for layer in model.layers:
        if layer.name in _RESERVED or layer.name in sources:
            _refuse(layer, "has a name that is taken; give every layer its own, other than 'input' and 'training'")
        inputs = tuple(layer.inputs) or (before,)
        for name in inputs:
            if name != INPUT and name not in sources:
                what = "does not come before it" if name in all_names else "does not exist"
                _refuse(layer, f"takes input from {name!r}, which {what}")
        sources[layer.name] = inputs
        before = layer.name
    _check_all_used(model, sources)
    return sources


def _check_all_used(model: GraphModel, sources: dict[str, tuple[str, ...]]) -> None:
    used = {name for inputs in sources.values() for name in inputs}
    for layer in model.layers[:-1]:
        if layer.name not in used:
            _refuse(layer, "is used by no later layer; connect or remove it")


def _last_uses(sources: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Per layer, the outputs that are read there for the last time."""
    last_user = {name: user for user, inputs in sources.items() for name in inputs}
    finished: dict[str, list[str]] = {user: [] for user in sources}
    for name, user in last_user.items():
        finished[user].append(name)
    return {user: tuple(names) for user, names in finished.items()}


# --- shapes ----------------------------------------------------------------------------------------------------------


def _output_shape(layer: AnyLayer, inputs: list[RowShape]) -> RowShape:
    if isinstance(layer, Shape) and layer.type != "flatten":
        if len(inputs) < 2:
            _refuse(layer, f"is of type {layer.type} and has {len(inputs)} input; name two or more in `inputs`")
        shape = _sum_shape(layer, inputs) if layer.type == "add" else _concatenation_shape(layer, inputs)
    elif len(inputs) != 1:
        _refuse(layer, f"is of type {layer.type} and has {len(inputs)} inputs; it takes one")
    else:
        shape = _SHAPES[layer.type](layer, inputs[0])
    if math.prod(shape) > MAX_LAYER_OUTPUTS:
        _refuse(layer, f"yields {shape}, {math.prod(shape)} numbers per row; the cap is {MAX_LAYER_OUTPUTS}")
    return shape


def _sum_shape(layer: Shape, inputs: list[RowShape]) -> RowShape:
    if len(set(inputs)) != 1:
        _refuse(layer, f"adds shapes {_listed(inputs)}; they must be equal")
    return inputs[0]


def _concatenation_shape(layer: Shape, inputs: list[RowShape]) -> RowShape:
    if len({shape[1:] for shape in inputs}) != 1 or len({len(shape) for shape in inputs}) != 1:
        _refuse(layer, f"concatenates shapes {_listed(inputs)}; they may differ in the first number only")
    return (sum(shape[0] for shape in inputs), *inputs[0][1:])


def _linear_shape(layer: Linear, shape: RowShape) -> RowShape:
    if len(shape) != 1:
        _refuse(layer, f"is of type linear and gets shape {shape}; put a flatten or global_average_pool before it")
    return (layer.size,)


def _convolution_shape(layer: Convolution, shape: RowShape) -> RowShape:
    return (layer.channels, *_sides(layer, shape, layer.padding))


def _row_convolution_shape(layer: RowConvolution, shape: RowShape) -> RowShape:
    _, height, width = _image(layer, shape)
    if width + 2 * layer.padding < layer.kernel:
        _refuse(layer, f"has kernel {layer.kernel} on a width of {width} with padding {layer.padding}; nothing is left")
    return (layer.channels, height, (width + 2 * layer.padding - layer.kernel) // layer.stride + 1)


def _depthwise_shape(layer: DepthwiseConvolution, shape: RowShape) -> RowShape:
    return (shape[0], *_sides(layer, shape, layer.padding))


def _upsampled_shape(layer: Upsampling, shape: RowShape) -> RowShape:
    channels, height, width = _image(layer, shape)
    return (channels, height * layer.factor, width * layer.factor)


def _map_shape(layer: Layer, shape: RowShape) -> RowShape:
    return _image(layer, shape)


def _grouped_shape(layer: GroupNormalisation, shape: RowShape) -> RowShape:
    if shape[0] % layer.groups:
        _refuse(layer, f"has {layer.groups} groups for {shape[0]} channels; choose a number that divides them")
    return shape


def _attention_shape(layer: Attention, shape: RowShape) -> RowShape:
    channels, height, width = _image(layer, shape)
    if channels % layer.heads or channels // layer.heads > MAX_HEAD_SIZE:
        _refuse(
            layer,
            f"has {layer.heads} heads for {channels} channels; choose a number that divides them into heads of at most "
            f"{MAX_HEAD_SIZE}",
        )
    if height * width > MAX_TOKENS:
        _refuse(layer, f"has {height * width} positions to attend to; at most {MAX_TOKENS} are allowed, so pool before")
    return shape


def _pool_shape(layer: Pool, shape: RowShape) -> RowShape:
    return (shape[0], *_sides(layer, shape, padding=0))


def _sides(layer: Convolution | DepthwiseConvolution | Pool, shape: RowShape, padding: int) -> tuple[int, int]:
    """Height and width after a window of `kernel` has moved in steps of `stride`."""
    _, height, width = _image(layer, shape)
    if min(height, width) + 2 * padding < layer.kernel:
        _refuse(
            layer,
            f"has kernel {layer.kernel} on a map of {height}x{width} with padding {padding}; nothing would be left",
        )
    rows, columns = ((side + 2 * padding - layer.kernel) // layer.stride + 1 for side in (height, width))
    return rows, columns


def _global_pool_shape(layer: GlobalPool, shape: RowShape) -> RowShape:
    return (_image(layer, shape)[0],)


def _reshape_shape(layer: Reshape, shape: RowShape) -> RowShape:
    target = tuple(layer.shape)
    if math.prod(target) != math.prod(shape):
        _refuse(layer, f"reshapes {shape} ({math.prod(shape)} numbers) to {target} ({math.prod(target)} numbers)")
    return target


def _image(layer: Layer, shape: RowShape) -> tuple[int, int, int]:
    if len(shape) != 3:
        _refuse(layer, f"needs (channels, height, width) and gets shape {shape}; put a reshape before it")
    return (shape[0], shape[1], shape[2])


def _same_shape(_: Layer, shape: RowShape) -> RowShape:
    return shape


_SHAPES: dict[str, Callable[[Any, RowShape], RowShape]] = {
    "linear": _linear_shape,
    "conv2d": _convolution_shape,
    "conv1d": _row_convolution_shape,
    "depthwise_conv2d": _depthwise_shape,
    "upsample": _upsampled_shape,
    "channel_norm": _map_shape,
    "group_norm": _grouped_shape,
    "attention": _attention_shape,
    "max_pool": _pool_shape,
    "average_pool": _pool_shape,
    "global_average_pool": _global_pool_shape,
    "flatten": lambda _, shape: (math.prod(shape),),
    "reshape": _reshape_shape,
    **dict.fromkeys(("batch_norm", "layer_norm", "embedding_position", "dropout"), _same_shape),
    **dict.fromkeys(("relu", "silu", "gelu", "tanh", "sigmoid"), _same_shape),
}


def _listed(shapes: list[RowShape]) -> str:
    return ", ".join(str(shape) for shape in shapes)


def _refuse(layer: Layer, problem: str) -> NoReturn:
    raise ManifestInvalid(f"layer {layer.name!r} {problem}")
