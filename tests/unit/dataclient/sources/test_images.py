"""Loading images: folders, idx files and CIFAR batches; what is broken is named, and nothing is unpickled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dataclient.sources.load import SourceOptions, load_source, training_and_test
from dataclient.sources.plain import PlainData
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


# --- what images hold ---


def folder_of(root: Path, images: list[Image.Image], suffix: str = "png", **options: object) -> Path:
    """The images in turn into two classes."""
    for i, image in enumerate(images):
        folder = root / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{i}.{suffix}", **options)  # type: ignore[arg-type]
    return root


def loaded(root: Path, **options: object) -> PlainData:
    return load_source(SourceOptions.model_validate({"source": str(root), **options}))


def noise(seed: int, shape: tuple[int, ...], top: int = 256, dtype: type = np.uint8) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_load_source__exif_orientation__is_upright(tmp_path: Path, orientation: int) -> None:
    """Each of the eight ways that a camera may be held, undone."""
    upright = [noise(i, (4, 6)) for i in range(4)]
    ways: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.transpose(a), 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = ways[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    images = [Image.fromarray(np.ascontiguousarray(stored(picture))) for picture in upright]
    data = loaded(folder_of(tmp_path, images, exif=exif))
    assert data.shape == (1, 4, 6)
    assert data.x[:, 0].tolist() == [upright[i].tolist() for i in (0, 2, 1, 3)]


def test_load_source__sixteen_bits__keep_their_numbers(tmp_path: Path) -> None:
    pictures = [noise(i, (3, 4), 65_536, np.uint16) for i in range(4)]
    data = loaded(folder_of(tmp_path, [Image.fromarray(picture) for picture in pictures]))
    assert data.x.dtype == np.uint16
    assert data.x[:, 0].tolist() == [pictures[i].tolist() for i in (0, 2, 1, 3)]


def test_load_source__sixteen_bits_among_eight__are_scaled_and_told(tmp_path: Path) -> None:
    deep = Image.fromarray(np.array([[0, 257, 25_700, 65_535]], dtype=np.uint16))
    data = loaded(folder_of(tmp_path, [deep, *(Image.fromarray(noise(i, (1, 4))) for i in range(3))]))
    assert data.x[0, 0, 0].tolist() == [0, 1, 100, 255]
    assert "images of 16 bits, scaled to 8: 1" in data.notes


def test_load_source__floating_point_tiff__keeps_its_numbers(tmp_path: Path) -> None:
    pictures = [noise(i, (3, 4)).astype(np.float32) / 1000 for i in range(4)]
    data = loaded(folder_of(tmp_path, [Image.fromarray(picture) for picture in pictures], "tiff"))
    assert data.x[0, 0].tolist() == pictures[0].tolist()
    with pytest.raises(BadInput, match=r"4\.png holds .* 8 bits|0\.tiff holds 32-bit or floating-point values"):
        loaded(
            folder_of(tmp_path, [*(Image.fromarray(p) for p in pictures), Image.fromarray(noise(9, (3, 4)))], "tiff")
        )


def test_load_source__transparency__is_laid_on_the_background(tmp_path: Path) -> None:
    images = []
    for alpha in (0, 255, 51, 102):
        image = Image.new("RGBA", (3, 3), (0, 0, 0, 255))
        image.putalpha(alpha)
        images.append(image)
    data = loaded(folder_of(tmp_path, images))
    assert data.x[:, 0, 0, 0].tolist() == [255, 204, 0, 153]
    assert "images transparent and laid on a background of 255 (--background): 4" in data.notes
    with pytest.raises(BadInput, match=r"all 4 rows are identical; .* another --background"):
        loaded(tmp_path, background=0)


@pytest.mark.parametrize(
    ("mode", "suffix", "channels"), [("P", "png", 3), ("CMYK", "tiff", 3), ("LA", "png", 1), ("1", "png", 1)]
)
def test_load_source__other_modes__are_read_as_what_is_seen(
    tmp_path: Path, mode: str, suffix: str, channels: int
) -> None:
    images = [Image.fromarray(noise(i, (4, 5, 3))).quantize(8).convert("RGB") for i in range(4)]
    stored = [image.quantize(8) if mode == "P" else image.convert(mode) for image in images]
    data = loaded(folder_of(tmp_path, stored, suffix))
    assert data.shape == (channels, 4, 5)
    seen = np.asarray(stored[0].convert("RGB" if channels == 3 else "L"))
    assert data.x[0].tolist() == (seen.transpose(2, 0, 1) if channels == 3 else seen[None]).tolist()


def test_load_source__grey_palette__is_one_channel(tmp_path: Path) -> None:
    images = [Image.fromarray(noise(i, (4, 5), 8) * 30).convert("P") for i in range(4)]
    data = loaded(folder_of(tmp_path, images))
    assert data.shape == (1, 4, 5)
    assert data.x[0, 0].tolist() == np.asarray(images[0].convert("L")).tolist()


def test_load_source__folder_with_everything_in_it__says_what_was_read_and_skipped(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "pets", [Image.fromarray(noise(i, (4, 5, 3))) for i in range(6)])
    (root / "cat" / "more").mkdir()
    (root / "cat" / "0.png").rename(root / "cat" / "more" / "0.png")
    (root / "cat" / "2.png").rename(root / "cat" / "no_suffix")
    (root / "dog" / "1.png").rename(root / "dog" / "1.HEIC")
    (root / "dog" / "._3.png").write_bytes(b"resource fork")
    (root / "dog" / "notes.txt").write_text("hello")
    (root / "labels.csv").write_text("a")
    data = loaded(root)
    assert data.rows == 6
    assert data.notes[0] == (
        "6 images of 3 x 4 x 5, 3 skipped: dog/._3.png (hidden), dog/notes.txt (not an image that can be read), "
        "labels.csv (in no class folder)"
    )
    assert "images in folders below their class's: 1" in data.notes


def test_load_source__broken_image__is_skipped_only_if_told(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "pets", [Image.fromarray(noise(i, (4, 5, 3))) for i in range(6)])
    content = (root / "dog" / "1.png").read_bytes()
    (root / "dog" / "1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(
        BadInput, match=r"cannot read .*1\.png as an image: .*; mend or remove it, or say --skip-broken"
    ):
        loaded(root)
    data = loaded(root, skip_broken=True)
    assert data.rows == 5
    assert "1 skipped: dog/1.png (broken)" in data.notes[0]


def test_load_source__folders_named_train_and_test__are_the_split(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("test", 4)):
        folder_of(tmp_path / part, [Image.fromarray(noise(i, (4, 5))) for i in range(count)])
    data = loaded(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert data.is_test is not None
    assert data.is_test.sum() == 4
