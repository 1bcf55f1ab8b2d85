"""The task file: everything that a client decides about a task, as TOML."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dataclient.preprocessing.document import AnyPreprocessing
from dataclient.sources.load import SourceOptions
from pole.document import first_problem
from pole.encryption.points import PointForm
from pole.errors import BadInput
from pole.money import ether_to_wei
from pole.paths import expanded
from pole.task.manifest import AnyMapping, AnyModel, Discretisation, Quantity
from pole.task.scores import MetricName

MAX_TASK_FILE_BYTES = 16 << 20
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

Ppm = Annotated[int, Field(ge=0, le=1_000_000)]


class Section(BaseModel):
    """Base of all sections: unknown fields and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Encryption(Section):
    """`rank_limit`: query vectors per segment that keys are ever issued for; None with scheme "none".

    `points`: how the points of encrypted rows are stored.
    """

    scheme: Literal["none", "ipfe-secp256k1"]
    rank_limit: Annotated[int, Field(ge=1, le=65_536)] | None = None
    encrypt_test_set: bool = False
    points: PointForm = "uncompressed"


class TermsSection(Section):
    """What the contract is told, in its own words and units, but for the reward (ether, as text, for precision)."""

    reward_ether: str
    time_limit_s: Annotated[int, Field(ge=1, le=(1 << 32) - 1)]
    required_train_ppm: Annotated[int, Field(ge=1, le=1_000_000)]
    min_test_ppm: Ppm = 0
    solutions_wanted: Annotated[int, Field(ge=1, le=64)] = 1
    earliest_close_s: Annotated[int, Field(ge=0, le=(1 << 32) - 1)] = 0

    @model_validator(mode="before")
    @classmethod
    def _tolerance_is_of_old_files(cls, given: Any) -> Any:
        """Verdicts are exact; the field of older files says nothing any more."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if name != "tolerance_ppm"}

    @field_validator("reward_ether")
    @classmethod
    def _reward_is_exact(cls, text: str) -> str:
        ether_to_wei(text)
        return text

    @property
    def reward_wei(self) -> int:
        return ether_to_wei(self.reward_ether)


class TaskFile(Section):
    """`preprocessing`: how the source becomes features; files of older versions have none, and it is found out anew."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    metric: MetricName = "accuracy"
    data: SourceOptions
    quantities: list[Quantity] = []
    preprocessing: AnyPreprocessing | None = None
    discretisation: Discretisation
    mapping: AnyMapping
    model: AnyModel
    encryption: Encryption
    terms: TermsSection


@dataclass(frozen=True)
class TaskSource:
    """A task file as it lies on disk. `digest`: sha256 of the bytes, so that a changed file is noticed."""

    path: Path
    content: bytes
    task: TaskFile

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def read_task_file(path: Path) -> TaskSource:
    """Reads and checks a task file; paths in it are relative to its folder. Raises BadInput."""
    try:
        if path.stat().st_size > MAX_TASK_FILE_BYTES:
            raise BadInput(f"{path} has {path.stat().st_size} bytes; that is no task file (write one with `init`)")
        content = path.read_bytes()
        document = tomllib.loads(content.decode("utf-8"))
    except OSError as exc:
        raise BadInput(f"cannot read task file {path}: {exc.strerror}; write one with `init`") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadInput(f"{path} is not valid TOML: {exc}") from exc
    return TaskSource(path, content, parse_task(document, path))


def parse_task(document: dict[str, object], path: Path) -> TaskFile:
    """Checks a parsed document; relative paths become absolute. Raises BadInput naming the first wrong field."""
    try:
        task = TaskFile.model_validate(document)
    except ValidationError as exc:
        raise BadInput(f"{path}: {first_problem(exc)}") from exc
    base = path.resolve().parent
    located = {"source": _located(task.data.source, base), "data_dir": _located(task.data.data_dir, base)}
    return task.model_copy(update={"data": task.data.model_copy(update=located)})


def is_named_set(source: str) -> bool:
    """Whether a source is a set by name (`sklearn:iris`) and not a path."""
    return source.partition(":")[0] in ("sklearn", "torchvision", "openml")


def _located(path: str | None, base: Path) -> str | None:
    if path is None or is_named_set(path):
        return path
    return str(base / expanded(path))
