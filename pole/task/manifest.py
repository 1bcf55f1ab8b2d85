"""The manifest: everything a task says off chain, as one strict JSON document.

Source: PoLe, section 3.1 (model specification, metric, data pointers).
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import from_json

from pole.document import Document, canonical_json, parse_document
from pole.encryption.points import PointForm
from pole.errors import BadInput, ManifestInvalid
from pole.storage.cid import Cid
from pole.task.layers import (
    Activation,
    AnyLayer,
    AnyModel,
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
    Size,
    TorchvisionModel,
)
from pole.task.mappings import AnyMapping, ConvolutionalMapping, DenseMapping
from pole.task.scores import METRICS, Form, MetricName, Target, form_of, top_k_of

__all__ = [
    "MAX_CELLS",
    "MAX_EXACT_FLOAT32",
    "MAX_FEATURES",
    "MAX_MANIFEST_BYTES",
    "Activation",
    "AnyEncryption",
    "AnyLayer",
    "AnyMapping",
    "AnyModel",
    "CidText",
    "Convolution",
    "ConvolutionalMapping",
    "DataSet",
    "DenseMapping",
    "Discretisation",
    "Document",
    "Dropout",
    "GlobalPool",
    "GraphModel",
    "InnerProductEncryption",
    "Layer",
    "Linear",
    "Manifest",
    "NoEncryption",
    "Normalisation",
    "PointForm",
    "Pool",
    "Quantity",
    "Reshape",
    "RowFile",
    "Shape",
    "Size",
    "Target",
    "Title",
    "TorchvisionModel",
    "check_data_set",
    "largest_inner_product",
]

MAX_MANIFEST_BYTES = 1 << 20
MAX_EXACT_FLOAT32 = 1 << 24
MAX_FEATURES = 1 << 20  # per row, before and after the mapping
MAX_CELLS = 1 << 34  # rows * features, before and after the mapping: 64 GiB of float32
MAX_SCORED = 1 << 27  # rows * outputs that a metric looks at, of one part: a GiB, and exact sums in int64


def _canonical_cid(text: str) -> str:
    try:
        return str(Cid.parse(text))
    except BadInput as exc:
        raise ValueError(str(exc)) from exc


def _printable(text: str) -> str:
    """Names are shown in terminals: no control sequences, no line breaks, no invisible characters."""
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed; use letters, digits, punctuation and spaces")
    return text


Title = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
CidText = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_canonical_cid)]


# --- mapping and encryption -------------------------------------------------------------------------------------------


class NoEncryption(Document):
    scheme: Literal["none"] = "none"


class InnerProductEncryption(Document):
    """ABDP15 over secp256k1. Timed release, not privacy. `rank_limit`: query vectors per segment ever keyed.

    `points` is written only if it is not the default, so that older manifests keep their CIDs.
    """

    scheme: Literal["ipfe-secp256k1"] = "ipfe-secp256k1"
    public_key: CidText
    rank_limit: Size
    is_test_set_encrypted: bool = False
    points: PointForm = Field(default="uncompressed", exclude_if=lambda form: form == "uncompressed")


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


class Quantity(Document):
    """A number to be predicted, in its unit. Labels are cut off at the ends of its range, which is public."""

    name: Title
    unit: Annotated[str, Field(max_length=100), AfterValidator(_printable)] = ""
    minimum: float
    maximum: float

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if not self.minimum < self.maximum or not math.isfinite(self.maximum - self.minimum):
            raise ValueError(f"quantity {self.name!r} runs from {self.minimum} to {self.maximum}; that is no range")
        return self


def _left_out_if_empty(values: list[Any]) -> bool:
    return not values


class DataSet(Document):
    """`shape`: (features,) or (channels, height, width). The test set's CID stays secret until its release.

    A row's label is one of `class_names`, any of `label_names`, or a number for each of `quantities`; the two others
    are empty, and then not written, so that older manifests keep their CIDs.
    """

    shape: Annotated[list[Size], Field(min_length=1, max_length=3)]
    class_names: Annotated[list[Title], Field(min_length=2, max_length=10_000)] = Field(
        default=[], exclude_if=_left_out_if_empty
    )
    label_names: Annotated[list[Title], Field(min_length=1, max_length=1_000)] = Field(
        default=[], exclude_if=_left_out_if_empty
    )
    quantities: Annotated[list[Quantity], Field(min_length=1, max_length=64)] = Field(
        default=[], exclude_if=_left_out_if_empty
    )
    discretisation: Discretisation
    training_set: Annotated[list[RowFile], Field(min_length=1, max_length=100_000)]
    test_rows: Annotated[int, Field(ge=0, le=1_000_000)]
    test_size_bytes: Annotated[int, Field(ge=0, le=1 << 34)]

    @property
    def dimension(self) -> int:
        """D, the number of features of a row."""
        return math.prod(self.shape)

    @property
    def target(self) -> Target:
        if self.quantities:
            return Target.QUANTITY
        return Target.LABELS if self.label_names else Target.CLASS

    @property
    def outputs(self) -> int:
        """Numbers that a model yields for a row: one for each class, label or quantity."""
        return len(self.class_names) or len(self.label_names) or len(self.quantities)

    @property
    def label_width(self) -> int:
        """Numbers that a row's label is made of."""
        return 1 if self.target is Target.CLASS else self.outputs

    @property
    def training_rows(self) -> int:
        return sum(file.rows for file in self.training_set)


