"""Makes the preprocessing document of a table: a reading for each column, and which features are worth keeping."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dataclient.preprocessing.cells import Floats
from dataclient.preprocessing.choose import Choices, Rows, cells_of, choose
from dataclient.preprocessing.document import Column, Labels, TablePreprocessing
from dataclient.preprocessing.transform import Place, clipped, transform
from dataclient.sources.plain import listed
from pole.errors import BadInput


@dataclass(frozen=True)
class Fitted:
    """`x`: float64 [n, features] of all rows, clipped; `notes`: everything that was left out, changed or guessed."""

    document: TablePreprocessing
    x: Floats
    notes: list[str]


def fit(
    frame: pd.DataFrame,
    training: Rows,
    choices: Choices,
    labels: Labels,
    place: Place,
    *,
    is_named: bool,
    is_comma_file: bool = False,
) -> Fitted:
    """`frame`: the columns that may become features; `training`: rows that statistics come from. Raises BadInput."""
    columns: list[Column] = []
    notes: list[str] = []
    for name in frame.columns:
        cells = cells_of(frame, name, training, choices.tokens, place, is_comma_file=is_comma_file)
        chosen = choose(cells, choices)
        notes += chosen.notes
        if chosen.column is not None:
            columns.append(chosen.column)
    if not columns:
        raise BadInput(f"no column is left besides the label: {'; '.join(notes[:3]) or 'there is none'}")
    return _worth_keeping(frame, training, columns, choices, labels, place, notes, is_named)


def _worth_keeping(
    frame: pd.DataFrame,
    training: Rows,
    columns: list[Column],
    choices: Choices,
    labels: Labels,
    place: Place,
    notes: list[str],
    is_named: bool,
) -> Fitted:
    """Features that are constant or repeated in the training rows are left out, and columns that yield no other."""
    every = [name for column in columns for name in column.features]
    if len(set(every)) != len(every):
        twice = sorted({name for name in every if every.count(name) > 1})
        raise BadInput(f"several columns yield a feature named {twice[0]!r}; rename a column or leave it out (--drop)")
    whole = TablePreprocessing(
        is_named=is_named,
        width=None if is_named else len(frame.columns),
        missing=choices.tokens,
        columns=columns,
        features=every,
        labels=labels,
    )
    x = clipped(whole, transform(whole, frame, place).x)
    kept, more = _informative(x[training], every)
    if not kept:
        raise BadInput(f"the same value in every training row of {listed(every)}; there is nothing to learn from")
    features = [every[i] for i in kept]
    used = [column for column in columns if set(column.features) & set(features)]
    document = whole.model_copy(update={"columns": used, "features": features})
    return Fitted(document, x[:, kept], [*notes, *more])


def _informative(x: Floats, names: Sequence[str]) -> tuple[list[int], list[str]]:
    constant = set(np.flatnonzero(x.min(axis=0) == x.max(axis=0)).tolist())
    first: dict[bytes, int] = {}
    kept, twins = [], []
    for i in range(x.shape[1]):
        if i in constant:
            continue
        known = first.setdefault(np.ascontiguousarray(x[:, i]).tobytes(), i)
        if known == i:
            kept.append(i)
        else:
            twins.append(f"{names[i]!r} (as {names[known]!r})")
    notes = []
    if constant:
        same = listed([repr(names[i]) for i in sorted(constant)])
        notes.append(f"left out, the same value in every training row: {same}")
    if twins:
        notes.append(f"left out, a copy of another column: {listed(twins)}")
    return kept, notes
