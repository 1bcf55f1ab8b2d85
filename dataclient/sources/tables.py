"""Tables: CSV files with named columns, and NumPy `.npz` files."""

import csv
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataclient.sources.plain import PlainData, Values, listed
from dataclient.sources.targets import targets_of_array, targets_of_texts
from pole.errors import BadInput
from pole.task.scores import Target

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Table:
    """A CSV file as text: column names and rows of equal length."""

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]

    def column(self, name: str, purpose: str) -> int:
        if name not in self.header:
            raise BadInput(f"{self.path} has no {purpose} column {name!r}; its columns are {listed(self.header)}")
        return self.header.index(name)

    def numbers(self, columns: Sequence[int]) -> npt.NDArray[np.float64]:
        """The columns as float64 [rows, columns]; BadInput names the first cell that is no number."""
        values = np.empty((len(self.rows), len(columns)), dtype=np.float64)
        for line, row in enumerate(self.rows):
            for i, column in enumerate(columns):
                values[line, i] = self._number(row[column], line, column)
        return values

    def _number(self, text: str, line: int, column: int) -> float:
        where = f"{self.path}, line {line + 2}, column {self.header[column]!r}"
        if text.strip().lower() in MISSING:
            raise BadInput(f"{where}: the value is missing ({text!r}); fill it in or remove the row")
        try:
            value = float(text)
        except ValueError as exc:
            raise BadInput(
                f"{where}: {text!r} is not a number; encode the column as numbers or leave it out (--drop)"
            ) from exc
        if not math.isfinite(value):
            raise BadInput(f"{where}: {text!r} is not finite; fill in a number or remove the row")
        return value


def read_table(path: Path) -> Table:
    """Reads a CSV file (comma, semicolon or tab) whose first line names the columns. Raises BadInput."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            lines = [line for line in csv.reader(file, delimiter=_delimiter(first)) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise BadInput(f"cannot read {path} as CSV: {exc}") from exc
    if not lines:
        raise BadInput(f"{path} is empty; give a CSV file whose first line names the columns")
    header = tuple(name.strip() for name in lines[0])
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise BadInput(f"{path} has several columns named {listed(repeated)}; give each its own name")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise BadInput(f"{path}, line {number}: {len(line)} fields, but the first line names {len(header)} columns")
    return Table(path, header, lines[1:])


def _delimiter(first_line: str) -> str:
    return max(DELIMITERS, key=first_line.count)


def load_csv(path: Path, label: str | None, drop: Sequence[str], goal: Target = Target.CLASS) -> PlainData:
    """All columns but the label and the dropped ones become features."""
    table = read_table(path)
    if label is None:
        raise BadInput(f"which column of {path} is the label? Say --label COLUMN, one of {listed(table.header)}")
    target = table.column(label, "label")
    dropped = {table.column(name, "dropped") for name in drop}
    if not table.rows:
        raise BadInput(f"{path} has no rows below its first line; give at least a few rows of every class")
    columns = [i for i in range(len(table.header)) if i != target and i not in dropped]
    if not columns:
        raise BadInput(f"{path} has no column left besides the label; give at least one feature")
    for number, row in enumerate(table.rows, start=2):
        if goal is not Target.LABELS and row[target].strip().lower() in MISSING:
            raise BadInput(
                f"{path}, line {number}: the label is missing ({row[target]!r}); fill it in or remove the row"
            )
    targets = targets_of_texts([row[target] for row in table.rows], goal, label, str(path))
    names = tuple(table.header[i] for i in columns)
    return PlainData(table.numbers(columns), **targets, feature_names=names, has_columns=True)


def read_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a `.npz` file; pickled objects are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, AttributeError, TypeError) as exc:
        raise BadInput(f"cannot read {path} as an .npz file of plain arrays (no pickled objects): {exc}") from exc


def load_npz(path: Path, goal: Target = Target.CLASS) -> PlainData:
    """`x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test` for a file that comes with its own split."""
    arrays = read_arrays(path)
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        train, test = feature_array(arrays["x_train"], path), feature_array(arrays["x_test"], path)
        if train.shape[1:] != test.shape[1:]:
            raise BadInput(f"{path}: rows of x_train have shape {train.shape[1:]}, of x_test {test.shape[1:]}")
        x, y = np.concatenate([train, test]), np.concatenate([arrays["y_train"], arrays["y_test"]])
        is_test = np.arange(len(x)) >= len(train)
    elif {"x", "y"} <= arrays.keys():
        x, y, is_test = feature_array(arrays["x"], path), arrays["y"], None
    else:
        raise BadInput(f"{path} holds {listed(sorted(arrays)) or 'nothing'}; it needs arrays named x and y")
    if (goal is Target.CLASS and y.ndim != 1) or not y.ndim or len(y) != len(x):
        raise BadInput(f"{path}: y has shape {y.shape}; it needs one label for each of the {len(x)} rows of x")
    if goal is Target.CLASS and not np.issubdtype(y.dtype, np.integer) and _has_fractions(y):
        raise BadInput(
            f"{path}: y holds missing or fractional numbers, not classes; give whole numbers or names, or say "
            "--target quantity"
        )
    return PlainData(x, **targets_of_array(y, goal, "y", str(path)), has_columns=_has_columns(x), is_test=is_test)


def _has_fractions(y: npt.NDArray[np.generic]) -> bool:
    return bool(np.issubdtype(y.dtype, np.floating) and np.any(y != np.floor(y)))


def _has_columns(x: Values) -> bool:
    return x.ndim == 2 and np.issubdtype(x.dtype, np.floating)


def feature_array(x: npt.NDArray[np.generic], path: Path) -> Values:
    """[n, features] or [n, channels, height, width]; channels may come last, grey images may lack them."""
    if not (np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating)):
        raise BadInput(f"{path}: x has dtype {x.dtype}; it needs whole or floating-point numbers")
    numbers: Values = x  # type: ignore[assignment]  # checked above
    if x.ndim == 3:
        return numbers[:, None]
    if x.ndim == 4:
        return numbers.transpose(0, 3, 1, 2) if x.shape[3] in (1, 3) and x.shape[1] > 3 else numbers
    if x.ndim != 2:
        raise BadInput(
            f"{path}: x has shape {x.shape}; it needs [rows, features], [rows, height, width] or "
            "[rows, channels, height, width]"
        )
    return numbers
