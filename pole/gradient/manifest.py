"""The manifest of a gradient task: everything it says off chain, as one strict JSON document.

Source: DGG, Results (network, data, batch size, learning rate)
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pole.document import Document, canonical_json, parse_document
from pole.errors import ManifestInvalid
from pole.gradient.difficulty import DIGEST_BITS as DIGEST_BITS
from pole.storage.cid import Cid
from pole.storage.store import Store
from pole.task.layers import AnyModel, Dropout, GraphModel, Normalisation, TorchvisionModel
from pole.task.manifest import MAX_MANIFEST_BYTES, DataSet, RowFile, Target, Title, check_data_set

MAX_SEGMENTS = 256  # a report of wrong segments is one word on chain

Number = Annotated[float, Field(ge=-1e6, le=1e6)]
PositiveNumber = Annotated[float, Field(ge=1e-6, le=1e6)]


class InputScaling(Document):
    """Features as the network sees them: (level - mean) / deviation in float32; one of each, or one per channel."""

    mean: Annotated[list[Number], Field(min_length=1, max_length=65_536)]
    deviation: Annotated[list[PositiveNumber], Field(min_length=1, max_length=65_536)]


class GradientManifest(Document):
    """Data sets are plain: everybody trains and verifies on the same rows.

    `margin`: share of its tensor's RMS step that a change must exceed to count. `checkpoint_interval`: in steps.
    `replay_tolerance`: share of a segment's RMS movement by which two devices may differ. `devices`: "alike" waives the
    start-up check that a segment replays on any device; all nodes then need the same kind of processor and libraries.
    `scored_training_rows`: how many of the first rows the reported training accuracy looks at. `redundancy`: verifiers
    per divided segment.
    """

    version: Literal[2] = 2
    kind: Literal["gradient"] = "gradient"
    name: Title
    rules: Literal["paper", "hardened"] = "hardened"
    model: AnyModel
    data: DataSet
    test_set: RowFile
    scaling: InputScaling
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 4
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    requirement_count: Annotated[int, Field(ge=1, le=256)] = DIGEST_BITS
    checkpoint_interval: Annotated[int, Field(ge=1, le=10_000)] = 64
    margin: Annotated[float, Field(gt=0, le=0.1)] = 0.0002
    replay_tolerance: Annotated[float, Field(gt=0, le=0.01)] = 0.0002
    devices: Literal["any", "alike"] = "any"
    segments: Literal["all", "divided", "sampled"] = "all"
    redundancy: Annotated[int, Field(ge=1, le=16)] = 2
    scored_training_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 500

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        check_data_set(self.data)
        if self.data.target is not Target.CLASS:
            raise ValueError(
                "the gradient chain scores classes; commission labels and quantities on the learning chain"
            )
        _check_rows(self)
        _check_scaling(self.scaling, self.data)
        _check_model(self.model, self.batch_size)
        if self.rules == "hardened" and self.requirement_count != DIGEST_BITS:
            raise ValueError(f"{self.requirement_count} requirements; a sign digest has {DIGEST_BITS}")
        return self

    @property
    def feature_shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def outputs(self) -> int:
        """Numbers that the model yields for a row: one for each class."""
        return self.data.outputs

    def to_bytes(self) -> bytes:
        return canonical_json(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> "GradientManifest":
        """Raises ManifestInvalid. Does not build the model: pole.gradient.network does."""
        return parse_document(
            cls,
            content,
            what="gradient manifest",
            max_bytes=MAX_MANIFEST_BYTES,
            error=ManifestInvalid,
            see="docs/gradient.md",
        )


def fetch_gradient_manifest(store: Store, cid: Cid) -> GradientManifest:
    """Raises ManifestInvalid, or as the store does."""
    return GradientManifest.from_bytes(store.get(cid, MAX_MANIFEST_BYTES))


def _check_rows(manifest: GradientManifest) -> None:
    data, test = manifest.data, manifest.test_set
    if (data.test_rows, data.test_size_bytes) != (test.rows, test.size_bytes):
        raise ValueError(
            f"test set of {test.rows} rows and {test.size_bytes} bytes, but the data part says {data.test_rows} and "
            f"{data.test_size_bytes}; make them equal"
        )
    if manifest.batch_size > data.training_rows:
        raise ValueError(
            f"batches of {manifest.batch_size} distinct rows out of {data.training_rows}; make them smaller"
        )


def _check_scaling(scaling: InputScaling, data: DataSet) -> None:
    lengths = {len(scaling.mean), len(scaling.deviation)}
    if len(lengths) != 1 or not lengths <= {1, data.shape[0]}:
        raise ValueError(
            f"scaling has {len(scaling.mean)} means and {len(scaling.deviation)} deviations; need 1 or {data.shape[0]}"
        )


def _check_model(model: AnyModel, batch_size: int) -> None:
    if isinstance(model, TorchvisionModel):
        if model.architecture != "resnet18":
            raise ValueError(f"{model.architecture} has dropout, which no two nodes compute alike; use resnet18")
        has_batch_norm = True
    else:
        has_batch_norm = _graph_has_batch_norm(model)
    if has_batch_norm and batch_size < 2:
        raise ValueError(f"batch normalisation over {batch_size} row; use a batch size of at least 2")


def _graph_has_batch_norm(model: GraphModel) -> bool:
    for layer in model.layers:
        if isinstance(layer, Dropout):
            raise ValueError(f"layer {layer.name!r} is dropout, which no two nodes compute alike; remove it")
    return any(isinstance(layer, Normalisation) and layer.type == "batch_norm" for layer in model.layers)
