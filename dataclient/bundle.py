"""A bought model as a folder that can be used on its own: weights, and all that maps new plain rows to classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, field_validator

from dataclient.preprocessing.document import AnyPreprocessing
from pole.document import first_problem
from pole.errors import BadInput, ManifestInvalid, ModelInvalid
from pole.exact.model import ExactModel
from pole.exact.task import model_of
from pole.learning.mapping import Statistics, mapping_hash, project_under
from pole.storage.cid import Cid, cid_of
from pole.task.manifest import Document, Manifest
from pole.task.rows import discretise

MODEL_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"
MAX_DESCRIPTION_BYTES = 1 << 28
ROWS_AT_ONCE = 1024

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Normalisation(Document):
    """Float32 constants of the task's training rows, per dense feature or convolutional channel."""

    mean: list[float]
    scale: list[float]


class Origin(Document):
    """The block that the model won, as its header and the committee have it."""

    chain_id: int
    task_id: int
    height: int
    header_hash: Hash
    winner: str
    voted_train_ppm: int
    voted_test_ppm: int


class Description(Document):
    """`model.json`. `previous_hash`: PHS; `own_*_ppm`: accuracies that the client computed itself.

    Before version 2, every PHS was the mapping's hash, also one that rounds refuse today.
    A model that was bought under a manifest of version 1 stays usable; `manifest_cid` is that of the manifest it had.
    """

    version: Literal[1, 2] = 2
    model: str
    manifest_cid: str
    manifest: Manifest
    previous_hash: Hash
    normalisation: Normalisation
    feature_names: list[str] | None
    preprocessing: AnyPreprocessing | None = None
    origin: Origin
    own_train_ppm: int
    own_test_ppm: int

    @field_validator("manifest", mode="before")
    @classmethod
    def _of_version_1(cls, manifest: Any) -> Any:
        is_old = isinstance(manifest, dict) and manifest.get("version") == 1
        return {**manifest, "version": 2} if is_old else manifest


@dataclass(frozen=True)
class Bundle:
    description: Description
    weights: bytes

    def files(self) -> dict[str, bytes]:
        """What `read_bundle` reads, by name."""
        description = self.description.model_dump_json(indent=1).encode()
        return {MODEL_FILE: self.weights, DESCRIPTION_FILE: description}

    def model(self) -> ExactModel:
        """The model with its weights. Raises ModelInvalid."""
        return model_of(self.description.manifest, self.weights)

    @property
    def mapping_hash(self) -> bytes:
        """What the query vectors come from."""
        description, manifest = self.description, self.description.manifest
        previous_hash = bytes.fromhex(description.previous_hash)
        if description.version == 1:
            return previous_hash
        return mapping_hash(manifest.mapping, previous_hash, tuple(manifest.data.shape))

    def features(self, x: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Plain rows [n, *shape], in the units of the training data, to what the model sees."""
        description, manifest = self.description, self.description.manifest
        whole = discretise(x, manifest.data.discretisation)
        mapped = project_under(manifest.mapping, self.mapping_hash, whole)
        return constants(description.normalisation).apply(mapped)

    def logits(self, x: npt.NDArray[np.generic], model: ExactModel | None = None) -> npt.NDArray[np.float64]:
        """Exact outputs [n, classes] of plain rows [n, *shape]; `model`: `self.model()`, where it is at hand."""
        model = model or self.model()
        starts = range(0, len(x), ROWS_AT_ONCE)
        return np.concatenate([model.logits(self.features(x[start : start + ROWS_AT_ONCE])) for start in starts])


def constants(normalisation: Normalisation) -> Statistics:
    mean, scale = (np.asarray(values, dtype=np.float32) for values in (normalisation.mean, normalisation.scale))
    return Statistics(mean, scale)


def read_bundle(folder: Path) -> Bundle:
    """Reads and checks what fetch-model wrote. Raises BadInput, ManifestInvalid or ModelInvalid."""
    description = _read_description(folder / DESCRIPTION_FILE)
    try:
        size = (folder / MODEL_FILE).stat().st_size
        if size > description.manifest.max_model_bytes:
            raise ModelInvalid(f"{folder / MODEL_FILE} has {size} bytes; fetch the model again")
        weights = (folder / MODEL_FILE).read_bytes()
    except OSError as exc:
        raise BadInput(f"cannot read {folder / MODEL_FILE}: {exc.strerror}; fetch the model again") from exc
    if cid_of(weights) != Cid.parse(description.model):
        raise ModelInvalid(f"{folder / MODEL_FILE} is not the model that {DESCRIPTION_FILE} describes; fetch it again")
    bundle = Bundle(description, weights)
    _check_normalisation(bundle)
    return bundle


def _read_description(path: Path) -> Description:
    try:
        if path.stat().st_size > MAX_DESCRIPTION_BYTES:
            raise BadInput(f"{path} is too large for a model description; fetch the model again")
        content = path.read_bytes()
    except OSError as exc:
        raise BadInput(f"cannot read {path}: {exc.strerror}; give a folder that fetch-model wrote") from exc
    try:
        return Description.model_validate_json(content)
    except ValidationError as exc:
        raise ManifestInvalid(f"{path} is damaged: {first_problem(exc)}; fetch the model again") from exc


def _check_normalisation(bundle: Bundle) -> None:
    manifest, normalisation = bundle.description.manifest, bundle.description.normalisation
    wanted = manifest.feature_shape[0]
    if len(normalisation.mean) != wanted or len(normalisation.scale) != wanted:
        raise ManifestInvalid(
            f"model description has {len(normalisation.mean)} means and {len(normalisation.scale)} scales for "
            f"{wanted} mapped features; fetch the model again"
        )
