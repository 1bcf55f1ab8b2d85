"""New rows for a bought model, read as its training rows were, in pieces of bounded size and in their order."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataclient.bundle import Bundle
from dataclient.preprocessing.document import (
    AnyPreprocessing,
    ArrayPreprocessing,
    ImagePreprocessing,
    Labels,
    Number,
    TablePreprocessing,
)
from dataclient.sources.plain import listed
from pole.errors import BadInput

if TYPE_CHECKING:
    from dataclient.sources.tables import Table

IMAGES_AT_ONCE = 256
ARRAY_ROWS_AT_ONCE = 1 << 14

Values = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Wanted:
    """`label`: column or array with the true class; None takes that of the training data, if it is there.

    `identity`: column that is carried through to the predictions.
    """

    label: str | None = None
    identity: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True)
class NewRows:
    """A piece of rows. `x`: plain values [n, *shape]; `unclipped`: the same before outliers were clipped.

    `labels`: class indices, or None where they are not known; `ids`: what identifies a row, under the name `id_name`.
    """

    x: Values
    unclipped: Values
    labels: npt.NDArray[np.int64] | None = None
    ids: list[str] | None = None
    id_name: str = "id"
    notes: tuple[str, ...] = ()


def new_rows(path: Path, bundle: Bundle, wanted: Wanted) -> Iterator[NewRows]:
    """All rows of a file or folder. Raises BadInput for rows that the model cannot take."""
    document = document_of(bundle)
    if path.is_dir() or _is_image(path, document):
        _refuse(wanted, ("identity", "encoding", "delimiter", "label"), "images")
        pieces = _from_images(path, bundle, document)
    elif not path.is_file():
        raise BadInput(f"no file {path}; give a table, an .npz file, an image or a folder of images to predict")
    else:
        from dataclient.sources.tables import kind_of

        if kind_of(path) == "npz":
            _refuse(wanted, ("identity", "encoding", "delimiter"), ".npz files")
            pieces = _from_npz(path, bundle, document, wanted)
        else:
            pieces = _from_table(path, bundle, document, wanted)
    count = 0
    for piece in pieces:
        count += len(piece.x)
        yield piece
    if not count:
        raise BadInput(f"{path} has no rows; give at least one row to predict")


def document_of(bundle: Bundle) -> AnyPreprocessing:
    """The model's own, or for models fetched by older versions what they did: numbers, by name or by position."""
    description = bundle.description
    if description.preprocessing is not None:
        return description.preprocessing
    shape = description.manifest.data.shape
    if len(shape) == 3:
        return ArrayPreprocessing(shape=list(shape) if shape[0] > 1 else list(shape[1:]))
    names = description.feature_names or [str(i + 1) for i in range(shape[0])]
    is_named = description.feature_names is not None
    columns = [Number(name=name) for name in names]
    width = None if is_named else len(names)
    return TablePreprocessing.model_validate(
        {"is_named": is_named, "width": width, "columns": columns, "features": names}
    )


def _refuse(wanted: Wanted, fields: tuple[str, ...], what: str) -> None:
    given = [f"--{'id' if name == 'identity' else name}" for name in fields if getattr(wanted, name) is not None]
    if given:
        raise BadInput(f"{listed(given)} does not apply to {what}; leave it out")


def _shape(document: AnyPreprocessing) -> str:
    if isinstance(document, TablePreprocessing):
        return f"rows of {document.width or len(document.columns)} columns"
    shape = document.shape
    return f"rows of {shape[0]} features" if len(shape) == 1 else f"images of {' x '.join(map(str, shape))}"


# --- tables ----------------------------------------------------------------------------------------------------------


def _from_table(path: Path, bundle: Bundle, document: AnyPreprocessing, wanted: Wanted) -> Iterator[NewRows]:
    from dataclient.sources.tables import TextOptions, read_pieces

    width = _positions(document)
    if isinstance(document, ImagePreprocessing) or (width is None and not isinstance(document, TablePreprocessing)):
        raise BadInput(f"{path} is a table, but the model takes {_shape(document)}")
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


def _of_table(table: "Table", bundle: Bundle, document: AnyPreprocessing, wanted: Wanted, width: int | None) -> NewRows:
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
    x, unclipped, filled = _transformed(table, document)
    shape = bundle.description.manifest.data.shape
    return NewRows(
        x.reshape(-1, *shape),
        unclipped.reshape(-1, *shape),
        labels,
        ids,
        wanted.identity or "id",
        (*notes, *filled),
    )


def _transformed(table: "Table", document: TablePreprocessing) -> tuple[Values, Values, list[str]]:
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


