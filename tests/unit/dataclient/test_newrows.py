"""New images and arrays for a bought model: their shape must be that of the training rows, and is never reshaped."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dataclient.bundle import Bundle
from dataclient.newrows.read import new_rows
from dataclient.newrows.rows import NewRows, Wanted
from dataclient.preprocessing.document import AnyPreprocessing, ArrayPreprocessing, ImagePreprocessing
from pole.errors import BadInput
from pole.task.manifest import DataSet, Discretisation, Manifest
from tests.unit.dataclient.test_predict import bundle as small_bundle

HEIGHT, WIDTH = 2, 3


def bundle(document: AnyPreprocessing | None, shape: list[int]) -> Bundle:
    """Only read by: a model for rows of this shape, which is never computed."""
    bought = small_bundle(feature_names=None, preprocessing=document)
    manifest = bought.description.manifest
    data = DataSet.model_validate(
        {
            **manifest.data.model_dump(),
            "shape": shape,
            "discretisation": Discretisation(bits=4, minimum=[0], maximum=[255]),
        }
    )
    described = Manifest.model_validate({**manifest.model_dump(), "data": data.model_dump()})
    return Bundle(bought.description.model_copy(update={"manifest": described}), bought.weights)


def images(channels: int = 1, **changes: Any) -> Bundle:
    fields = {"channels": channels, "height": HEIGHT, "width": WIDTH, **changes}
    return bundle(ImagePreprocessing.model_validate(fields), [channels, HEIGHT, WIDTH])


def read(path: Path, bought: Bundle, **wanted: Any) -> list[NewRows]:
    return list(new_rows(path, bought, Wanted(**wanted)))


def picture(seed: int, *shape: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 2), r"rows have the shape 3 x 2, but the model takes 2 x 3"),
        ((6,), r"rows have the shape 6, but the model takes 2 x 3"),
        ((1, 2, 3), r"rows have the shape 1 x 2 x 3, but the model takes 2 x 3"),
    ],
)
def test_new_rows__array_of_another_shape__is_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    np.savez(tmp_path / "new.npz", x=picture(0, 5, *shape))
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "new.npz", bundle(ArrayPreprocessing(shape=[HEIGHT, WIDTH]), [1, HEIGHT, WIDTH]))


def test_new_rows__model_of_an_older_version__keeps_shapes_apart_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=picture(0, 5, WIDTH, HEIGHT))
    with pytest.raises(BadInput, match="rows have the shape 3 x 2, but the model takes 2 x 3"):
        read(tmp_path / "new.npz", bundle(None, [1, HEIGHT, WIDTH]))


def test_new_rows__channels_last__are_turned_as_in_training(tmp_path: Path) -> None:
    x = picture(0, 5, 8, 9, 4)
    np.savez(tmp_path / "new.npz", x=x)
    document = ArrayPreprocessing(shape=[8, 9, 4], is_channels_last=True)
    [piece] = read(tmp_path / "new.npz", bundle(document, [4, 8, 9]))
    assert np.array_equal(piece.x, x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("size", "message"), [((3, 2), r"is 3x2, but the model takes images of 2x3"), ((2, 4), r"is 2x4, but the model")]
)
def test_new_rows__image_of_another_size__is_refused(tmp_path: Path, size: tuple[int, int], message: str) -> None:
    Image.fromarray(picture(0, *size)).save(tmp_path / "new.png")
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "new.png", images())


def test_new_rows__image_of_another_size_where_training_scaled__is_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6), 7, dtype=np.uint8)).save(tmp_path / "new.png")
    [piece] = read(tmp_path / "new.png", images(is_resized=True))
    assert piece.x.tolist() == np.full((1, 1, HEIGHT, WIDTH), 7).tolist()


def test_new_rows__folder__is_read_in_order_with_names_and_told_what_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataclient.newrows.images.IMAGES_AT_ONCE", 2)
    for i in range(5):
        Image.fromarray(picture(i, HEIGHT, WIDTH)).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("hello")
    pieces = read(tmp_path, images())
    assert [len(piece.x) for piece in pieces] == [2, 2, 1]
    assert [name for piece in pieces for name in piece.ids or []] == [f"{i}.png" for i in range(5)]
    assert pieces[0].notes == ("5 images, 1 skipped: notes.txt (not an image that can be read)",)
    assert np.array_equal(np.concatenate([piece.x for piece in pieces])[3, 0], picture(3, HEIGHT, WIDTH))


def test_new_rows__folders_named_as_the_classes__are_labels(tmp_path: Path) -> None:
    for name in ("low", "high"):
        (tmp_path / name).mkdir()
        Image.fromarray(picture(0, HEIGHT, WIDTH)).save(tmp_path / name / "0.png")
    [piece] = read(tmp_path, images())
    assert piece.labels is not None
    assert piece.labels.tolist() == [1, 0]


def test_new_rows__colour_for_a_model_of_grey_images__is_turned_grey_and_told(tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 0)).save(tmp_path / "new.png")
    [piece] = read(tmp_path / "new.png", images())
    assert piece.x[0, 0, 0, 0] == 76
    assert "1 image(s) in colour are turned grey: the model takes grey ones" in piece.notes
    Image.new("L", (WIDTH, HEIGHT), 9).save(tmp_path / "new.png")
    [piece] = read(tmp_path / "new.png", images(channels=3))
    assert piece.x.shape == (1, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("name", "wanted", "message"),
    [
        ("table.csv", {}, "is a table, but the model takes images of 1 x 2 x 3|is no image that can be read"),
        ("new.npz", {"identity": "a"}, "--id does not apply to .npz files"),
        ("new.png", {"label": "a"}, "--label does not apply to images"),
        ("empty", {}, "has no image to predict"),
        ("none.png", {}, "no file .*none.png; give a table, an .npz file, an image or a folder of images"),
    ],
)
def test_new_rows__what_does_not_fit__is_refused(
    tmp_path: Path, name: str, wanted: dict[str, str], message: str
) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "new.npz", x=picture(0, 5, HEIGHT, WIDTH))
    Image.fromarray(picture(0, HEIGHT, WIDTH)).save(tmp_path / "new.png")
    with pytest.raises(BadInput, match=message):
        read(tmp_path / name, images(), **wanted)


def test_new_rows__images_for_a_model_of_columns__are_refused(tmp_path: Path) -> None:
    Image.fromarray(picture(0, HEIGHT, WIDTH)).save(tmp_path / "new.png")
    with pytest.raises(BadInput, match="holds images, but the model takes rows of 2 columns"):
        read(tmp_path, small_bundle())
    np.savez(tmp_path / "new.npz", x=picture(0, 5, HEIGHT, WIDTH))
    with pytest.raises(BadInput, match=r"rows of .* are images of shape \(2, 3\), the model needs 2"):
        read(tmp_path / "new.npz", small_bundle())
