"""The preprocessing document: how columns, images or arrays of a source become features. JSON, nothing executable."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pole.document import Document

MISSING = ("", "#n/a", "-", "?", "n/a", "na", "nan", "none", "null")
"""Texts that stand for a missing value, in lower case."""

DatePart = Literal["days", "month", "day", "weekday", "hour"]

Name = Annotated[str, Field(max_length=10_000)]


class Number(Document):
    """One feature: the number less `offset` (whole, taken off exactly, for numbers that float64 cannot tell apart).

    `groups`: digits may come in groups of three. `fill`: what a missing value becomes; None refuses one.
    `minimum`, `maximum`: what outliers are clipped to.
    """

    kind: Literal["number"] = "number"
    name: Name
    decimal: Literal[".", ","] = "."
    groups: bool = False
    offset: int = 0
    fill: float | None = None
    has_indicator: bool = False
    minimum: float | None = None
    maximum: float | None = None

    @property
    def features(self) -> list[str]:
        return [self.name, *_indicator(self)]


class Boolean(Document):
    """One feature: 0 and 1 for the two texts of `values`, 0.5 for any other text and for a missing value."""

    kind: Literal["boolean"] = "boolean"
    name: Name
    values: Annotated[list[Name], Field(min_length=2, max_length=2)]
    has_indicator: bool = False

    @property
    def features(self) -> list[str]:
        return [self.name, *_indicator(self)]


class Category(Document):
    """`one_hot`: a feature for each value, all 0 for unseen and missing ones. `ordinal`: one feature, the place of the
    value in `values` (most frequent first), and the number of values for unseen and missing ones.
    """

    kind: Literal["category"] = "category"
    name: Name
    encoding: Literal["one_hot", "ordinal"]
    values: Annotated[list[Name], Field(min_length=1, max_length=1_000_000)]
    has_indicator: bool = False

    @property
    def features(self) -> list[str]:
        own = [f"{self.name}={value}" for value in self.values] if self.encoding == "one_hot" else [self.name]
        return [*own, *_indicator(self)]


class Date(Document):
    """A feature for each part; `days` counts from 1970, in fractions where there is a time of day.

    `format`: as of `strptime`, or ISO8601. `fill`: what a missing date becomes, in days; None refuses one.
    """

    kind: Literal["date"] = "date"
    name: Name
    format: str
    parts: Annotated[list[DatePart], Field(min_length=1, max_length=5)]
    fill: float | None = None
    has_indicator: bool = False

    @property
    def features(self) -> list[str]:
        return [*(f"{self.name} {part}" for part in self.parts), *_indicator(self)]


Column = Annotated[Number | Boolean | Category | Date, Field(discriminator="kind")]


def _indicator(column: Number | Boolean | Category | Date) -> list[str]:
    return [f"{column.name} is missing"] if column.has_indicator else []


class Labels(Document):
    """How a label is read. `column`: its name in the training data, if it had one; `decimal`, `groups`: of quantities,
    as in `Number`.
    """

    column: str | None = None
    fold_case: bool = False
    na_is_a_class: bool = False
    decimal: Literal[".", ","] = "."
    groups: bool = False


class TablePreprocessing(Document):
    """`columns` yield features; those named in `features` are kept, in that order: a constant or repeated one is not.

    `is_named`: columns are found by name; otherwise by position among `width`, and `name` is that position, from 1.
    """

    kind: Literal["table"] = "table"
    is_named: bool = True
    width: Annotated[int, Field(ge=1)] | None = None
    missing: list[str] = Field(default_factory=lambda: list(MISSING))
    columns: Annotated[list[Column], Field(min_length=1, max_length=65_536)]
    features: Annotated[list[str], Field(min_length=1, max_length=65_536)]
    labels: Labels = Labels()

    @model_validator(mode="after")
    def _features_exist(self) -> Self:
        made = [name for column in self.columns for name in column.features]
        if len(set(made)) != len(made):
            twice = sorted({name for name in made if made.count(name) > 1})
            raise ValueError(f"two columns yield a feature of the name {twice[0]!r}; rename a column")
        unknown = sorted(set(self.features) - set(made))
        if unknown or len(set(self.features)) != len(self.features):
            raise ValueError(f"no column yields the feature {unknown[0]!r}" if unknown else "a feature is named twice")
        return self


class ImagePreprocessing(Document):
    """Images become [channels, height, width]: turned upright, laid on `background` where transparent, grey for one
    channel and red, green, blue for three, scaled to size.

    `is_resized`: images of other sizes are scaled; otherwise they are refused. `depth`: "byte" brings every image to
    0..255, "native" keeps the numbers of 16-bit and floating-point files.
    """

    kind: Literal["images"] = "images"
    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1, le=1024)]
    width: Annotated[int, Field(ge=1, le=1024)]
    is_resized: bool = False
    background: Annotated[int, Field(ge=0, le=255)] = 255
    depth: Literal["byte", "native"] = "byte"
    labels: Labels = Labels()

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


class ArrayPreprocessing(Document):
    """Arrays as they are; `shape`: of a row in the file; `is_channels_last`: its last axis becomes the first."""

    kind: Literal["array"] = "array"
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=3)]
    is_channels_last: bool = False
    labels: Labels = Labels()


AnyPreprocessing = Annotated[TablePreprocessing | ImagePreprocessing | ArrayPreprocessing, Field(discriminator="kind")]
