"""Which rows to read, and how: `[data]` of a task file."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dataclient.preprocessing.document import Labels
from dataclient.sources.plain import listed
from pole.errors import BadInput
from pole.task.scores import Target

TEXT_FIELDS = ("encoding", "delimiter")
TABLE_FIELDS = ("label", "drop", "keep", "category", "number", "missing", "fold_case", "na_is_a_class")
IMAGE_FIELDS = ("image_size", "background", "skip_broken")


class SourceOptions(BaseModel):
    """`[data]` of a task file, as far as it says what to read. `columns`, `digest`: of the source that `init` read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str = Field(min_length=1)
    label: str | None = None
    target: Literal["class", "labels", "quantity"] | None = None
    unit: str = Field(default="", max_length=100)
    drop: list[str] = []
    keep: list[str] = []
    category: list[str] = []
    number: list[str] = []
    missing: list[str] = []
    encoding: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    fold_case: bool = False
    na_is_a_class: bool = False
    data_dir: str | None = None
    image_size: list[int] | None = Field(default=None, min_length=2, max_length=2)
    background: int | None = Field(default=None, ge=0, le=255)
    skip_broken: bool = False
    max_training_rows: int | None = Field(default=None, ge=2)
    max_test_rows: int | None = Field(default=None, ge=2)
    test_fraction: float = Field(default=0.2, gt=0, lt=1, allow_inf_nan=False)
    seed: int = Field(default=1, ge=0)
    columns: list[str] | None = None
    digest: str | None = None

    @property
    def goal(self) -> Target:
        return Target(self.target or Target.CLASS)

    @property
    def labels(self) -> Labels:
        return Labels(column=self.label, fold_case=self.fold_case, na_is_a_class=self.na_is_a_class)


def refuse_options(options: SourceOptions, fields: tuple[str, ...], source: object) -> None:
    """Options that do not apply to a source are an error, not ignored. Raises BadInput."""
    chosen = [name for name in fields if not any(getattr(options, name) is nothing for nothing in (None, False))]
    given = [f"--{name.replace('_', '-')}" for name in chosen if getattr(options, name) != []]
    if given:
        raise BadInput(f"{listed(given)} does not apply to {source}; leave it out")
