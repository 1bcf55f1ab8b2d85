"""Declared graphs of layers: the rules of every layer type, shapes through the graph, and the network that runs it.

A row's shape is (features,) or (channels, height, width), without the batch dimension. Nothing is allocated before
the whole graph has been measured: modules are first built on torch's "meta" device, which has shapes and no memory.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from pole.errors import ManifestInvalid
from pole.task.manifest import (
    Activation,
    AnyLayer,
    Convolution,
    Dropout,
    GlobalPool,
    GraphModel,
    Layer,
    Linear,
    Normalisation,
    Pool,
    Reshape,
    Shape,
)

INPUT = "input"
# Elements of one row's output of one layer; the sums over layers are capped by pole.task.model.
MAX_LAYER_OUTPUTS = 1 << 22

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


class GraphNetwork(nn.Module):
    """Runs the steps in order: float32 [n, *input shape] -> logits [n, classes]. Submodules have the layers' names."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self._plan = [(step.layer.name, step.inputs, step.finished) for step in steps]
        for step in steps:
            # Not add_module: it refuses names of nn.Module's own attributes, which vary with torch's version.
            self._modules[step.layer.name] = module_of(step)

    def forward(self, x: Tensor) -> Tensor:
        outputs = {INPUT: x}
        for name, inputs, finished in self._plan:
            outputs[name] = self.get_submodule(name)(*(outputs[source] for source in inputs))
            for source in finished:
                del outputs[source]
        return outputs[self._plan[-1][0]]

    def get_submodule(self, target: str) -> nn.Module:
        """A layer by its name, even if nn.Module has an attribute of that name."""
        return self._modules.get(target) or super().get_submodule(target)


class Sum(nn.Module):
    """Element-wise sum of its inputs."""

    def forward(self, *inputs: Tensor) -> Tensor:
        total = inputs[0] + inputs[1]
        for summand in inputs[2:]:
            total = total + summand
        return total


class Concatenation(nn.Module):
    """Inputs side by side, along channels or features."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, dim=1)


class GlobalAverage(nn.Module):
    """[n, channels, height, width] -> [n, channels]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def plan_graph(model: GraphModel, input_shape: RowShape, classes: int) -> list[Step]:
    """Names, connections and shapes of the whole graph; raises ManifestInvalid that names the offending layer."""
    sources = _connections(model)
    shapes = {INPUT: input_shape}
    for layer in model.layers:
        shapes[layer.name] = _output_shape(layer, [shapes[source] for source in sources[layer.name]])
    last = model.layers[-1]
    if shapes[last.name] != (classes,):
        _refuse(last, f"is the last and yields {shapes[last.name]}; it must yield one output per class, ({classes},)")
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


def module_of(step: Step) -> nn.Module:
    """The torch module of a layer, initialised from torch's global seed on the current default device."""
    return _MODULES[step.layer.type](step.layer, step.input_shapes[0])


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


def _pool_shape(layer: Pool, shape: RowShape) -> RowShape:
    return (shape[0], *_sides(layer, shape, padding=0))


def _sides(layer: Convolution | Pool, shape: RowShape, padding: int) -> tuple[int, int]:
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
    "max_pool": _pool_shape,
    "average_pool": _pool_shape,
    "global_average_pool": _global_pool_shape,
    "flatten": lambda _, shape: (math.prod(shape),),
    "reshape": _reshape_shape,
    **dict.fromkeys(("batch_norm", "layer_norm", "relu", "silu", "gelu", "tanh", "sigmoid", "dropout"), _same_shape),
}


# --- modules ---------------------------------------------------------------------------------------------------------


def _convolution(layer: Convolution, shape: RowShape) -> nn.Module:
    return nn.Conv2d(shape[0], layer.channels, layer.kernel, layer.stride, layer.padding, bias=layer.bias)


def _batch_norm(_: Normalisation, shape: RowShape) -> nn.Module:
    return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])


def _dropout(layer: Dropout, _: RowShape) -> nn.Module:
    return nn.Dropout(layer.probability)


def _plain(kind: type[nn.Module]) -> Callable[[Activation | Shape | GlobalPool, RowShape], nn.Module]:
    return lambda _layer, _shape: kind()


_MODULES: dict[str, Callable[[Any, RowShape], nn.Module]] = {
    "linear": lambda layer, shape: nn.Linear(shape[0], layer.size, bias=layer.bias),
    "conv2d": _convolution,
    "max_pool": lambda layer, _: nn.MaxPool2d(layer.kernel, layer.stride),
    "average_pool": lambda layer, _: nn.AvgPool2d(layer.kernel, layer.stride),
    "global_average_pool": _plain(GlobalAverage),
    "batch_norm": _batch_norm,
    "layer_norm": lambda _, shape: nn.LayerNorm(shape),
    "relu": _plain(nn.ReLU),
    "silu": _plain(nn.SiLU),
    "gelu": _plain(nn.GELU),
    "tanh": _plain(nn.Tanh),
    "sigmoid": _plain(nn.Sigmoid),
    "dropout": _dropout,
    "flatten": _plain(nn.Flatten),
    "reshape": lambda layer, _: nn.Unflatten(1, tuple(layer.shape)),
    "add": _plain(Sum),
    "concat": _plain(Concatenation),
}


def _listed(shapes: list[RowShape]) -> str:
    return ", ".join(str(shape) for shape in shapes)


def _refuse(layer: Layer, problem: str) -> NoReturn:
    raise ManifestInvalid(f"layer {layer.name!r} {problem}")
