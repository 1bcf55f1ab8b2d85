"""Images packed into files: MNIST's idx files and CIFAR-10's binary batches. Nothing is unpickled."""

import gzip
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataclient.sources.boundary import reading
from dataclient.sources.plain import PlainData
from pole.errors import BadInput

CIFAR_RECORD_BYTES = 1 + 3 * 32 * 32
IDX_UINT8 = 0x08

Pixels = npt.NDArray[np.uint8]


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
    with reading(path, "an idx file", "fetch it again"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
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
        with reading(path, "class names", "fetch it again"):
            return tuple(path.read_text().split())
    return tuple(str(i) for i in range(10))
