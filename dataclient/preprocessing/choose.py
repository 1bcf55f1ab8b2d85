"""Chooses how a column is read: number, truth value, date or category, from its cells; or why it is left out."""

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataclient.preprocessing.cells import Mask, dates, is_missing, looks_like, numbers, texts
from dataclient.preprocessing.document import MISSING, Boolean, Category, Column, Date, DatePart, Number
from dataclient.preprocessing.transform import SECONDS_PER_DAY, Place
from pole.errors import BadInput

Rows = npt.NDArray[np.int64]

MAX_ONE_HOT = 16
MANY_VALUES = 20
MOSTLY = 0.9
MAX_EXACT = 1 << 53
FALSE, TRUE = ("false", "no", "f", "n", "off"), ("true", "yes", "t", "y", "on")
DATE_FORMATS = (
    "ISO8601",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
_DATE_LIKE = re.compile(r".*[0-9]{1,4}[-/. ][0-9A-Za-z]{1,9}[-/., ]+[0-9]{2,4}.*")
_CODED = re.compile(r"0[0-9]+")
_CODE_NAME = re.compile(r"(^|[_\W])(code|zip|zipcode|postcode|plz|type|category|class|region|area|id|phone)s?$", re.I)
_INDEX_NAME = re.compile(
    r"unnamed: ?[0-9]+|index|idx|id|row|row_?(id|num|number|names?)|level_0|__index_level_0__|no|nr|#", re.I
)


@dataclass(frozen=True)
class Choices:
    """What the client decided about columns; everything else is found out."""

    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def tokens(self) -> list[str]:
        return [*MISSING, *(token.strip().lower() for token in self.missing)]


@dataclass
class Chosen:
    """The reading of one column, or None and why in `notes`."""

    column: Column | None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cells:
    """A column to choose for. `training`: the rows that statistics are taken from; types are found in all rows."""

    name: str
    cells: "pd.Series[object]"
    missing: Mask
    training: Rows
    place: Place
    is_comma_file: bool

    @property
    def present(self) -> "pd.Series[object]":
        return self.cells[~self.missing]

    @property
    def known(self) -> "pd.Series[object]":
        """Of the training rows."""
        return self.cells.iloc[self.training][~self.missing[self.training]]

    @property
    def has_gaps(self) -> bool:
        return bool(self.missing[self.training].any())


def choose(cells: Cells, choices: Choices) -> Chosen:
    """Raises BadInput for a column that is nearly one of numbers but not quite."""
    if not len(cells.known):
        return Chosen(None, [f"column {cells.name!r} has no value in the training rows and is left out"])
    if cells.name in choices.category:
        return Chosen(_category(cells))
    is_kept = cells.name in (*choices.keep, *choices.number)
    dtype = cells.cells.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return Chosen(Boolean(name=cells.name, values=["False", "True"], has_indicator=cells.has_gaps))
    if pd.api.types.is_numeric_dtype(dtype):
        return _numeric(cells, Number(name=cells.name), is_kept)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return Chosen(_date(cells, "ISO8601"))
    return _of_text(cells, choices, is_kept)


def _of_text(cells: Cells, choices: Choices, is_kept: bool) -> Chosen:
    reading, ambiguous = _number_reading(cells, is_wanted=cells.name in choices.number)
    if reading is not None:
        coded = cells.present.astype(str).str.strip().str.fullmatch(_CODED)
        if coded.any() and cells.name not in choices.number:
            note = f"column {cells.name!r} has numbers with leading zeros: codes, so it is read as categories"
            return Chosen(_category(cells), [f"{note} (--number {cells.name} reads numbers)"])
        chosen = _numeric(cells, reading, is_kept)
        return Chosen(chosen.column, [*ambiguous, *chosen.notes])
    values = sorted(set(texts(cells.present)))
    folded = [value.lower() for value in values]
    if len(values) == 2:
        is_backwards = folded[0] in TRUE and folded[1] in FALSE
        ordered = values[::-1] if is_backwards else values
        return Chosen(Boolean(name=cells.name, values=ordered, has_indicator=cells.has_gaps))
    date = _date_reading(cells)
    if date is not None:
        return date
    if len(values) > max(MANY_VALUES, len(cells.present) // 2) and not is_kept:
        note = f"column {cells.name!r} has {len(values)} different texts in {len(cells.present)} rows (names, ids or "
        return Chosen(None, [f"{note}free text) and is left out; --category {cells.name} keeps it"])
    return Chosen(_category(cells))


def number_writing(cells: Cells) -> tuple[Number | None, list[str]]:
    """How all present cells read as numbers, or None; and a note if they could be read in two ways."""
    present, name = cells.present, cells.name
    for mark in (".", ","):
        if looks_like(present, mark, groups=False).all():
            is_either = mark == "," and looks_like(present, ".", groups=True).all() and cells.is_comma_file
            if not is_either:
                return Number.model_validate({"name": name, "decimal": mark}), []
            note = f"column {name!r}: commas are read as marks between thousands; if they are decimal, use another"
            return Number(name=name, groups=True), [f"{note} delimiter between columns than the comma"]
    for mark in (".", ","):
        if looks_like(present, mark, groups=True).all():
            return Number.model_validate({"name": name, "decimal": mark, "groups": True}), []
    return None, []


def _number_reading(cells: Cells, *, is_wanted: bool) -> tuple[Number | None, list[str]]:
    """How all present cells read as numbers, or None; BadInput if nearly all do."""
    reading, notes = number_writing(cells)
    if reading is not None:
        return reading, notes
    plain = [looks_like(cells.present, mark, groups=False) for mark in (".", ",")]
    best = max(plain, key=lambda found: int(found.sum()))
    if is_wanted or (best.sum() >= MOSTLY * len(best) and len(best) >= MANY_VALUES):
        position = np.flatnonzero(~cells.missing)[int(np.argmin(best))]
        raise BadInput(
            f"{cells.place(int(position))}, column {cells.name!r}: {str(cells.cells.iloc[position])[:60]!r} is not a "
            "number, but most of the column is; correct it, name it a missing value (--missing), read the column as "
            "categories (--category) or leave it out (--drop)"
        )
    return None, []


def _numeric(cells: Cells, reading: Number, is_kept: bool) -> Chosen:
    values, _ = numbers(cells.known, reading, np.zeros(len(cells.known), dtype=np.bool_))
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Chosen(None, [f"column {cells.name!r} has no finite number in the training rows and is left out"])
    if not is_kept and _INDEX_NAME.fullmatch(cells.name) and _numbers_rows(finite):
        note = f"column {cells.name!r} numbers the rows and is left out: it would give away labels that rows are sorted"
        return Chosen(None, [f"{note} by (--keep {cells.name} keeps it)"])
    low, high = float(finite.min()), float(finite.max())
    if max(abs(low), abs(high)) > MAX_EXACT and high - low < abs(low) / 1024:
        whole = [int(text) for text in texts(cells.known) if re.fullmatch(r"[+-]?[0-9]+", text)]
        if len(whole) == len(values):
            reading = reading.model_copy(update={"offset": min(whole)})
            values, _ = numbers(cells.known, reading, np.zeros(len(values), dtype=np.bool_))
            finite = values
    bounds, notes = _bounds(cells.name, finite)
    fill = float(np.median(finite))
    column = reading.model_copy(update={"fill": fill, "has_indicator": cells.has_gaps, **bounds})
    return Chosen(column, [*notes, *_looks_like_codes(cells.name, finite)])


def _numbers_rows(values: npt.NDArray[np.float64]) -> bool:
    """Whole and without repetition, as an index is."""
    return bool(np.all(values == np.floor(values)) and len(np.unique(values)) == len(values) and len(values) > 2)


def _bounds(name: str, values: npt.NDArray[np.float64]) -> tuple[dict[str, float], list[str]]:
    """Where outliers are clipped: those further out than three times what 98 % of the values span."""
    low, high = (float(q) for q in np.quantile(values, [0.01, 0.99]))
    span, bounds = high - low, {}
    if not span > 0 or not np.isfinite(span):
        return {}, []
    if values.min() < low - 3 * span:
        bounds["minimum"] = low - span / 2
    if values.max() > high + 3 * span:
        bounds["maximum"] = high + span / 2
    if not bounds:
        return {}, []
    count = int(((values < low - span / 2) | (values > high + span / 2)).sum())
    ends = ", ".join(f"{end} {value:.6g}" for end, value in bounds.items())
    return bounds, [f"column {name!r}: {count} outlier(s) are clipped ({ends}), or they would eat up the range"]


def _looks_like_codes(name: str, values: npt.NDArray[np.float64]) -> list[str]:
    if _CODE_NAME.search(name) and np.all(values == np.floor(values)) and len(np.unique(values)) > 2:
        return [f"column {name!r} looks like codes but is read as numbers; --category {name} reads categories"]
    return []


def _category(cells: Cells) -> Category:
    """Most frequent first; ties by name."""
    counts = texts(cells.known).value_counts()
    ordered = sorted(counts.index, key=lambda value: (-int(counts[value]), value))
    encoding = "one_hot" if len(ordered) <= MAX_ONE_HOT else "ordinal"
    return Category.model_validate(
        {"name": cells.name, "encoding": encoding, "values": ordered, "has_indicator": cells.has_gaps}
    )


def _date_reading(cells: Cells) -> Chosen | None:
    present = cells.present.astype(str).str.strip()
    if not present.iloc[:100].str.fullmatch(_DATE_LIKE).all():
        return None
    nothing = np.zeros(len(present), dtype=np.bool_)
    fitting = [form for form in DATE_FORMATS if not dates(present, form, nothing)[1].any()]
    if not fitting:
        return None
    notes = []
    if fitting[0].startswith("%d") and any(form.startswith("%m") for form in fitting):
        notes = [f"column {cells.name!r}: dates are read as day before month; nothing in it says which comes first"]
    return Chosen(_date(cells, fitting[0]), notes)


def _date(cells: Cells, form: str) -> Date:
    parsed, _ = dates(cells.known, form, np.zeros(len(cells.known), dtype=np.bool_))
    days = (parsed - pd.Timestamp(0)).dt.total_seconds() / SECONDS_PER_DAY
    parts: list[DatePart] = ["days", "month", "day", "weekday"]
    if bool((days % 1 != 0).any()):
        parts.append("hour")
    return Date(name=cells.name, format=form, parts=parts, fill=float(days.median()), has_indicator=cells.has_gaps)


def cells_of(
    frame: pd.DataFrame, name: str, training: Rows, tokens: list[str], place: Place, *, is_comma_file: bool
) -> Cells:
    column = frame[name]
    return Cells(name, column, is_missing(column, tokens), training, place, is_comma_file)
