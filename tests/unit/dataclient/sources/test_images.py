"""Loading images: folders, idx files and CIFAR batches; what is broken is named, and nothing is unpickled."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataclient.sources.load import SourceOptions, load_source, training_and_test
from pole.errors import BadInput
from tests.unit.imagefiles import write_idx


def image_folder(root: Path, sizes: list[tuple[int, int]]) -> Path:
    for label, name in enumerate(["cat", "dog"]):
        (root / name).mkdir(parents=True)
        for i, (height, width) in enumerate(sizes):
            Image.fromarray(np.full((height, width), 100 * label + i, dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


def test_load_source__images_of_several_sizes__are_scaled_to_the_most_frequent_and_told(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "pets", [(4, 6), (5, 6), (5, 6)])
    data = load_source(SourceOptions(source=str(root)))
    assert data.shape == (1, 5, 6)
    assert "images of 2 sizes are scaled to 5x6: 4x6, 5x6" in data.notes


def test_load_source__broken_image__is_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "pets", [(4, 6), (4, 6)])
    (root / "dog" / "0.png").write_bytes(b"not an image")
    with pytest.raises(BadInput, match=r"cannot read image .*0.png"):
        load_source(SourceOptions(source=str(root)))


def test_load_source__one_class_folder__is_refused(tmp_path: Path) -> None:
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"1 class folder\(s\)"):
        load_source(SourceOptions(source=str(tmp_path / "pets")))


def test_load_source__empty_class_folder__is_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "pets", [(4, 6)])
    (root / "emu").mkdir()
    with pytest.raises(BadInput, match=r"class folder .*emu has no image"):
        load_source(SourceOptions(source=str(root)))


def test_load_source__grey_images__yield_their_pixels(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "pets", [(4, 6), (4, 6)])
    data = load_source(SourceOptions(source=str(root)))
    assert data.x.shape == (4, 1, 4, 6)
    assert data.x[:, 0, 0, 0].tolist() == [0, 1, 100, 101]
    assert data.class_names == ("cat", "dog")


def test_load_source__image_size__scales_colour_images(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "pets", [(4, 6), (5, 6)])
    Image.new("RGB", (9, 9), (10, 20, 30)).save(root / "cat" / "2.png")
    data = load_source(SourceOptions(source=str(root), image_size=[2, 3]))
    assert data.x.shape == (5, 3, 2, 3)
    assert data.x[2, :, 0, 0].tolist() == [10, 20, 30]


def mnist_folder(root: Path) -> Path:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, rows in (("train", 6), ("t10k", 4)):
        write_idx(raw / f"{part}-images-idx3-ubyte", np.arange(rows * 6).reshape(rows, 2, 3))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(rows) % 2)
    return root


def test_load_source__truncated_idx__is_refused(tmp_path: Path) -> None:
    path = mnist_folder(tmp_path) / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"announces \[6, 2, 3\] values but holds 35 bytes"):
        load_source(SourceOptions(source="torchvision:mnist", data_dir=str(tmp_path)))


def test_load_source__idx_of_another_kind__is_refused(tmp_path: Path) -> None:
    path = mnist_folder(tmp_path) / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(b"PK" + path.read_bytes()[2:])
    with pytest.raises(BadInput, match="does not begin like an idx file"):
        load_source(SourceOptions(source="torchvision:mnist", data_dir=str(tmp_path)))


def test_load_source__mnist__keeps_the_published_split(tmp_path: Path) -> None:
    options = SourceOptions(source="torchvision:mnist", data_dir=str(mnist_folder(tmp_path)))
    training, test = training_and_test(load_source(options), options)
    assert (training.rows, test.rows, training.shape) == (6, 4, (1, 2, 3))
    assert training.x[1, 0].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert training.labels.tolist() == [0, 1, 0, 1, 0, 1]


def cifar_folder(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, name in enumerate(names):
        records = np.zeros((2, 3073), dtype=np.uint8)
        records[:, 0] = [0, 1]
        records[:, 1:] = i
        records[1, 1 + 1024] = 200
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("plane\ncar\n\n")
    return folder


def test_load_source__python_cifar__says_that_pickles_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(BadInput, match="holds pickles, which are never opened"):
        load_source(SourceOptions(source="torchvision:cifar10", data_dir=str(tmp_path)))


def test_load_source__odd_cifar_batch__is_refused(tmp_path: Path) -> None:
    (cifar_folder(tmp_path) / "data_batch_3.bin").write_bytes(b"12345")
    with pytest.raises(BadInput, match="has 5 bytes, no multiple of 3073"):
        load_source(SourceOptions(source="torchvision:cifar10", data_dir=str(tmp_path)))


def test_load_source__cifar__orders_channels_first(tmp_path: Path) -> None:
    cifar_folder(tmp_path)
    data = load_source(SourceOptions(source="torchvision:cifar10", data_dir=str(tmp_path)))
    assert data.x.shape == (12, 3, 32, 32)
    assert data.x[1, :, 0, 0].tolist() == [0, 200, 0]
    assert data.class_names == ("plane", "car")
    assert data.is_test is not None
    assert data.is_test.tolist() == [False] * 10 + [True] * 2
