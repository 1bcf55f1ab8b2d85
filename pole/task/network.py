"""The torch module of every layer type, and the network that runs a graph.

Nothing is allocated before the whole graph has been measured: modules are first built on torch's "meta" device, which
has shapes and no memory.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pole.task import layers
from pole.task.graph import INPUT, RowShape, Step
from pole.task.manifest import Activation, Convolution, Dropout, GlobalPool, Normalisation, Shape


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


class RowConvolution(nn.Conv2d):
    """Along the width of a map, for each of its rows by itself."""


class DepthwiseConvolution(nn.Conv2d):
    """One kernel for each channel."""


class ChannelNorm(nn.Module):
    """A layer_norm over the channels of each position: [n, channels, height, width] -> same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        positions = x.permute(0, 2, 3, 1)
        return nn.functional.layer_norm(positions, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


class PositionEmbedding(nn.Module):
    """Adds the same numbers to every row."""

    def __init__(self, shape: RowShape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class Attention(nn.Module):
    """Of the positions of [n, channels, height, width] among themselves -> same shape. Source: Vaswani et al. 2017"""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        parts = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        found: Tensor = self.out(mixed.transpose(1, 2).flatten(2)).transpose(1, 2).reshape(x.shape)
        return found


def module_of(step: Step) -> nn.Module:
    """The torch module of a layer, initialised from torch's global seed on the current default device."""
    return _MODULES[step.layer.type](step.layer, step.input_shapes[0])


def _convolution(layer: Convolution, shape: RowShape) -> nn.Module:
    return nn.Conv2d(shape[0], layer.channels, layer.kernel, layer.stride, layer.padding, bias=layer.bias)


def _row_convolution(layer: layers.RowConvolution, shape: RowShape) -> nn.Module:
    sizes = ((1, layer.kernel), (1, layer.stride), (0, layer.padding))
    return RowConvolution(shape[0], layer.channels, *sizes, bias=layer.bias)


def _depthwise(layer: layers.DepthwiseConvolution, shape: RowShape) -> nn.Module:
    sizes = (layer.kernel, layer.stride, layer.padding)
    return DepthwiseConvolution(shape[0], shape[0], *sizes, groups=shape[0], bias=layer.bias)


def _batch_norm(_: Normalisation, shape: RowShape) -> nn.Module:
    return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])


def _dropout(layer: Dropout, _: RowShape) -> nn.Module:
    return nn.Dropout(layer.probability)


def _plain(kind: type[nn.Module]) -> Callable[[Activation | Shape | GlobalPool, RowShape], nn.Module]:
    return lambda _layer, _shape: kind()


_MODULES: dict[str, Callable[[Any, RowShape], nn.Module]] = {
    "linear": lambda layer, shape: nn.Linear(shape[0], layer.size, bias=layer.bias),
    "conv2d": _convolution,
    "conv1d": _row_convolution,
    "depthwise_conv2d": _depthwise,
    "upsample": lambda layer, _: nn.Upsample(scale_factor=layer.factor, mode="nearest"),
    "channel_norm": lambda _, shape: ChannelNorm(shape[0]),
    "group_norm": lambda layer, shape: nn.GroupNorm(layer.groups, shape[0]),
    "attention": lambda layer, shape: Attention(shape[0], layer.heads),
    "embedding_position": lambda _, shape: PositionEmbedding(shape),
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