class Manifest(Document):
    version: Literal[2] = 2
    name: Title
    model: AnyModel
    metric: MetricName = "accuracy"
    data: DataSet
    mapping: AnyMapping
    encryption: AnyEncryption
    max_model_bytes: Annotated[int, Field(ge=1, le=1 << 32)]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        check_data_set(self.data)
        check_metric(self.metric, self.data)
        _check_mapping(self.mapping, self.data)
        _check_encryption(self.encryption, self.mapping, self.data)
        return self

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of a row as the model sees it: mapped."""
        return self.mapping.output_shape(tuple(self.data.shape))

    @property
    def outputs(self) -> int:
        """Numbers that the model yields for a row."""
        return self.data.outputs

    def to_bytes(self) -> bytes:
        return canonical_json(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Raises ManifestInvalid, naming the first offending field. Does not build the model: pole.task.model does."""
        if len(content) <= MAX_MANIFEST_BYTES and _says_version_1(content):
            raise ManifestInvalid(
                "manifest has version 1, from before exact evaluation: its scores depended on the machine; commission "
                "the task anew with `submit --again` (bring one that is on the market to its end with version 0.2)"
            )
        return parse_document(
            cls,
            content,
            what="manifest",
            max_bytes=MAX_MANIFEST_BYTES,
            error=ManifestInvalid,
            see="docs/manifest.md",
        )


def _says_version_1(content: bytes) -> bool:
    try:
        document = from_json(content)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("version") == 1


def check_data_set(data: DataSet) -> None:
    """Raises ValueError unless shape, classes, sizes and ranges fit together."""
    _check_data(data)
    _check_discretisation(data)


def check_metric(metric: str, data: DataSet) -> None:
    """Raises ValueError unless the metric can score such a task."""
    form, outputs, k = form_of(metric), data.outputs, top_k_of(metric)
    if form.target is not data.target:
        fitting = ", ".join(name for name in METRICS if form_of(name).target is data.target)
        raise ValueError(f"metric {metric} is of another target than the rows' labels; choose one of {fitting}")
    if k is not None and k >= outputs:
        raise ValueError(f"metric {metric} counts every row as right where there are {outputs} classes; choose fewer")
    rows = max(data.training_rows, data.test_rows)
    if form is not Form.CLASSES and rows * outputs > MAX_SCORED:
        raise ValueError(
            f"metric {metric} looks at {rows} rows of {outputs} outputs, at most {MAX_SCORED} numbers are allowed; "
            "use fewer rows, or a metric of predicted classes such as accuracy"
        )


def _check_data(data: DataSet) -> None:
    if len(data.shape) == 2:
        raise ValueError(f"shape {data.shape}: need [features] or [channels, height, width]; add a channel of size 1")
    kinds = (data.class_names, data.label_names, data.quantities)
    if sum(map(bool, kinds)) != 1:
        raise ValueError("need either class_names, label_names or quantities, which say what a row's label is")
    for what, names in (
        ("classes", data.class_names),
        ("labels", data.label_names),
        ("quantities", [quantity.name for quantity in data.quantities]),
    ):
        if len(set(names)) != len(names):
            raise ValueError(f"two {what} have the same name; rename or merge them")
    _check_amount("data", data.dimension, data)


def _check_amount(what: str, features: int, data: DataSet) -> None:
    if features > MAX_FEATURES:
        raise ValueError(f"{what}: {features} features per row, at most {MAX_FEATURES} are allowed; make it smaller")
    rows = data.training_rows + data.test_rows
    if rows * features > MAX_CELLS:
        raise ValueError(
            f"{what}: {rows} rows of {features} features are {rows * features} numbers, at most {MAX_CELLS} are "
            "allowed; use fewer rows or features"
        )


def _check_discretisation(data: DataSet) -> None:
    low, high = data.discretisation.minimum, data.discretisation.maximum
    if len(low) != len(high) or len(low) not in (1, data.dimension):
        raise ValueError(
            f"discretisation has {len(low)} minima and {len(high)} maxima; need 1 or {data.dimension} of each"
        )
    if any(a >= b for a, b in zip(low, high, strict=True)):
        raise ValueError("discretisation needs minimum < maximum for every feature")
    if not all(math.isfinite(b - a) for a, b in zip(low, high, strict=True)):
        raise ValueError("discretisation has a range too wide for float64; clip the outliers")


def _check_mapping(mapping: DenseMapping | ConvolutionalMapping, data: DataSet) -> None:
    if isinstance(mapping, ConvolutionalMapping) and len(data.shape) != 3:
        raise ValueError(f"a convolutional mapping needs shape (channels, height, width), not {data.shape}")
    if isinstance(mapping, DenseMapping) and data.dimension % mapping.segments:
        raise ValueError(f"{mapping.segments} segments do not divide {data.dimension} features equally")
    _check_amount("mapping", math.prod(mapping.output_shape(tuple(data.shape))), data)
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
    if isinstance(mapping, DenseMapping):
        width = data.dimension // mapping.segments
        if mapping.vectors > encryption.rank_limit or encryption.rank_limit >= width:
            raise ValueError(
                f"{mapping.vectors} query vectors on {width} features per segment, rank_limit {encryption.rank_limit}: "
                "need vectors <= rank_limit < features, or the keys reveal the data outright"
            )


def largest_inner_product(mapping: DenseMapping | ConvolutionalMapping, data: DataSet) -> int:
    """Largest value that an inner product of this mapping can take: terms * (2^bits - 1) * (2^k - 1)."""
    terms = data.dimension // mapping.segments if isinstance(mapping, DenseMapping) else mapping.kernel**2
    return int(terms * ((1 << data.discretisation.bits) - 1) * ((1 << mapping.bits_per_weight) - 1))
