"""From a manifest's model to a torch module: an allow-list, measured and capped before anything is allocated.

Source: PoLe, section 3.1 (the data node's model specification)
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from pole.task.architectures import check_stem, folded_row, is_resnet
from pole.task.caps import ModelSize, check_caps, check_row
from pole.task.graph import RowShape, Step, plan_graph
from pole.task.layers import AnyModel, Attention, GraphModel, PositionEmbedding, TorchvisionModel
from pole.task.network import GraphNetwork, module_of


class ModelManifest(Protocol):
    """What manifests of either chain say about their model. `feature_shape`: of a row as the model sees it."""

    @property
    def model(self) -> AnyModel: ...
    @property
    def feature_shape(self) -> tuple[int, ...]: ...
    @property
    def outputs(self) -> int: ...


def new_model(manifest: ModelManifest) -> nn.Module:
    """The manifest's model, untrained; see `build_model`."""
    return build_model(manifest.model, manifest.feature_shape, manifest.outputs)


def model_bytes(manifest: ModelManifest) -> int:
    """Bytes of the model's tensors, without allocating them. Raises ManifestInvalid as `build_model` does."""
    return parameter_bytes(manifest.model, manifest.feature_shape, manifest.outputs)


def build_model(spec: AnyModel, input_shape: RowShape, outputs: int) -> nn.Module:
    """An untrained module on the CPU: float32 [n, *input_shape] -> logits float32 [n, outputs].

    Initialised from torch's global seed; nothing is ever downloaded. Raises ManifestInvalid, naming the layer, before
    it allocates anything for a model that does not fit together or exceeds a cap.
    """
    measure_model(spec, input_shape, outputs)
    return _construct(spec, input_shape, outputs)


def parameter_bytes(spec: AnyModel, input_shape: RowShape, outputs: int) -> int:
    """Bytes of all weights and buffers: a model file without its header, which is far under a MiB."""
    return measure_model(spec, input_shape, outputs).state_bytes


def measure_model(spec: AnyModel, input_shape: RowShape, outputs: int) -> ModelSize:
    """What the model costs, found without allocating it; raises ManifestInvalid as `build_model` does."""
    check_row(input_shape, outputs)
    if isinstance(spec, GraphModel):
        return _measure_graph(plan_graph(spec, input_shape, outputs))
    return _measure_torchvision(spec, input_shape, outputs)


def _construct(spec: AnyModel, input_shape: RowShape, outputs: int) -> nn.Module:
    if isinstance(spec, GraphModel):
        return GraphNetwork(plan_graph(spec, input_shape, outputs))
    return _torchvision(spec, input_shape, outputs)


# --- graphs ----------------------------------------------------------------------------------------------------------


def _measure_graph(steps: list[Step]) -> ModelSize:
    """Adds up layer by layer, so that the error names the one with which the sum exceeds a cap."""
    total = ModelSize(0, 0, 0, 0)
    alive = {"input": math.prod(steps[0].input_shapes[0])}
    for step in steps:
        with torch.device("meta"):
            module = module_of(step)
        alive[step.layer.name] = math.prod(step.shape)
        inside, multiplications = _inside(step)
        total = _sum(total, module, sum(alive.values()) + inside, step.shape)
        total = replace(total, multiplications=total.multiplications + multiplications)
        check_caps(total, f"layer {step.layer.name!r}")
        for name in step.finished:
            del alive[name]
    return total


def _inside(step: Step) -> tuple[int, int]:
    """Of a row: numbers alive beside a layer's inputs and output, and multiplications that its weights do not show."""
    elements, positions = math.prod(step.shape), math.prod(step.shape[1:])
    if isinstance(step.layer, PositionEmbedding):
        return 0, -elements * positions  # its weights are added, once each
    if not isinstance(step.layer, Attention):
        return 0, 0
    return 3 * elements + step.layer.heads * positions**2, 2 * elements * positions


def _sum(total: ModelSize, module: nn.Module, alive: int, shape: RowShape) -> ModelSize:
    """Each weight is multiplied once per position of the output map."""
    weights = sum(weight.numel() for weight in module.parameters())
    return ModelSize(
        total.parameters + weights,
        total.state_bytes + _state_bytes(module),
        max(total.activations, alive),
        total.multiplications + weights * math.prod(shape[1:]),
    )


def _state_bytes(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


# --- torchvision -----------------------------------------------------------------------------------------------------


def _measure_torchvision(spec: TorchvisionModel, input_shape: RowShape, outputs: int) -> ModelSize:
    """Runs one row through the architecture on the "meta" device, which computes shapes and nothing else."""
    sizes = [ModelSize(0, 0, math.prod(input_shape), 0)]
    # Besides a layer's input and output, a residual block keeps at most one more of either size.
    kept = 2 if is_resnet(spec) else 1

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        alive = kept * (inputs[0].numel() + output.numel())
        sizes.append(_sum(sizes[-1], module, alive, tuple(output.shape[1:])))

    with torch.device("meta"), torch.no_grad():
        model = _torchvision(spec, input_shape, outputs).eval()
        for module in model.modules():
            if not list(module.children()):
                module.register_forward_hook(record)
        model(torch.empty(1, *input_shape))
    check_caps(sizes[-1], f"architecture {spec.architecture!r} on rows of shape {input_shape}")
    return sizes[-1]


def _torchvision(spec: TorchvisionModel, input_shape: RowShape, outputs: int) -> nn.Module:
    # Imported here: it costs a second, and graphs do not need it.
    from torchvision import models

    check_stem(spec)
    shape = folded_row(input_shape)
    builders: dict[str, Callable[..., nn.Module]] = {
        "vgg16": models.vgg16,
        "vgg16_bn": models.vgg16_bn,
        "resnet18": models.resnet18,
        "resnet34": models.resnet34,
        "resnet50": models.resnet50,
    }
    model = builders[spec.architecture](weights=None, num_classes=outputs)
    if is_resnet(spec):
        _adapt_resnet(model, shape[0], is_cifar=spec.stem == "cifar")
    else:
        _adapt_vgg(model, shape)
    return model if len(input_shape) == 3 else nn.Sequential(nn.Unflatten(1, shape), model)


def _adapt_vgg(model: nn.Module, shape: tuple[int, int, int]) -> None:
    """Fit the first convolution to the channels. Reading: a pooling that would leave nothing of the map is left out.

    The stock network halves the map five times and so needs 32x32; the paper's 16x16 and 30x30 maps have room for four.
    """
    features = model.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    side = min(shape[1:])
    for index, layer in enumerate(features):
        if isinstance(layer, nn.MaxPool2d):
            if side < 2:
                features[index] = nn.Identity()
            side = max(1, side // 2)
    features[0] = _convolution(shape[0], 64, kernel_size=3, padding=1)


def _adapt_resnet(model: nn.Module, channels: int, is_cifar: bool) -> None:
    """Fit the first convolution to the channels; the CIFAR stem keeps the resolution of small images."""
    assert isinstance(model.bn1, nn.BatchNorm2d)
    if is_cifar:
        model.conv1 = _convolution(channels, 64, kernel_size=3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    else:
        model.conv1 = _convolution(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)


def _convolution(
    channels: int, filters: int, kernel_size: int, padding: int, stride: int = 1, bias: bool = True
) -> nn.Conv2d:
    """A first convolution, initialised as torchvision initialises the one that it replaces."""
    convolution = nn.Conv2d(channels, filters, kernel_size, stride, padding, bias=bias)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
