"""The part of a manifest that describes the model: layers, graphs and named architectures. An allow-list.

What the types mean in torch, and which of them fit together, is in pole.task.graph and pole.task.model.
"""

from typing import Annotated, Literal

from pydantic import Field

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


class Pool(Layer):
    type: Literal["max_pool", "average_pool"]
    kernel: Annotated[int, Field(ge=1, le=31)]
    stride: Annotated[int, Field(ge=1, le=31)]


class GlobalPool(Layer):
    type: Literal["global_average_pool"] = "global_average_pool"


class Normalisation(Layer):
    type: Literal["batch_norm", "layer_norm"]


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
    Linear | Convolution | Pool | GlobalPool | Normalisation | Activation | Dropout | Shape | Reshape,
    Field(discriminator="type"),
]


class GraphModel(Document):
    """A directed acyclic graph of layers in topological order; the last layer must yield `classes` outputs."""

    kind: Literal["graph"] = "graph"
    layers: Annotated[list[AnyLayer], Field(min_length=1, max_length=512)]


class TorchvisionModel(Document):
    """A named architecture; its input channels and classes follow from the task."""

    kind: Literal["torchvision"] = "torchvision"
    architecture: Literal["vgg16", "vgg16_bn", "resnet18"]
    stem: Literal["stock", "cifar"] = "stock"


AnyModel = Annotated[GraphModel | TorchvisionModel, Field(discriminator="kind")]
