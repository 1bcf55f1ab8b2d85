"""Labels of a table: one reading of them for training and for use."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dataclient.preprocessing.cells import Floats, is_missing, numbers, texts
from dataclient.preprocessing.choose import Cells, number_writing
from dataclient.preprocessing.document import Labels, Number
from dataclient.sources.plain import encode_labels, listed
from dataclient.sources.tables import Table
from dataclient.sources.targets import label_set, targets_of_sets
from pole.errors import BadInput
from pole.task.scores import Target


def targets_of_table(
    table: Table, column: str, target: Target, reading: Labels, tokens: Sequence[str]
) -> dict[str, Any]:
    """The fields `labels` and names of `PlainData`, from the cells of one column. Raises BadInput naming the line."""
    if target is Target.QUANTITY:
        return {"labels": quantities(table, column, reading, tokens)[:, None], "quantity_names": (column,)}
    if target is Target.LABELS:
        return targets_of_sets(label_sets(table, column, reading, tokens), column, str(table.path))
    labels, names = encode_labels(label_texts(table, column, reading, tokens))
    return {"labels": labels, "class_names": names}


def label_texts(table: Table, column: str, reading: Labels, tokens: Sequence[str]) -> list[str]:
    """Class names as the client reads them. Raises BadInput for a missing one, with its line."""
    cells = table.frame[table.require(column, "label")]
    missing = is_missing(cells, [""] if reading.na_is_a_class else tokens)
    if missing.any():
        row = int(np.argmax(missing))
        said = cells.iloc[row]
        asked = "" if _is_nothing(said) else ", or say --na-is-a-class if that is the name of a class"
        raise _missing(table, row, said, asked)
    return folded(texts(cells).tolist(), reading)


def label_sets(table: Table, column: str, reading: Labels, tokens: Sequence[str]) -> list[set[str]]:
    """The labels of every row; a cell without a value names none."""
    cells = table.frame[table.require(column, "label")]
    missing = is_missing(cells, [""] if reading.na_is_a_class else tokens)
    found = folded(["" if gone else text for gone, text in zip(missing, texts(cells), strict=True)], reading)
    return [label_set(text) for text in found]


def quantities(table: Table, column: str, reading: Labels, tokens: Sequence[str]) -> Floats:
    """float64 [n]. Raises BadInput for a cell that is missing, no number or not finite, with its line."""
    cells = table.frame[table.require(column, "label")]
    missing = is_missing(cells, tokens)
    values, bad = numbers(cells, Number(name=column, decimal=reading.decimal, groups=reading.groups), missing)
    if missing.any():
        row = int(np.argmax(missing))
        raise _missing(table, row, cells.iloc[row])
    wrong = bad | ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "not a number" if bad[row] else "not finite"
        raise BadInput(
            f"{table.place(row)}, column {column!r}: {str(cells.iloc[row])[:60]!r} is {what}; fill in a number, or "
            "remove the row"
        )
    return values


def quantity_reading(table: Table, column: str, reading: Labels, tokens: Sequence[str]) -> tuple[Labels, list[str]]:
    """With the decimal mark and the groups of digits that the column is written with, and what was guessed."""
    cells = table.frame[table.require(column, "label")]
    is_comma = table.dialect is None or table.dialect.delimiter == ","
    every = Cells(column, cells, is_missing(cells, tokens), np.arange(len(cells)), table.place, is_comma)
    number, notes = number_writing(every)
    if number is None:
        return reading, []
    return reading.model_copy(update={"decimal": number.decimal, "groups": number.groups}), notes


def _missing(table: Table, row: int, said: object, asked: str = "") -> BadInput:
    text = "" if pd.isna(said) else str(said)
    return BadInput(f"{table.place(row)}: the label is missing ({text!r}); fill it in or remove the row{asked}")


def _is_nothing(cell: object) -> bool:
    return bool(pd.isna(cell)) or not str(cell).strip()


def folded(names: Sequence[str], reading: Labels) -> list[str]:
    return [" ".join(name.split()).casefold() for name in names] if reading.fold_case else list(names)


def alike(names: Sequence[str]) -> list[str]:
    """A note if names of classes or labels differ by case or spaces only."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.split()).casefold(), []).append(name)
    twins = [listed([repr(name) for name in group]) for group in groups.values() if len(group) > 1]
    if not twins:
        return []
    return [f"WARNING: classes that differ by case or spaces only: {'; '.join(twins)}; --fold-case makes them one"]
