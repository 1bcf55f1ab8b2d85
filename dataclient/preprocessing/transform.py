"""What a preprocessing document makes of a table: a pure function of document and cells."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataclient.preprocessing.cells import Floats, Mask, dates, is_missing, numbers, texts
from dataclient.preprocessing.document import Boolean, Category, Date, Number, TablePreprocessing
from pole.errors import BadInput

Place = Callable[[int], str]
"""Says where row i of a table is: file and line."""

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Transformed:
    """`x`: float64 [n, features], not clipped yet; `filled`: how many missing cells were filled in columns that have
    no indicator, by column.
    """

    x: Floats
    filled: dict[str, int]


def row_place(row: int) -> str:
    return f"row {row + 1}"


def features(document: TablePreprocessing, frame: pd.DataFrame, place: Place = row_place) -> Floats:
    """float64 [n, features], as the model is trained on and used with. Raises BadInput."""
    return clipped(document, transform(document, frame, place).x)


def transform(document: TablePreprocessing, frame: pd.DataFrame, place: Place = row_place) -> Transformed:
    """Cells to numbers; `frame` has the columns of the document, as text or typed. Raises BadInput naming the cell."""
    blocks, names, filled = [], [], {}
    for column in document.columns:
        cells = frame[column.name]
        missing = is_missing(cells, document.missing)
        blocks += _block(column, cells, missing, place)
        if column.has_indicator:
            blocks.append(missing.astype(np.float64))
        elif missing.any():
            filled[column.name] = int(missing.sum())
        names += column.features
    position = {name: i for i, name in enumerate(names)}
    chosen = [blocks[position[name]] for name in document.features]
    return Transformed(np.column_stack(chosen) if len(frame) else np.empty((0, len(chosen))), filled)


def clipped(document: TablePreprocessing, x: Floats) -> Floats:
    """Outliers brought to the ends of their column's range."""
    bounds = {column.name: column for column in document.columns if isinstance(column, Number)}
    clipped_x = x.copy()
    for i, name in enumerate(document.features):
        column = bounds.get(name)
        if column is not None and (column.minimum is not None or column.maximum is not None):
            clipped_x[:, i] = np.clip(x[:, i], column.minimum, column.maximum)
    return clipped_x


def _block(column: Number | Boolean | Category | Date, cells: pd.Series, missing: Mask, place: Place) -> list[Floats]:
    match column:
        case Number():
            return [_number_block(column, cells, missing, place)]
        case Boolean():
            return [_boolean_block(column, cells, missing)]
        case Category():
            return list(_category_block(column, cells, missing))
        case Date():
            return _date_block(column, cells, missing, place)


def _number_block(column: Number, cells: pd.Series, missing: Mask, place: Place) -> Floats:
    values, bad = numbers(cells, column, missing)
    where = _place_of(bad, column.name, place)
    if bad.any():
        said = "; this column's decimal mark is a comma" if column.decimal == "," else ""
        raise BadInput(
            f"{where}: {_cell(cells, bad)} is not a number{said}; correct it, name it a missing value "
            f"(--missing), read the column as categories (--category) or leave it out (--drop)"
        )
    infinite = np.isinf(values)
    if infinite.any():
        raise BadInput(
            f"{_place_of(infinite, column.name, place)}: {_cell(cells, infinite)} is not finite; fill in a number or "
            "remove the row"
        )
    return _filled(values, missing | np.isnan(values), column.fill, column.name, cells, place)


def _filled(values: Floats, missing: Mask, fill: float | None, name: str, cells: pd.Series, place: Place) -> Floats:
    if missing.any() and fill is None:
        raise BadInput(
            f"{_place_of(missing, name, place)}: the value is missing ({_cell(cells, missing)}); fill it in or remove "
            "the row"
        )
    values[missing] = fill
    return values


def _boolean_block(column: Boolean, cells: pd.Series, missing: Mask) -> Floats:
    said = texts(cells)
    values = np.full(len(cells), 0.5)
    values[(said == column.values[0]).to_numpy() & ~missing] = 0.0
    values[(said == column.values[1]).to_numpy() & ~missing] = 1.0
    return values


def _category_block(column: Category, cells: pd.Series, missing: Mask) -> Iterator[Floats]:
    """`pd.Categorical` gives unseen values the code -1."""
    codes = np.array(pd.Categorical(texts(cells), categories=column.values).codes, dtype=np.int64)
    codes[missing] = -1
    if column.encoding == "ordinal":
        codes[codes < 0] = len(column.values)
        yield codes.astype(np.float64)
        return
    for i in range(len(column.values)):
        yield (codes == i).astype(np.float64)


def _date_block(column: Date, cells: pd.Series, missing: Mask, place: Place) -> list[Floats]:
    parsed, bad = dates(cells, column.format, missing)
    if bad.any():
        raise BadInput(
            f"{_place_of(bad, column.name, place)}: {_cell(cells, bad)} is not a date like the others "
            f"({column.format}; years 1678 to 2261); correct it, or leave the column out (--drop)"
        )
    days = np.asarray((parsed - pd.Timestamp(0)).dt.total_seconds() / SECONDS_PER_DAY, dtype=np.float64).copy()
    days = _filled(days, missing, column.fill, column.name, cells, place)
    times = pd.Series(pd.Timestamp(0) + pd.to_timedelta(days, unit="D"))
    return [days if part == "days" else getattr(times.dt, part).to_numpy(np.float64) for part in column.parts]


def _place_of(mask: Mask, name: str, place: Place) -> str:
    return f"{place(int(np.argmax(mask)))}, column {name!r}" if mask.any() else ""


def _cell(cells: pd.Series, mask: npt.NDArray[np.bool_]) -> str:
    text = repr(cells.iloc[int(np.argmax(mask))])
    return text if len(text) <= 60 else f"{text[:57]}..."
