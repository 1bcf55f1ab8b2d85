"""NumPy `.npz` files: features and labels under the usual names, with or without a split of their own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataclient.preprocessing.document import ArrayPreprocessing
from dataclient.sources.boundary import reading
from dataclient.sources.plain import Values, label_text, listed
from pole.errors import BadInput
from pole.task.scores import Target

Array = npt.NDArray[np.generic]

FEATURES = ("x", "images", "features", "data", "inputs")
LABELS = ("y", "labels", "label", "targets", "target", "classes")
MAX_CHANNELS = 4
PIXELS_FROM = 64


@dataclass(frozen=True)
class Arrays:
    """`x`: as in the file but for bools; `y`, under the name `y_name`: text of every class, or [n] or [n, m] as in the
    file; `is_test`: the file's own split.
    """

    x: Array
    y: list[str] | Array
    y_name: str
    is_test: npt.NDArray[np.bool_] | None
    notes: tuple[str, ...]


def read_arrays(path: Path) -> dict[str, Array]:
    """Arrays of a `.npz` file; pickled objects are refused. Raises BadInput."""
    remedy = "write it anew with numpy.savez"
    with (
        reading(path, "an .npz file of plain arrays (no pickled objects)", remedy),
        np.load(path, allow_pickle=False) as archive,
    ):
        return {name: np.asarray(archive[name]) for name in archive.files}


def load_arrays(path: Path, target: Target = Target.CLASS) -> Arrays:
    """Raises BadInput naming the array that cannot be used."""
    arrays = read_arrays(path)
    whole = _pair(arrays, "")
    if whole is not None:
        x, y = features(arrays[whole[0]], whole[0], path), arrays[whole[1]]
        labels, notes = target_array(y, whole[1], len(x), path, target)
        return Arrays(x, labels, whole[1], None, tuple(notes))
    parts = [(_pair(arrays, "train"), False), (_pair(arrays, "val"), False), (_pair(arrays, "test"), True)]
    found = [(pair, is_test) for pair, is_test in parts if pair is not None]
    if {is_test for _, is_test in found} != {False, True}:
        raise BadInput(
            f"{path} holds {listed(sorted(arrays)) or 'nothing'}; it needs arrays named x and y, or x_train, y_train, "
            "x_test and y_test"
        )
    return _joined(arrays, found, path, target)


def _joined(arrays: dict[str, Array], found: list[tuple[tuple[str, str], bool]], path: Path, target: Target) -> Arrays:
    xs: list[Array] = []
    ys: list[list[str] | Array] = []
    is_test: list[bool] = []
    notes: list[str] = []
    for pair, is_of_test in found:
        x = features(arrays[pair[0]], pair[0], path)
        if xs and x.shape[1:] != xs[0].shape[1:]:
            raise BadInput(f"{path}: rows of {found[0][0][0]} have shape {xs[0].shape[1:]}, of {pair[0]} {x.shape[1:]}")
        labels, more = target_array(arrays[pair[1]], pair[1], len(x), path, target)
        if ys and np.shape(labels)[1:] != np.shape(ys[0])[1:]:
            raise BadInput(f"{path}: rows of {pair[1]} have labels of another shape than those of {found[0][0][1]}")
        xs.append(x)
        ys.append(labels)
        is_test += [is_of_test] * len(x)
        notes += more
    whole = [text for part in ys for text in part] if target is Target.CLASS else np.concatenate(ys)
    return Arrays(np.concatenate(xs), whole, "y", np.asarray(is_test), tuple(dict.fromkeys(notes)))


def _pair(arrays: dict[str, Array], part: str) -> tuple[str, str] | None:
    """Names of features and labels of a part of the file, in any of the usual spellings."""
    known = {name.lower(): name for name in arrays}
    spellings = [f"{{}}_{part}", f"{part}_{{}}"] if part else ["{}"]
    for x in FEATURES:
        for y in LABELS:
            for spelling in spellings:
                if {spelling.format(x), spelling.format(y)} <= known.keys():
                    return known[spelling.format(x)], known[spelling.format(y)]
    return None


def feature_name(arrays: dict[str, Array]) -> str | None:
    """The array of features in a file without labels, if there is one of a usual name, or one array only."""
    known = {name.lower(): name for name in arrays}
    named = next((known[name] for name in FEATURES if name in known), None)
    return named or (next(iter(arrays)) if len(arrays) == 1 else None)


def features(x: Array, name: str, path: Path) -> Array:
    """Numbers of two to four axes; truth values become 0 and 1. Raises BadInput."""
    if x.dtype == np.bool_:
        x = x.astype(np.uint8)
    if not (np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating)):
        raise BadInput(f"{path}: {name} has dtype {x.dtype}; it needs whole or floating-point numbers")
    if x.ndim not in (2, 3, 4):
        raise BadInput(
            f"{path}: {name} has shape {x.shape}; it needs [rows, features], [rows, height, width] or "
            "[rows, channels, height, width]"
        )
    return x


def target_array(y: Array, name: str, rows: int, path: Path, target: Target) -> tuple[list[str] | Array, list[str]]:
    """Labels of so many rows, and notes: text of classes, anything else as it is. Raises BadInput."""
    if target is Target.CLASS:
        return label_array(y, name, rows, path)
    if not y.ndim or len(y) != rows:
        raise BadInput(f"{path}: {name} has shape {y.shape}; it needs one row for each of the {rows} rows of x")
    return y, []


def label_array(y: Array, name: str, rows: int, path: Path) -> tuple[list[str], list[str]]:
    """Text of every label, and notes; labels in a column or one-hot are understood. Raises BadInput."""
    notes = []
    if y.ndim != 1 and y.ndim > 0 and y.size == len(y):
        notes.append(f"{name} of shape {y.shape} is read as one label for each row")
        y = y.reshape(-1)
    elif y.ndim == 2 and len(y) == rows:
        y = _one_hot(y, name, path)
        notes.append(f"{name} is one-hot: the place of its 1 is the class")
    if y.ndim != 1 or len(y) != rows:
        raise BadInput(f"{path}: {name} has shape {y.shape}; it needs one label for each of the {rows} rows of x")
    if np.issubdtype(y.dtype, np.floating) and not bool((y == np.floor(y.astype(np.float64))).all()):
        raise BadInput(
            f"{path}: {name} holds missing or fractional numbers, not classes; give whole numbers or names, or "
            "say --target quantity"
        )
    if y.dtype.kind not in "biufSU":
        raise BadInput(f"{path}: {name} has dtype {y.dtype}; give whole numbers or names")
    return [label_text(value) for value in y.tolist()], notes


def _one_hot(y: Array, name: str, path: Path) -> Array:
    is_one_hot = y.dtype.kind in "biuf" and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())
    if not is_one_hot:
        raise BadInput(
            f"{path}: {name} has shape {y.shape} and is not one-hot (one 1 in each row); give one label for each row"
        )
    return np.asarray(y.argmax(axis=1))


def is_flat_picture(x: Array) -> bool:
    """Many bytes in a row: pixels of one range. Other numbers of two axes are columns, each of its own range."""
    return x.ndim == 2 and x.dtype == np.uint8 and x.shape[1] >= PIXELS_FROM and int(x.max(initial=0)) > 1


def array_reading(x: Array) -> ArrayPreprocessing:
    """Which axis of an image holds the channels: the last if only it is short."""
    last = x.ndim == 4 and x.shape[3] <= MAX_CHANNELS and x.shape[1] > MAX_CHANNELS
    return ArrayPreprocessing(shape=list(x.shape[1:]), is_channels_last=last)


def arranged(x: Array, document: ArrayPreprocessing, where: str) -> Values:
    """[n, features] or [n, channels, height, width]. Raises BadInput for rows of another shape than the document's."""
    if list(x.shape[1:]) != document.shape:
        wanted = " x ".join(str(side) for side in document.shape)
        found = " x ".join(str(side) for side in x.shape[1:])
        raise BadInput(f"{where}: rows have the shape {found}, but the model takes {wanted}; bring them to that shape")
    numbers: Values = x  # type: ignore[assignment]  # features() checked
    if x.ndim == 3:
        return numbers[:, None]
    return numbers.transpose(0, 3, 1, 2) if document.is_channels_last else numbers


def arrangement_note(document: ArrayPreprocessing) -> str:
    if len(document.shape) == 1:
        return f"rows of {document.shape[0]} features"
    if len(document.shape) == 2:
        return f"images read as 1 x {document.shape[0]} x {document.shape[1]} (channels x height x width)"
    shape = [document.shape[2], *document.shape[:2]] if document.is_channels_last else document.shape
    axes = "the last axis holds the channels" if document.is_channels_last else "the first axis holds the channels"
    return f"images read as {' x '.join(map(str, shape))} (channels x height x width): {axes}"
