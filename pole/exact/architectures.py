"""The torchvision architectures as steps; their tensors have the names that torchvision gives them.

Source: docs/exact-evaluation.md, Architectures; https://github.com/pytorch/vision (vgg.py, resnet.py)
"""

from math import prod

from pole.exact.steps import INPUT, RowShape, Step, Window
from pole.task.architectures import check_stem, folded_row, is_resnet
from pole.task.layers import TorchvisionModel

# Channels of the convolutions of VGG-16, by the poolings between them.
_VGG_16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_VGG_MAP = 7
_VGG_HIDDEN = 4096
_RESNET_CHANNELS = (64, 128, 256, 512)
_RESNET_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
_EXPANSION = 4


def plan_architecture(spec: TorchvisionModel, input_shape: RowShape, outputs: int) -> list[Step]:
    """Raises ManifestInvalid for rows or a stem that the architecture cannot have."""
    check_stem(spec)
    builder = _Builder(input_shape)
    if is_resnet(spec):
        _resnet(builder, spec, outputs)
    else:
        _vgg(builder, outputs, has_norm=spec.architecture == "vgg16_bn")
    return builder.steps


class _Builder:
    """Adds steps one after another; each reads `source`, or without it the step before."""

    def __init__(self, input_shape: RowShape) -> None:
        self.steps: list[Step] = []
        self.last = INPUT
        self._shapes: dict[str, RowShape] = {INPUT: input_shape}
        self._prefix = ""
        if len(input_shape) == 1:
            self._add("reshape", "reshape", folded_row(input_shape))
            self._prefix = "1."

    @property
    def shape(self) -> RowShape:
        return self._shapes[self.last]

    def convolution(self, name: str, channels: int, window: Window, has_bias: bool = True, source: str = "") -> None:
        _, height, width = self._shapes[source or self.last]
        shape = (channels, window.over(height), window.over(width))
        self._add("conv2d", name, shape, source, window, has_bias)

    def max_pool(self, name: str, window: Window) -> None:
        channels, height, width = self.shape
        self._add("max_pool", name, (channels, window.over(height), window.over(width)), "", window)

    def linear(self, name: str, size: int) -> None:
        self._add("linear", name, (size,))

    def same(self, kind: str, name: str) -> None:
        """A step that keeps the shape."""
        self._add(kind, name, self.shape)

    def shaped(self, kind: str, name: str, shape: RowShape) -> None:
        self._add(kind, name, shape)

    def plus(self, name: str, other: str) -> None:
        shapes = (self.shape, self._shapes[other])
        self._put(Step("add", name, (self.last, other), shapes, self.shape, name))

    def _add(
        self,
        kind: str,
        name: str,
        shape: RowShape,
        source: str = "",
        window: Window | None = None,
        has_bias: bool = True,
    ) -> None:
        source = source or self.last
        self._put(Step(kind, name, (source,), (self._shapes[source],), shape, self._prefix + name, window, has_bias))

    def _put(self, step: Step) -> None:
        self.steps.append(step)
        self._shapes[step.name] = step.shape
        self.last = step.name


def _vgg(net: _Builder, outputs: int, has_norm: bool) -> None:
    number = 0
    side = min(net.shape[1:])
    for block in _VGG_16:
        for channels in block:
            net.convolution(f"features.{number}", channels, Window(3, 1, 1))
            if has_norm:
                net.same("batch_norm", f"features.{number + 1}")
            number += 3 if has_norm else 2
            net.same("relu", f"features.{number - 1}")
        if side >= 2:
            net.max_pool(f"features.{number}", Window(2, 2, 0))
        side = max(1, side // 2)
        number += 1
    net.shaped("adaptive_average_pool", "avgpool", (net.shape[0], _VGG_MAP, _VGG_MAP))
    net.shaped("flatten", "flatten", (prod(net.shape),))
    for i in (0, 3):
        net.linear(f"classifier.{i}", _VGG_HIDDEN)
        net.same("relu", f"classifier.{i + 1}")
    net.linear("classifier.6", outputs)


def _resnet(net: _Builder, spec: TorchvisionModel, outputs: int) -> None:
    is_cifar, block = spec.stem == "cifar", _bottleneck if spec.architecture == "resnet50" else _block
    net.convolution("conv1", 64, Window(3, 1, 1) if is_cifar else Window(7, 2, 3), has_bias=False)
    net.same("batch_norm", "bn1")
    net.same("relu", "relu")
    if not is_cifar:
        net.max_pool("maxpool", Window(3, 2, 1))
    for number, channels in enumerate(_RESNET_CHANNELS, start=1):
        for place in range(_RESNET_BLOCKS[spec.architecture][number - 1]):
            block(net, f"layer{number}.{place}", channels, stride=2 if number > 1 and place == 0 else 1)
    net.shaped("global_average_pool", "avgpool", net.shape[:1])
    net.linear("fc", outputs)


def _block(net: _Builder, name: str, channels: int, stride: int) -> None:
    """Two convolutions beside a shortcut."""
    source = net.last
    shortcut = _shortcut(net, name, channels, stride)
    net.convolution(f"{name}.conv1", channels, Window(3, stride, 1), has_bias=False, source=source)
    net.same("batch_norm", f"{name}.bn1")
    net.same("relu", f"{name}.relu1")
    net.convolution(f"{name}.conv2", channels, Window(3, 1, 1), has_bias=False)
    net.same("batch_norm", f"{name}.bn2")
    net.plus(f"{name}.add", shortcut)
    net.same("relu", f"{name}.relu2")


def _bottleneck(net: _Builder, name: str, channels: int, stride: int) -> None:
    """Three convolutions beside a shortcut: to fewer channels, over the map, to more channels."""
    source = net.last
    shortcut = _shortcut(net, name, _EXPANSION * channels, stride)
    net.convolution(f"{name}.conv1", channels, Window(1, 1, 0), has_bias=False, source=source)
    net.same("batch_norm", f"{name}.bn1")
    net.same("relu", f"{name}.relu1")
    net.convolution(f"{name}.conv2", channels, Window(3, stride, 1), has_bias=False)
    net.same("batch_norm", f"{name}.bn2")
    net.same("relu", f"{name}.relu2")
    net.convolution(f"{name}.conv3", _EXPANSION * channels, Window(1, 1, 0), has_bias=False)
    net.same("batch_norm", f"{name}.bn3")
    net.plus(f"{name}.add", shortcut)
    net.same("relu", f"{name}.relu3")


def _shortcut(net: _Builder, name: str, channels: int, stride: int) -> str:
    """A block's input, by a convolution where the block changes its shape."""
    if stride == 1 and net.shape[0] == channels:
        return net.last
    net.convolution(f"{name}.downsample.0", channels, Window(1, stride, 0), has_bias=False)
    net.same("batch_norm", f"{name}.downsample.1")
    return net.last
