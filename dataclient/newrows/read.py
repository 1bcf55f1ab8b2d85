"""New rows for a bought model, in pieces of bounded size and in their order."""

from collections.abc import Iterator
from pathlib import Path

from dataclient.bundle import Bundle
from dataclient.newrows.rows import NewRows, Wanted, document_of, refuse
from dataclient.sources.boundary import one_line
from pole.errors import BadInput


def new_rows(path: Path, bundle: Bundle, wanted: Wanted) -> Iterator[NewRows]:
    """All rows of a file or folder. Raises BadInput for rows that the model cannot take."""
    with one_line():
        yield from _new_rows(path, bundle, wanted)


def _new_rows(path: Path, bundle: Bundle, wanted: Wanted) -> Iterator[NewRows]:
    from dataclient.newrows.images import from_images, is_image

    document = document_of(bundle)
    if path.is_dir() or is_image(path, document):
        refuse(wanted, ("identity", "encoding", "delimiter", "label"), "images")
        pieces = from_images(path, bundle, document)
    elif not path.is_file():
        raise BadInput(f"no file {path}; give a table, an .npz file, an image or a folder of images to predict")
    else:
        from dataclient.newrows.arrays import from_npz
        from dataclient.newrows.tables import from_table
        from dataclient.sources.tables import kind_of

        if kind_of(path) == "npz":
            refuse(wanted, ("identity", "encoding", "delimiter"), ".npz files")
            pieces = from_npz(path, bundle, document, wanted)
        else:
            pieces = from_table(path, bundle, document, wanted)
    count = 0
    for piece in pieces:
        count += len(piece.x)
        yield piece
    if not count:
        raise BadInput(f"{path} has no rows; give at least one row to predict")
