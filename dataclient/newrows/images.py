"""New images: one, or a folder of them."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataclient.bundle import Bundle
from dataclient.newrows.rows import NewRows, shape_of
from dataclient.preprocessing.document import (
    AnyPreprocessing,
    ImagePreprocessing,
    TablePreprocessing,
)
from pole.errors import BadInput

IMAGES_AT_ONCE = 256


def is_image(path: Path, document: AnyPreprocessing) -> bool:
    if isinstance(document, TablePreprocessing) or not path.is_file() or len(document.shape) == 1:
        return False
    from dataclient.sources.tables import kind_of

    return kind_of(path) == "text"


def from_images(path: Path, bundle: Bundle, document: AnyPreprocessing) -> Iterator[NewRows]:
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
        raise BadInput(f"{path} holds images, but the model takes {shape_of(document)}")
    return ImagePreprocessing.model_validate({"channels": shape[0], "height": shape[1], "width": shape[2]})


def _folder_labels(files: list[Path], root: Path, bundle: Bundle) -> npt.NDArray[np.int64] | None:
    """Images in folders named as the classes are scored by them."""
    names = bundle.description.manifest.data.class_names
    folders = [file.relative_to(root).parts[0] for file in files]
    if not set(folders) <= set(names):
        return None
    return np.asarray([names.index(folder) for folder in folders], dtype=np.int64)
