"""Images: a folder of class folders, MNIST's idx files and CIFAR-10's binary batches. Nothing is unpickled."""

import gzip
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dataclient.sources.plain import PlainData, listed
from pole.errors import BadInput

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}
MAX_SIDE = 1024
CIFAR_RECORD_BYTES = 1 + 3 * 32 * 32
IDX_UINT8 = 0x08

Pixels = npt.NDArray[np.uint8]


def load_image_folder(root: Path, image_size: tuple[int, int] | None) -> PlainData:
    """One folder per class. All images must be of one size, or `image_size` (height, width) scales them."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise BadInput(
            f"{root} has {len(folders)} class folder(s); put the images of each class in a folder of its own"
        )
    files = [(label, path) for label, folder in enumerate(folders) for path in _image_files(folder)]
    is_grey = all(_mode(path) in ("1", "L", "I;16", "LA") for _, path in files)
    images = [_read_image(path, is_grey, image_size) for _, path in files]
    for (_, path), image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise BadInput(
                f"{path} is {_size(image)}, but {files[0][1]} is {_size(images[0])}; "
                "scale them to one size with --image-size HEIGHT WIDTH"
            )
    labels = np.asarray([label for label, _ in files], dtype=np.int64)
    return PlainData(np.stack(images), labels, tuple(folder.name for folder in folders))


def _image_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise BadInput(f"class folder {folder} has no image ({listed(sorted(SUFFIXES))}); add some or remove it")
    return files


def _size(image: Pixels) -> str:
    return f"{image.shape[1]}x{image.shape[2]}"


def _mode(path: Path) -> str:
    try:
        with Image.open(path) as image:
            return str(image.mode)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as exc:
        raise BadInput(f"cannot read image {path}: {exc}") from exc


def _read_image(path: Path, is_grey: bool, image_size: tuple[int, int] | None) -> Pixels:
    """uint8 [channels, height, width]."""
    try:
        with Image.open(path) as opened:
            if image_size is None and max(opened.size) > MAX_SIDE:
                raise BadInput(f"{path} is {opened.height}x{opened.width}; scale it with --image-size HEIGHT WIDTH")
            image = opened.convert("L" if is_grey else "RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as exc:
        raise BadInput(f"cannot read image {path}: {exc}") from exc
    if image_size is not None:
        image = image.resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if is_grey else pixels.transpose(2, 0, 1)


def load_mnist(directory: Path) -> PlainData:
    """MNIST or a set of the same files (Fashion-MNIST), in `directory`, `raw/` or `MNIST/raw/` below it."""
    train_x, train_y = _mnist_part(directory, "train")
    test_x, test_y = _mnist_part(directory, "t10k")
    if train_x.shape[1:] != test_x.shape[1:]:
        raise BadInput(f"{directory}: training images are {train_x.shape[1:]}, test images {test_x.shape[1:]}")
    labels = np.concatenate([train_y, test_y]).astype(np.int64)
    is_test = np.arange(len(labels)) >= len(train_y)
    names = tuple(str(i) for i in range(int(labels.max(initial=0)) + 1))
    return PlainData(np.concatenate([train_x, test_x])[:, None], labels, names, is_test=is_test)


def _mnist_part(directory: Path, part: str) -> tuple[Pixels, Pixels]:
    images = read_idx(_found(directory, f"{part}-images-idx3-ubyte"), dimensions=3)
    labels = read_idx(_found(directory, f"{part}-labels-idx1-ubyte"), dimensions=1)
    if len(images) != len(labels):
        raise BadInput(f"{directory}: {len(images)} {part} images, but {len(labels)} labels; fetch the files again")
    return images, labels


def _found(directory: Path, name: str) -> Path:
    for below in ("", "raw", "MNIST/raw", "FashionMNIST/raw"):
        for path in (directory / below / name, directory / below / f"{name}.gz"):
            if path.is_file():
                return path
    raise BadInput(f"no {name} in {directory} (nor in raw/ or MNIST/raw/ below it); give its folder with --data-dir")


def read_idx(path: Path, dimensions: int) -> Pixels:
    """Reads an idx file of unsigned bytes: two zero bytes, type, dimension count, sizes (big endian), values."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as exc:
        raise BadInput(f"cannot read {path}: {exc}") from exc
    header = 4 + 4 * dimensions
    if len(content) < header or content[:4] != bytes([0, 0, IDX_UINT8, dimensions]):
        raise BadInput(f"{path} does not begin like an idx file of {dimensions} dimension(s); fetch it again")
    sizes = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions)]
    if len(content) - header != math.prod(sizes):
        raise BadInput(f"{path} announces {sizes} values but holds {len(content) - header} bytes; fetch it again")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(sizes)


def load_cifar10(directory: Path) -> PlainData:
    """CIFAR-10, binary version: records of one label byte and 3x32x32 pixels, planes R, G, B."""
    root = directory if (directory / "test_batch.bin").is_file() else directory / "cifar-10-batches-bin"
    if not root.is_dir():
        raise BadInput(
            f"no cifar-10-batches-bin in {directory}; give its folder with --data-dir. "
            "The Python version (cifar-10-batches-py) holds pickles, which are never opened: use the binary version"
        )
    batches = [_cifar_batch(root / f"data_batch_{i}.bin") for i in range(1, 6)]
    test = _cifar_batch(root / "test_batch.bin")
    records = np.concatenate([*batches, test])
    labels = records[:, 0].astype(np.int64)
    names = _cifar_names(root / "batches.meta.txt")
    if labels.max(initial=0) >= len(names):
        raise BadInput(f"{root} has label {labels.max()}, but only {len(names)} class names; fetch it again")
    is_test = np.arange(len(records)) >= len(records) - len(test)
    return PlainData(records[:, 1:].reshape(-1, 3, 32, 32), labels, names, is_test=is_test)


def _cifar_batch(path: Path) -> Pixels:
    if not path.is_file():
        raise BadInput(f"{path} is missing; unpack all six batches of the binary version")
    size = path.stat().st_size
    if size == 0 or size % CIFAR_RECORD_BYTES:
        raise BadInput(f"{path} has {size} bytes, no multiple of {CIFAR_RECORD_BYTES}; fetch it again")
    return np.fromfile(path, dtype=np.uint8).reshape(-1, CIFAR_RECORD_BYTES)


def _cifar_names(path: Path) -> tuple[str, ...]:
    if path.is_file():
        return tuple(path.read_text().split())
    return tuple(str(i) for i in range(10))
