"""The manifest: everything a task says off chain, as one JSON document of known shape.

Source: PoLe, section 3.1 (model specification, metric, data pointers).
"""

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pole.cid import Cid
from pole.errors import ManifestInvalid

MAX_MANIFEST_BYTES = 1 << 20
MAX_EXACT_FLOAT32 = 1 << 24

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Size = Annotated[int, Field(ge=1, le=65_536)]
ClassName = Annotated[str, Field(min_length=1, max_length=100)]
CidText = Annotated[str, Field(min_length=1, max_length=128)]


class Document(BaseModel):
    """Base of all parts: unknown fields, wrong types, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# --- model -----------------------------------------------------------------------------------------------------------


class Layer(Document):
    """One node of the graph. `inputs` names earlier layers or "input"; empty means the layer before."""

    name: Name
    inputs: Annotated[list[Name], Field(max_length=16)] = []


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


# --- mapping and encryption -------------------------------------------------------------------------------------------


class DenseMapping(Document):
    """Algorithm 3: each of `segments` equal slices of the features meets the same `vectors` query vectors."""

    kind: Literal["dense"] = "dense"
    vectors: Size
    segments: Size = 1
    bits_per_weight: Annotated[int, Field(ge=1, le=8)] = 3
    normalisation: Literal["none", "standardise"] = "standardise"


class ConvolutionalMapping(Document):
    """CSML: `filters` square filters per input channel, zero padding keeps height and width."""

    kind: Literal["convolutional"] = "convolutional"
    filters: Annotated[int, Field(ge=1, le=1024)]
    kernel: Annotated[int, Field(ge=1, le=15, multiple_of=1)]
    bits_per_weight: Annotated[int, Field(ge=1, le=8)] = 3
    normalisation: Literal["none", "standardise"] = "standardise"

    @model_validator(mode="after")
    def _kernel_is_odd(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; padding keeps the size of odd kernels only")
        return self


AnyMapping = Annotated[DenseMapping | ConvolutionalMapping, Field(discriminator="kind")]


class NoEncryption(Document):
    scheme: Literal["none"] = "none"


class InnerProductEncryption(Document):
    """ABDP15 over secp256k1. Timed release, not privacy. `rank_limit`: query vectors per segment ever keyed."""

    scheme: Literal["ipfe-secp256k1"] = "ipfe-secp256k1"
    public_key: CidText
    rank_limit: Size
    is_test_set_encrypted: bool = False


AnyEncryption = Annotated[NoEncryption | InnerProductEncryption, Field(discriminator="scheme")]


# --- data -------------------------------------------------------------------------------------------------------------


class Discretisation(Document):
    """x -> round((clip(x) - minimum) / (maximum - minimum) * (2^bits - 1)); one range for all features, or one each."""

    bits: Annotated[int, Field(ge=1, le=8)]
    minimum: Annotated[list[float], Field(min_length=1, max_length=65_536)]
    maximum: Annotated[list[float], Field(min_length=1, max_length=65_536)]


class RowFile(Document):
    """One file of rows (features, encrypted or plain, and labels)."""

    cid: CidText
    rows: Annotated[int, Field(ge=1, le=1_000_000)]
    size_bytes: Annotated[int, Field(ge=1, le=1 << 34)]


class DataSet(Document):
    """`shape`: (features,) or (channels, height, width). The test set's CID stays secret until its release."""

    shape: Annotated[list[Size], Field(min_length=1, max_length=3)]
    class_names: Annotated[list[ClassName], Field(min_length=2, max_length=10_000)]
    discretisation: Discretisation
    training_set: Annotated[list[RowFile], Field(min_length=1, max_length=100_000)]
    test_rows: Annotated[int, Field(ge=0, le=1_000_000)]
    test_size_bytes: Annotated[int, Field(ge=0, le=1 << 34)]

    @property
    def dimension(self) -> int:
        """D, the number of features of a row."""
        size = 1
        for side in self.shape:
            size *= side
        return size

    @property
    def training_rows(self) -> int:
        return sum(file.rows for file in self.training_set)


class Manifest(Document):
    version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=100)]
    model: AnyModel
    metric: Literal["accuracy", "macro_f1", "balanced_accuracy"] = "accuracy"
    data: DataSet
    mapping: AnyMapping
    encryption: AnyEncryption
    max_model_bytes: Annotated[int, Field(ge=1, le=1 << 32)]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        _check_discretisation(self.data)
        _check_mapping(self.mapping, self.data)
        _check_encryption(self.encryption, self.mapping, self.data)
        return self

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8, so that equal manifests have equal CIDs."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Raises ManifestInvalid. Size is capped by the caller's fetch (MAX_MANIFEST_BYTES)."""
        try:
            return cls.model_validate_json(content)
        except (ValidationError, RecursionError) as exc:
            raise ManifestInvalid(f"manifest is invalid: {_first_problem(exc)}") from exc


def _first_problem(exc: ValidationError | RecursionError) -> str:
    if isinstance(exc, RecursionError):
        return "nested too deeply"
    first = exc.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    return f"{where}: {first['msg']} ({exc.error_count()} problem(s) in all)"


def _check_discretisation(data: DataSet) -> None:
    low, high = data.discretisation.minimum, data.discretisation.maximum
    if len(low) != len(high) or len(low) not in (1, data.dimension):
        raise ValueError(
            f"discretisation has {len(low)} minima and {len(high)} maxima; need 1 or {data.dimension} of each"
        )
    if any(a >= b for a, b in zip(low, high, strict=True)):
        raise ValueError("discretisation needs minimum < maximum for every feature")


def _check_mapping(mapping: DenseMapping | ConvolutionalMapping, data: DataSet) -> None:
    if isinstance(mapping, ConvolutionalMapping) and len(data.shape) != 3:
        raise ValueError(f"a convolutional mapping needs shape (channels, height, width), not {data.shape}")
    if isinstance(mapping, DenseMapping) and data.dimension % mapping.segments:
        raise ValueError(f"{mapping.segments} segments do not divide {data.dimension} features equally")
    if largest_inner_product(mapping, data) >= MAX_EXACT_FLOAT32:
        raise ValueError(
            f"inner products up to {largest_inner_product(mapping, data)} are not exact in float32 (2^24); "
            "use fewer bits or more segments"
        )


def _check_encryption(
    encryption: NoEncryption | InnerProductEncryption, mapping: DenseMapping | ConvolutionalMapping, data: DataSet
) -> None:
    if isinstance(encryption, NoEncryption):
        return
    _checked_cid(encryption.public_key)
    if isinstance(mapping, DenseMapping):
        width = data.dimension // mapping.segments
        if mapping.vectors > encryption.rank_limit or encryption.rank_limit >= width:
            raise ValueError(
                f"{mapping.vectors} query vectors on {width} features per segment, rank_limit {encryption.rank_limit}: "
                "need vectors <= rank_limit < features, or the keys reveal the data outright"
            )


def _checked_cid(text: str) -> Cid:
    return Cid.parse(text)


def largest_inner_product(mapping: DenseMapping | ConvolutionalMapping, data: DataSet) -> int:
    """Largest value that an inner product of this mapping can take: terms * (2^bits - 1) * (2^k - 1)."""
    terms = data.dimension // mapping.segments if isinstance(mapping, DenseMapping) else mapping.kernel**2
    return int(terms * ((1 << data.discretisation.bits) - 1) * ((1 << mapping.bits_per_weight) - 1))
