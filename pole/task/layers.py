"""The part of a manifest that describes the model: layers, graphs and named architectures. An allow-list.

What the types mean in torch, and which of them fit together, is in pole.task.graph and pole.task.model.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pole.document import Document

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
Size = Annotated[int, Field(ge=1, le=65_536)]


class Layer(Document):
    """One node of the graph. `inputs` names earlier layers or "input"; empty means the layer before."""

    name: Name
    inputs: Annotated[list[Name], Field(max_length=16)] = Field(default=[])


class Linear(Layer):
    type: Literal["linear"] = "linear"
    size: Size
    bias: bool = True


class Convolution(Layer):
    type: Literal["conv2d"] = "conv2d"
    channels: Size
    kernel: Annotated[int, Field(ge=1, le=31)]
    stride: Annotated[int, Field(ge=1, le=16)] = 1
    padding: Annotated[int, Field(ge=0, le=15)] = 0
    bias: bool = True


class RowConvolution(Layer):
    """Along the width of a map (channels, height, width), for each of its rows by itself: sequences have height 1."""

    type: Literal["conv1d"] = "conv1d"
    channels: Size
    kernel: Annotated[int, Field(ge=1, le=255)]
    stride: Annotated[int, Field(ge=1, le=255)] = 1
    padding: Annotated[int, Field(ge=0, le=127)] = 0
    bias: bool = True


class DepthwiseConvolution(Layer):
    """One kernel for each channel."""

    type: Literal["depthwise_conv2d"] = "depthwise_conv2d"
    kernel: Annotated[int, Field(ge=1, le=31)]
    stride: Annotated[int, Field(ge=1, le=16)] = 1
    padding: Annotated[int, Field(ge=0, le=15)] = 0
    bias: bool = True


class Upsampling(Layer):
    """Every value `factor` times beside and below itself."""

    type: Literal["upsample"] = "upsample"
    factor: Annotated[int, Field(ge=2, le=16)]


class Pool(Layer):
    type: Literal["max_pool", "average_pool"]
    kernel: Annotated[int, Field(ge=1, le=31)]
    stride: Annotated[int, Field(ge=1, le=31)]


class GlobalPool(Layer):
    type: Literal["global_average_pool"] = "global_average_pool"


class Normalisation(Layer):
    """`layer_norm`: over a whole row; `channel_norm`: over the channels, for each position of a map by itself."""

    type: Literal["batch_norm", "layer_norm", "channel_norm"]


class GroupNormalisation(Layer):
    """Over each of `groups` equal groups of neighbouring channels or features."""

    type: Literal["group_norm"] = "group_norm"
    groups: Size


class Attention(Layer):
    """Self-attention of several heads among the positions of a map, each of which is a token of `channels` numbers."""

    type: Literal["attention"] = "attention"
    heads: Annotated[int, Field(ge=1, le=64)]


class PositionEmbedding(Layer):
    """Adds a number to each element of a row, the same for all rows, and learned."""

    type: Literal["embedding_position"] = "embedding_position"


class Activation(Layer):
    type: Literal["relu", "silu", "gelu", "tanh", "sigmoid"]


class Dropout(Layer):
    type: Literal["dropout"] = "dropout"
    probability: Annotated[float, Field(ge=0, lt=1)]


class Shape(Layer):
    """`add`: element-wise sum of equal shapes (skip connections); `concat`: along channels or features."""

    type: Literal["flatten", "add", "concat"]


class Reshape(Layer):
    """Folds a row into (channels, height, width), row-major: how dense features meet convolutions."""

    type: Literal["reshape"] = "reshape"
    shape: Annotated[list[Size], Field(min_length=3, max_length=3)]


AnyLayer = Annotated[
    Linear
    | Convolution
    | RowConvolution
    | DepthwiseConvolution
    | Upsampling
    | Pool
    | GlobalPool
    | Normalisation
    | GroupNormalisation
    | Attention
    | PositionEmbedding
    | Activation
    | Dropout
    | Shape
    | Reshape,
    Field(discriminator="type"),
]


class GraphModel(Document):
    """A directed acyclic graph of layers in topological order; the last layer must yield `classes` outputs."""

    kind: Literal["graph"] = "graph"
    layers: Annotated[list[AnyLayer], Field(min_length=1, max_length=512)]


# Architectures that people ask for, and what of them has no exact evaluation.
_INEXACT = {
    "mobilenet_v3_small": "hardswish, hardsigmoid and the product of two maps are",
    "efficientnet_b0": "the product of two maps (squeeze and excitation) is",
    "convnext_tiny": "its norms' epsilon of 1e-6 and a linear layer for each position are",
    "vit_b_16": "its class token, beside the positions of the map, and its norms' epsilon of 1e-6 are",
}
_INSTEAD = "use resnet18, resnet34 or resnet50, or a graph with depthwise_conv2d, channel_norm or attention"


class TorchvisionModel(Document):
    """A named architecture; its input channels and outputs follow from the task."""

    kind: Literal["torchvision"] = "torchvision"
    architecture: Literal["vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50"]
    stem: Literal["stock", "cifar"] = "stock"

    @field_validator("architecture", mode="before")
    @classmethod
    def _has_exact_evaluation(cls, name: Any) -> Any:
        if isinstance(name, str) and name in _INEXACT:
            raise ValueError(f"{name} is refused: {_INEXACT[name]} not specified to the bit; {_INSTEAD}")
        return name


AnyModel = Annotated[GraphModel | TorchvisionModel, Field(discriminator="kind")]
