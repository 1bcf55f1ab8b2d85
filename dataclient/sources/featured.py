"""Tables and arrays become features and labels: as a preprocessing document says, or as one made from them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataclient.preprocessing.document import (
    MISSING,
    AnyPreprocessing,
    ArrayPreprocessing,
    Labels,
    TablePreprocessing,
)
from dataclient.sources.plain import PlainData, check_targets, limit_rows, listed, split
from dataclient.sources.source import SourceOptions
from dataclient.sources.targets import targets_of_array
from pole.errors import BadInput
from pole.task.scores import Target

if TYPE_CHECKING:
    from dataclient.sources.tables import Table


def of_kind(preprocessing: AnyPreprocessing | None, kind: type[Any], source: object) -> Any:
    """The document, which must be of the kind that the source needs. Raises BadInput."""
    if preprocessing is not None and not isinstance(preprocessing, kind):
        raise BadInput(f"{source} is not of the kind that the task file was made for; run `init` again")
    return preprocessing


def load_table(table: "Table", options: SourceOptions, preprocessing: AnyPreprocessing | None) -> PlainData:
    """All columns but the label and those left out become features. Raises BadInput."""
    from dataclient.sources.labels import alike, quantity_reading, targets_of_table

    document = of_kind(preprocessing, TablePreprocessing, table.path)
    if options.label is None:
        raise BadInput(f"which column of {table.path} is the label? Say --label COLUMN, one of {listed(table.header)}")
    label = table.require(options.label, "label")
    if not set(table.header) - {label, *options.drop}:
        raise BadInput(f"{table.path} has no column left besides the label; give at least one feature")
    if not len(table.frame):
        raise BadInput(f"{table.path} has no rows below its first line; give at least a few rows of every class")
    reading, notes = options.labels if document is None else document.labels, list[str]()
    tokens = [*MISSING, *(token.strip().lower() for token in options.missing)]
    if document is None and options.goal is Target.QUANTITY:
        reading, notes = quantity_reading(table, label, reading, tokens)
    targets = targets_of_table(table, label, options.goal, reading, tokens)
    blank = PlainData(np.zeros((len(table.frame), 1)), **targets, columns=tuple(table.header))
    blank = replace(blank, notes=(*table.notes, *notes, *alike(blank.names)))
    check_targets(blank, options.source)
    return _featured(table, blank, options, document, reading)


def _featured(
    table: "Table", blank: PlainData, options: SourceOptions, document: TablePreprocessing | None, reading: Labels
) -> PlainData:
    """The rows with their features: as the document says, or as one made from the training rows."""
    from dataclient.preprocessing.fit import fit
    from dataclient.sources.reading import apply, choices_of

    assert options.label is not None
    if document is not None:
        return replace(apply(table, document), **_kept(blank))
    choices = choices_of(table, options)
    frame = table.frame.drop(columns=[options.label, *dict.fromkeys(choices.drop)])
    is_comma = table.dialect is None or table.dialect.delimiter == ","
    fitted = fit(
        frame,
        training_indices(blank, options),
        choices,
        reading,
        table.place,
        is_named=True,
        is_comma_file=is_comma,
    )
    return replace(
        blank,
        x=fitted.x,
        feature_names=tuple(fitted.document.features),
        has_columns=True,
        preprocessing=fitted.document,
        notes=(*blank.notes, *fitted.notes),
    )


def _kept(blank: PlainData) -> dict[str, Any]:
    names = ("labels", "class_names", "label_names", "quantity_names", "is_test", "notes", "columns")
    return {name: getattr(blank, name) for name in names}


def training_indices(data: PlainData, options: SourceOptions) -> Any:
    """Which rows the split puts into the training set."""
    numbered = replace(data, x=np.arange(data.rows)[:, None], has_columns=False)
    parts = split(numbered, test_fraction=options.test_fraction, seed=options.seed)
    return limit_rows(parts.training, rows=options.max_training_rows, seed=options.seed).x[:, 0]


def load_npz(path: Path, options: SourceOptions, preprocessing: AnyPreprocessing | None) -> PlainData:
    """Raises BadInput."""
    from dataclient.sources.arrays import load_arrays

    arrays = load_arrays(path, options.goal)
    targets = targets_of_array(arrays.y, options.goal, arrays.y_name, path)
    rows = PlainData(np.zeros((len(arrays.x), 1)), **targets, is_test=arrays.is_test, notes=arrays.notes)
    return arranged_rows(arrays.x, rows, options, preprocessing)


def arranged_rows(
    x: Any, rows: PlainData, options: SourceOptions, preprocessing: AnyPreprocessing | None, *, is_flat: bool = False
) -> PlainData:
    """Rows of an array: columns where it has two axes, pixels otherwise, or where `is_flat` or the bytes say so."""
    from dataclient.sources.arrays import arranged, arrangement_note, array_reading, is_flat_picture

    if not len(x):
        raise BadInput(f"{options.source} has no rows; give a source with at least a few rows of every class")
    is_table = x.ndim == 2 and not is_flat and not is_flat_picture(x)
    if preprocessing is not None:
        is_table = isinstance(preprocessing, TablePreprocessing)
    if is_table:
        return _columns(x, rows, options, preprocessing)
    document = of_kind(preprocessing, ArrayPreprocessing, options.source) or array_reading(x)
    notes = (*rows.notes, arrangement_note(document))
    return replace(rows, x=arranged(x, document, options.source), preprocessing=document, notes=notes)


def _columns(x: Any, rows: PlainData, options: SourceOptions, preprocessing: AnyPreprocessing | None) -> PlainData:
    """A table without names: columns are found by position."""
    from dataclient.preprocessing.fit import fit
    from dataclient.sources.reading import apply, choices_of, numbered_table

    if not x.shape[1]:
        raise BadInput(f"{options.source} has no feature besides the label; give at least one")
    table = numbered_table(x, options.source)
    document = of_kind(preprocessing, TablePreprocessing, options.source)
    if document is not None:
        return replace(apply(table, document), **_kept(rows))
    check_targets(rows, options.source)
    fitted = fit(
        table.frame, training_indices(rows, options), choices_of(table, options), Labels(), table.place, is_named=False
    )
    notes = (*rows.notes, *fitted.notes)
    return replace(rows, x=fitted.x, has_columns=True, preprocessing=fitted.document, notes=notes)
