"""New rows of an .npz file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataclient.bundle import Bundle
from dataclient.newrows.rows import NewRows, Values, Wanted
from dataclient.newrows.tables import transformed
from dataclient.preprocessing.document import (
    AnyPreprocessing,
    ImagePreprocessing,
    TablePreprocessing,
)
from dataclient.sources.plain import listed
from pole.errors import BadInput

ARRAY_ROWS_AT_ONCE = 1 << 14


def from_npz(path: Path, bundle: Bundle, document: AnyPreprocessing, wanted: Wanted) -> Iterator[NewRows]:
    from dataclient.sources.arrays import feature_name, features, read_arrays

    arrays = read_arrays(path)
    name = feature_name({key: array for key, array in arrays.items() if key != wanted.label})
    if name is None:
        raise BadInput(f"{path} has no array 'x'; it holds {listed(sorted(arrays)) or 'nothing'}")
    x = features(arrays[name], name, path)
    labels = _array_labels(arrays, bundle, wanted.label, len(x), path)
    for start in range(0, len(x), ARRAY_ROWS_AT_ONCE):
        part = slice(start, start + ARRAY_ROWS_AT_ONCE)
        values, unclipped, notes = _arranged(x[part], bundle, document, path, start)
        known = None if labels is None else labels[part]
        yield NewRows(values, unclipped, known, notes=tuple(notes) if not start else ())


def _arranged(
    x: Values, bundle: Bundle, document: AnyPreprocessing, path: Path, first_row: int
) -> tuple[Values, Values, list[str]]:
    from dataclient.sources.arrays import arranged, array_reading
    from dataclient.sources.reading import numbered_table

    shape = bundle.description.manifest.data.shape
    if isinstance(document, TablePreprocessing):
        width = document.width or len(document.columns)
        if x.ndim != 2 or x.shape[1] != width:
            found = f"have {x.shape[1]} features" if x.ndim == 2 else f"are images of shape {x.shape[1:]}"
            raise BadInput(f"rows of {path} {found}, the model needs {width}")
        table = replace(numbered_table(x, path), first_row=first_row)
        if document.is_named:
            names = [column.name for column in document.columns]
            table = replace(table, frame=table.frame.set_axis(names, axis=1))
        return transformed(table, document)
    if isinstance(document, ImagePreprocessing):
        read = array_reading(x)
        rows = arranged(x, read, str(path))
        if tuple(rows.shape[1:]) != document.shape:
            raise BadInput(f"{path}: rows have the shape {rows.shape[1:]}, but the model takes {document.shape}")
    else:
        rows = arranged(x, document, str(path))
    check_finite(rows, path, first_row)
    rows = rows.reshape(-1, *shape)
    return rows, rows, []


def check_finite(x: Values, path: Path, first_row: int = 0) -> None:
    bad = ~np.isfinite(x.astype(np.float64, copy=False))
    if bad.any():
        row = first_row + int(np.argwhere(bad)[0][0])
        raise BadInput(
            f"{path} has {int(bad.sum())} missing or infinite value(s), first in row {row + 1}; fill them in"
        )


def _array_labels(
    arrays: dict[str, Any], bundle: Bundle, asked: str | None, rows: int, path: Path
) -> npt.NDArray[np.int64] | None:
    from dataclient.newrows.labels import labels_of_array
    from dataclient.sources.arrays import LABELS

    if asked is not None and asked not in arrays:
        raise BadInput(f"{path} has no array {asked!r}; it holds {listed(sorted(arrays)) or 'nothing'}")
    name = asked or next((key for key in arrays if key.lower() in LABELS), None)
    if name is None:
        return None
    return labels_of_array(arrays[name], name, bundle.description.manifest.data, rows, path)