def _by_position(table: "Table", aside: list[str], width: int) -> "Table":
    frame = table.frame.drop(columns=aside)
    if len(frame.columns) != width:
        raise BadInput(
            f"{table.path} has {len(frame.columns)} columns of features, the model takes {width}; it knows them by "
            "position only"
        )
    return replace(table, frame=frame.set_axis([str(i + 1) for i in range(width)], axis=1))


def _labels(
    table: "Table", bundle: Bundle, reading: Labels, asked: str | None
) -> tuple[npt.NDArray[np.int64] | None, list[str], str | None]:
    """Class indices, notes, and the name of the column; a label that was not asked for may be missing or unknown."""
    from dataclient.preprocessing.document import MISSING
    from dataclient.sources.labels import class_indices, label_texts

    column = asked or reading.column
    if column is None or (asked is None and column not in table.frame.columns):
        return None, [], None
    table.require(column, "label")
    try:
        texts = label_texts(table, column, reading, MISSING)
        return class_indices(texts, bundle.description.manifest.data.class_names, table.path), [], column
    except BadInput as exc:
        if asked is not None:
            raise
        return None, [f"not scored by column {column!r}: {exc}"], column


# --- arrays ----------------------------------------------------------------------------------------------------------


def _from_npz(path: Path, bundle: Bundle, document: AnyPreprocessing, wanted: Wanted) -> Iterator[NewRows]:
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
        return _transformed(table, document)
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
    from dataclient.sources.arrays import LABELS, label_array
    from dataclient.sources.labels import class_indices

    if asked is not None and asked not in arrays:
        raise BadInput(f"{path} has no array {asked!r}; it holds {listed(sorted(arrays)) or 'nothing'}")
    name = asked or next((key for key in arrays if key.lower() in LABELS), None)
    if name is None:
        return None
    texts, _ = label_array(arrays[name], name, rows, path)
    return class_indices(texts, bundle.description.manifest.data.class_names, path)


# --- images ----------------------------------------------------------------------------------------------------------


def _is_image(path: Path, document: AnyPreprocessing) -> bool:
    if isinstance(document, TablePreprocessing) or not path.is_file() or len(document.shape) == 1:
        return False
    from dataclient.sources.tables import kind_of

    return kind_of(path) == "text"


def _from_images(path: Path, bundle: Bundle, document: AnyPreprocessing) -> Iterator[NewRows]:
    from dataclient.sources.images import Listing, add_images, read_images, skipped_note
    from dataclient.sources.pixels import read_header

    reading = _image_reading(path, bundle, document)
    listing = Listing()
    if path.is_dir():
        add_images(listing, path, False, path)
    else:
        header = read_header(path)
        if header is None:
            raise BadInput(f"{path} is no image that can be read; give an image, a folder of images or an .npz file")
        listing.files.append((path, header))
    if not listing.files:
        raise BadInput(f"{path} has no image to predict{skipped_note(listing)}")
    root = path if path.is_dir() else path.parent
    labels = _folder_labels([file for file, _ in listing.files], root, bundle)
    notes = (f"{len(listing.files)} images{skipped_note(listing)}",)
    files, done = iter(listing.files), 0
    while batch := list(islice(files, IMAGES_AT_ONCE)):
        x, more = read_images([file for file, _ in batch], [header for _, header in batch], reading)
        if reading.channels == 3 and x.shape[1] == 1:
            x = np.repeat(x, 3, axis=1)
        names = [str(file.relative_to(root)) for file, _ in batch]
        known = None if labels is None else labels[done : done + len(batch)]
        yield NewRows(x, x, known, names, "file", (*notes, *more) if not done else ())
        done += len(batch)


def _image_reading(path: Path, bundle: Bundle, document: AnyPreprocessing) -> ImagePreprocessing:
    if isinstance(document, ImagePreprocessing):
        return document
    shape = bundle.description.manifest.data.shape
    if isinstance(document, TablePreprocessing) or len(shape) != 3 or shape[0] not in (1, 3):
        raise BadInput(f"{path} holds images, but the model takes {_shape(document)}")
    return ImagePreprocessing.model_validate({"channels": shape[0], "height": shape[1], "width": shape[2]})


def _folder_labels(files: list[Path], root: Path, bundle: Bundle) -> npt.NDArray[np.int64] | None:
    """Images in folders named as the classes are scored by them."""
    names = bundle.description.manifest.data.class_names
    folders = [file.relative_to(root).parts[0] for file in files]
    if not set(folders) <= set(names):
        return None
    return np.asarray([names.index(folder) for folder in folders], dtype=np.int64)
