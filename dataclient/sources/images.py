"""Image folders: which files are read and which are skipped, at which size, and one array of them all."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dataclient.preprocessing.document import ImagePreprocessing
from dataclient.sources.pixels import Header, Pixels, read_header, read_pixels, to_bytes
from dataclient.sources.plain import PlainData, listed
from pole.errors import BadInput

MAX_SIDE = 1024
DEFAULT_BACKGROUND = 255
TRAINING_FOLDERS, TEST_FOLDERS = ("train", "training", "val", "valid", "validation"), ("test", "testing")


@dataclass(frozen=True)
class ImageOptions:
    image_size: tuple[int, int] | None = None
    background: int | None = None
    skip_broken: bool = False


@dataclass
class Listing:
    """Files that are images, with their headers, and those that are not."""

    files: list[tuple[Path, Header]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    is_test: list[bool] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    deeper: int = 0

    @property
    def headers(self) -> list[Header]:
        return [header for _, header in self.files]


def load_image_folder(root: Path, options: ImageOptions, document: ImagePreprocessing | None) -> PlainData:
    """One folder per class, or `train` and `test` with such folders in them. Raises BadInput."""
    listing, classes, is_split = _list_classes(root, options)
    if document is None:
        document = choose_reading(listing, options)
    x, notes = read_images([path for path, _ in listing.files], listing.headers, document)
    if document.channels == 3 and x.shape[1] == 1:
        document = document.model_copy(update={"channels": 1})
    shape = " x ".join(str(side) for side in x.shape[1:])
    told = [f"{len(x)} images of {shape}{skipped_note(listing)}", *notes, *_remarks(listing, document)]
    return PlainData(
        x,
        np.asarray(listing.labels, dtype=np.int64),
        classes,
        is_test=np.asarray(listing.is_test) if is_split else None,
        preprocessing=document,
        notes=tuple(told),
    )


def _list_classes(root: Path, options: ImageOptions) -> tuple[Listing, tuple[str, ...], bool]:
    listing = Listing()
    tops = _folders(root)
    is_split = _is_split(tops)
    groups = [(top, top.name.lower() in TEST_FOLDERS) for top in tops] if is_split else [(root, False)]
    classes = sorted({folder.name for group, _ in groups for folder in _folders(group)})
    if len(classes) < 2:
        raise BadInput(
            f"{root} has {len(classes)} class folder(s); put the images of each class in a folder of its own"
        )
    for group, is_test in groups:
        for folder in _folders(group):
            before = len(listing.files)
            add_images(listing, folder, options.skip_broken, root)
            found = len(listing.files) - before
            if not found:
                raise BadInput(f"class folder {folder} has no image that can be read; add some or remove it")
            listing.labels += [classes.index(folder.name)] * found
            listing.is_test += [is_test] * found
    loose = [path for group in {root, *(group for group, _ in groups)} for path in group.iterdir() if path.is_file()]
    listing.skipped += [f"{path.relative_to(root)} (in no class folder)" for path in sorted(loose)]
    return listing, tuple(classes), is_split


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX")))


def _is_split(tops: list[Path]) -> bool:
    names = {top.name.lower() for top in tops}
    known = set(TRAINING_FOLDERS) | set(TEST_FOLDERS)
    is_named = len(names) > 1 and names <= known and names & set(TEST_FOLDERS) and names & set(TRAINING_FOLDERS)
    return bool(is_named) and all(_folders(top) for top in tops)


def add_images(listing: Listing, folder: Path, skip_broken: bool, root: Path) -> None:
    """All images in a folder and below it, by path; what is none of them is skipped, and told."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(root))
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            listing.skipped.append(f"{name} (hidden)")
            continue
        try:
            header = read_header(path)
            if header is not None and skip_broken:
                read_pixels(path, 0)
        except BadInput:
            if not skip_broken:
                raise
            listing.skipped.append(f"{name} (broken)")
            continue
        if header is None:
            listing.skipped.append(f"{name} (not an image that can be read)")
            continue
        listing.files.append((path, header))
        listing.deeper += path.parent != folder


