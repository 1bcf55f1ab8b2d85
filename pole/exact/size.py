"""What a model costs, counted on its plan: the same as `pole.task.model.measure_model` finds, and without torch."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pole.exact.plan import finished_after, plan_steps, tensors_of
from pole.exact.steps import INPUT, RowShape, Step
from pole.task.architectures import is_resnet
from pole.task.caps import ModelSize, check_caps, check_row
from pole.task.manifest import AnyModel, GraphModel, TorchvisionModel

_STATE_ONLY = ("running_mean", "running_var", "num_batches_tracked")
_FUNCTIONS = ("add", "flatten")  # of the torchvision models; they are no modules there, and take no room of their own


def measure_model(spec: AnyModel, input_shape: RowShape, outputs: int) -> ModelSize:
    """Raises ManifestInvalid, naming the layer, for a model that does not fit together or exceeds a cap."""
    check_row(input_shape, outputs)
    steps = plan_steps(spec, input_shape, outputs)
    if isinstance(spec, GraphModel):
        return _measure_graph(steps, input_shape)
    return _measure_architecture(spec, steps, input_shape)


def _measure_graph(steps: Sequence[Step], input_shape: RowShape) -> ModelSize:
    """Adds up layer by layer, so that the error names the one with which the sum exceeds a cap."""
    total, alive = ModelSize(0, 0, 0, 0), {INPUT: math.prod(input_shape)}
    for step, finished in zip(steps, finished_after(steps), strict=True):
        alive[step.name] = math.prod(step.shape)
        inside, multiplications = _inside(step)
        total = _sum(total, step, sum(alive.values()) + inside)
        total = replace(total, multiplications=total.multiplications + multiplications)
        check_caps(total, f"layer {step.name!r}")
        for name in finished:
            del alive[name]
    return total


def _measure_architecture(spec: TorchvisionModel, steps: Sequence[Step], input_shape: RowShape) -> ModelSize:
    """Besides a layer's input and output, a residual block keeps at most one more of either size."""
    total = ModelSize(0, 0, math.prod(input_shape), 0)
    kept = 2 if is_resnet(spec) else 1
    for step in steps:
        if step.kind not in _FUNCTIONS:
            total = _sum(total, step, kept * (math.prod(step.input_shapes[0]) + math.prod(step.shape)))
    check_caps(total, f"architecture {spec.architecture!r} on rows of shape {input_shape}")
    return total


def _inside(step: Step) -> tuple[int, int]:
    """Of a row: numbers alive beside a layer's inputs and output, and multiplications that its weights do not show."""
    elements, positions = math.prod(step.shape), math.prod(step.shape[1:])
    if step.kind == "embedding_position":
        return 0, -elements * positions  # its weights are added, once each
    if step.kind != "attention":
        return 0, 0
    return 3 * elements + step.parts * positions**2, 2 * elements * positions


def _sum(total: ModelSize, step: Step, alive: int) -> ModelSize:
    """Each weight is multiplied once per position of the output map."""
    weights, state_bytes = 0, 0
    for name, kind in tensors_of(step):
        count = math.prod(kind.shape)
        state_bytes += count * kind.dtype.itemsize
        if not name.endswith(_STATE_ONLY):
            weights += count
    return ModelSize(
        total.parameters + weights,
        total.state_bytes + state_bytes,
        max(total.activations, alive),
        total.multiplications + weights * math.prod(step.shape[1:]),
    )
