"""A model as a list of steps with their shapes and tensors: what exact evaluation runs, for graphs and architectures.

A batch_norm that alone reads a linear or conv2d is folded into it. Source: docs/exact-evaluation.md, Weights
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pole.errors import ManifestInvalid
from pole.exact.architectures import plan_architecture
from pole.exact.steps import NORMS, WEIGHTED, RowShape, Step, Window
from pole.task.graph import Step as GraphStep
from pole.task.graph import plan_graph
from pole.task.layers import (
    AnyLayer,
    AnyModel,
    Attention,
    Convolution,
    DepthwiseConvolution,
    GraphModel,
    GroupNormalisation,
    Linear,
    Pool,
    RowConvolution,
    Upsampling,
)
from pole.task.model_file import TensorKind

AnyConvolution = Convolution | RowConvolution | DepthwiseConvolution
_FLOAT = np.dtype(np.float32)
_STATISTICS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Plan:
    """Steps in the order of evaluation; `finished` are, for each step, the outputs that no later one reads."""

    steps: tuple[Step, ...]
    finished: tuple[tuple[str, ...], ...]
    input_shape: RowShape
    outputs: int

    @property
    def tensors(self) -> dict[str, TensorKind]:
        """All tensors of the model file, by name."""
        return {name: kind for step in self.steps for name, kind in tensors_of(step)}


def plan_model(spec: AnyModel, input_shape: RowShape, outputs: int) -> Plan:
    """Raises ManifestInvalid for a model that does not fit together, as `pole.task.model.build_model` does.

    The caps on a model's size are not checked here.
    """
    folded = _folded(plan_steps(spec, input_shape, outputs))
    return Plan(tuple(folded), tuple(finished_after(folded)), input_shape, outputs)


def plan_steps(spec: AnyModel, input_shape: RowShape, outputs: int) -> list[Step]:
    """The steps before any batch_norm is folded; raises as `plan_model` does."""
    if len(input_shape) not in (1, 3) or min(input_shape) < 1:
        raise ManifestInvalid(f"rows of shape {input_shape}: need (features,) or (channels, height, width)")
    if isinstance(spec, GraphModel):
        return [_step_of(step) for step in plan_graph(spec, input_shape, outputs)]
    return plan_architecture(spec, input_shape, outputs)


def _step_of(planned: GraphStep) -> Step:
    layer = planned.layer
    window = None
    if isinstance(layer, Pool):
        window = Window(layer.kernel, layer.stride, 0)
    elif isinstance(layer, AnyConvolution):
        window = Window(layer.kernel, layer.stride, layer.padding)
    has_bias = layer.bias if isinstance(layer, Linear | AnyConvolution) else True
    places = (planned.inputs, planned.input_shapes, planned.shape)
    return Step(layer.type, layer.name, *places, layer.name, window, has_bias, parts=_parts(layer))


def _parts(layer: AnyLayer) -> int:
    if isinstance(layer, GroupNormalisation):
        return layer.groups
    if isinstance(layer, Upsampling):
        return layer.factor
    return layer.heads if isinstance(layer, Attention) else 1


# --- folding ---------------------------------------------------------------------------------------------------------


def _folded(steps: Sequence[Step]) -> list[Step]:
    """The steps, with every batch_norm that can be folded in one with the layer that it reads."""
    readers = Counter(name for step in steps for name in step.inputs)
    by_name = {step.name: step for step in steps}
    absorbed: dict[str, Step] = {}
    gone = set[str]()
    for step in steps:
        source = by_name.get(step.inputs[0])
        if step.kind == "batch_norm" and source and source.kind in WEIGHTED and readers[source.name] == 1:
            absorbed[step.name] = replace(source, name=step.name, norm=step.tensors)
            gone.add(source.name)
    return [absorbed.get(step.name, step) for step in steps if step.name not in gone]


def finished_after(steps: Sequence[Step]) -> Iterable[tuple[str, ...]]:
    """For each step, the outputs that no later one reads."""
    last_reader = {name: step.name for step in steps for name in step.inputs}
    return [tuple(name for name, reader in last_reader.items() if reader == step.name) for step in steps]


# --- tensors ---------------------------------------------------------------------------------------------------------


def tensors_of(step: Step) -> Iterator[tuple[str, TensorKind]]:
    """Names of a step's tensors in the model file, and what they must be like."""
    if step.kind == "attention":
        for name, size in (("qkv", 3 * step.shape[0]), ("out", step.shape[0])):
            yield f"{step.tensors}.{name}.weight", TensorKind((size, step.shape[0]), _FLOAT)
            yield f"{step.tensors}.{name}.bias", TensorKind((size,), _FLOAT)
    elif step.kind == "embedding_position":
        yield f"{step.tensors}.weight", TensorKind(step.shape, _FLOAT)
    elif step.kind in WEIGHTED:
        yield f"{step.tensors}.weight", TensorKind(_weight_shape(step), _FLOAT)
        if step.has_bias:
            yield f"{step.tensors}.bias", TensorKind(step.shape[:1], _FLOAT)
    elif step.kind in NORMS:
        for each in ("weight", "bias"):
            shape = step.shape if step.kind == "layer_norm" else step.shape[:1]
            yield f"{step.tensors}.{each}", TensorKind(shape, _FLOAT)
    norm = step.tensors if step.kind == "batch_norm" else step.norm
    if norm:
        for each in _STATISTICS:
            yield f"{norm}.{each}", TensorKind(step.shape[:1], _FLOAT)
        yield f"{norm}.num_batches_tracked", TensorKind((), np.dtype(np.int64))


def _weight_shape(step: Step) -> tuple[int, ...]:
    shape = (step.shape[0], 1 if step.kind == "depthwise_conv2d" else step.input_shapes[0][0])
    if step.window is None:
        return shape
    return (*shape, 1 if step.kind == "conv1d" else step.window.kernel, step.window.kernel)