def skipped_note(listing: Listing) -> str:
    return f", {len(listing.skipped)} skipped: {listed(listing.skipped)}" if listing.skipped else ""


def choose_reading(listing: Listing, options: ImageOptions) -> ImagePreprocessing:
    """Size, channels and depth for these images. Raises BadInput."""
    sizes = Counter((header.height, header.width) for header in listing.headers)
    height, width = options.image_size or min(sizes, key=lambda size: (-sizes[size], size))
    if max(height, width) > MAX_SIDE:
        raise BadInput(
            f"{listing.files[0][0]} is {height}x{width}, with sides over {MAX_SIDE}; scale the images with "
            "--image-size HEIGHT WIDTH"
        )
    is_native = all(header.is_deep for header in listing.headers)
    return ImagePreprocessing(
        channels=1 if is_native else 3,
        height=height,
        width=width,
        is_resized=options.image_size is not None or len(sizes) > 1,
        background=DEFAULT_BACKGROUND if options.background is None else options.background,
        depth="native" if is_native else "byte",
    )


def read_images(paths: list[Path], headers: list[Header], document: ImagePreprocessing) -> tuple[Pixels, list[str]]:
    """[n, channels, height, width]; one channel if all are grey. Raises BadInput naming an image that does not fit."""
    for path, header in zip(paths, headers, strict=True):
        if not document.is_resized and (header.height, header.width) != (document.height, document.width):
            raise BadInput(
                f"{path} is {header.height}x{header.width}, but the model takes images of "
                f"{document.height}x{document.width} (height x width); bring it to that size"
            )
    size = (document.height, document.width)
    pictures = [_fitted(read_pixels(path, document.background, size), path, document) for path in paths]
    is_colour = any(len(picture) == 3 for picture in pictures)
    notes = []
    if document.channels == 1 and is_colour:
        count = sum(len(picture) == 3 for picture in pictures)
        notes = [f"{count} image(s) in colour are turned grey: the model takes grey ones"]
        pictures = [_grey(picture) for picture in pictures]
    elif is_colour:
        pictures = [np.repeat(picture, 3, axis=0) if len(picture) == 1 else picture for picture in pictures]
    return np.stack(pictures), notes


def _fitted(pixels: Pixels, path: Path, document: ImagePreprocessing) -> Pixels:
    if document.depth == "byte":
        return to_bytes(pixels, path)
    if pixels.dtype == np.uint8:
        raise BadInput(f"{path} has 8 bits a channel, but the model takes images of more: there is no common scale")
    return pixels


def _grey(pixels: Pixels) -> Pixels:
    """ITU-R 601 luma, as Pillow computes it."""
    if len(pixels) == 1:
        return pixels
    weighted = np.tensordot(np.array([0.299, 0.587, 0.114]), pixels.astype(np.float64), axes=1)
    return np.rint(weighted).astype(np.uint8)[None]


def _remarks(listing: Listing, document: ImagePreprocessing) -> list[str]:
    headers = listing.headers
    sizes = Counter(f"{header.height}x{header.width}" for header in headers)
    counts = {
        "upright by their EXIF orientation": sum(header.is_rotated for header in headers),
        f"transparent and laid on a background of {document.background} (--background)": sum(
            header.is_transparent for header in headers
        ),
        "of several frames, of which the first is read": sum(header.frames > 1 for header in headers),
        "in folders below their class's": listing.deeper,
    }
    if document.depth == "byte":
        counts["of 16 bits, scaled to 8"] = sum(header.is_deep for header in headers)
    notes = [f"images {what}: {count}" for what, count in counts.items() if count]
    if document.is_resized and len(sizes) > 1:
        notes.append(
            f"images of {len(sizes)} sizes are scaled to {document.height}x{document.width}: {listed(sorted(sizes))}"
        )
    return notes
