"""New rows of a table, with names or by position."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataclient.bundle import Bundle
from dataclient.newrows.rows import NewRows, Values, Wanted, shape_of
from dataclient.preprocessing.document import (
    AnyPreprocessing,
    ArrayPreprocessing,
    ImagePreprocessing,
    Labels,
    Number,
    TablePreprocessing,
)
from dataclient.sources.plain import listed
from dataclient.sources.tables import Table, TextOptions, read_pieces
from pole.errors import BadInput


def from_table(path: Path, bundle: Bundle, document: AnyPreprocessing, wanted: Wanted) -> Iterator[NewRows]:
    width = _positions(document)
    if isinstance(document, ImagePreprocessing) or (width is None and not isinstance(document, TablePreprocessing)):
        raise BadInput(f"{path} is a table, but the model takes {shape_of(document)}")
    options = TextOptions(wanted.encoding, wanted.delimiter)
    for number, table in enumerate(read_pieces(path, options, positions=width)):
        if not len(table.frame) and number:
            continue
        piece = _of_table(table, bundle, document, wanted, width)
        yield piece if number == 0 else replace(piece, notes=())


def _positions(document: AnyPreprocessing) -> int | None:
    """How many columns a model without names takes."""
    if isinstance(document, TablePreprocessing):
        return document.width if not document.is_named else None
    return document.shape[0] if len(document.shape) == 1 else None


def _of_table(table: Table, bundle: Bundle, document: AnyPreprocessing, wanted: Wanted, width: int | None) -> NewRows:
    labels, label_notes, label = _labels(table, bundle, document.labels, wanted.label)
    ids = None
    if wanted.identity is not None:
        ids = [str(cell) for cell in table.frame[table.require(wanted.identity, "id")]]
    aside = [name for name in (label, wanted.identity) if name is not None]
    notes = [*table.notes, *label_notes]
    if width is not None:
        table = _by_position(table, aside, width)
        if isinstance(document, ArrayPreprocessing):
            document = _all_numbers(width)
    assert isinstance(document, TablePreprocessing)
    used = {column.name for column in document.columns}
    extra = [name for name in table.header if name not in used and name not in aside]
    if extra and width is None:
        notes.append(f"columns that the model does not use are ignored: {listed(extra)}")
    x, unclipped, filled = transformed(table, document)
    shape = bundle.description.manifest.data.shape
    return NewRows(
        x.reshape(-1, *shape),
        unclipped.reshape(-1, *shape),
        labels,
        ids,
        wanted.identity or "id",
        (*notes, *filled),
    )


def transformed(table: Table, document: TablePreprocessing) -> tuple[Values, Values, list[str]]:
    from dataclient.preprocessing.transform import clipped, transform
    from dataclient.sources.reading import require_columns

    require_columns(table, document)
    made = transform(document, table.frame, table.place)
    filled = [
        f"column {name!r} has {count} missing value(s), though it had none in training; the usual value is filled in"
        for name, count in made.filled.items()
    ]
    return clipped(document, made.x), made.x, filled


def _all_numbers(width: int) -> TablePreprocessing:
    names = [str(i + 1) for i in range(width)]
    columns = [Number(name=name) for name in names]
    return TablePreprocessing.model_validate({"is_named": False, "columns": columns, "features": names})


def _by_position(table: Table, aside: list[str], width: int) -> Table:
    frame = table.frame.drop(columns=aside)
    if len(frame.columns) != width:
        raise BadInput(
            f"{table.path} has {len(frame.columns)} columns of features, the model takes {width}; it knows them by "
            "position only"
        )
    return replace(table, frame=frame.set_axis([str(i + 1) for i in range(width)], axis=1))


def _labels(
    table: Table, bundle: Bundle, reading: Labels, asked: str | None
) -> tuple[npt.NDArray[np.int64] | None, list[str], str | None]:
    """Labels as row files have them, notes, and the name of the column. A label that was not asked for may be missing
    or unknown.
    """
    from dataclient.newrows.labels import labels_of_table

    column = asked or reading.column
    if column is None or (asked is None and column not in table.frame.columns):
        return None, [], None
    table.require(column, "label")
    try:
        return labels_of_table(table, column, reading, bundle.description.manifest.data), [], column
    except BadInput as exc:
        if asked is not None:
            raise
        return None, [f"not scored by column {column!r}: {exc}"], column
