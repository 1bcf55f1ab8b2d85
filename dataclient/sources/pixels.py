"""One image file as an array of pixels: upright, laid on a background where transparent, none of its range lost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from dataclient.sources.boundary import reading
from pole.errors import BadInput

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "jpg", "jpeg", "jpe", "jfif", "bmp", "gif", "pgm", "ppm", "pbm", "pnm", "tif", "tiff"),
        *("webp", "avif", "jp2"),
    )
)
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000")
"""What is opened; of the others that Pillow knows, some run programs."""
MAX_PIXELS = 1 << 26
ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
DEEP = ("I", "F")
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
REMEDY = "mend or remove it, or say --skip-broken"

Pixels = npt.NDArray[np.number[Any]]


@dataclass(frozen=True)
class Header:
    """What an image says of itself before it is decoded; `height`, `width`: upright."""

    height: int
    width: int
    mode: str
    is_transparent: bool
    is_rotated: bool
    frames: int

    @property
    def is_deep(self) -> bool:
        """More than 8 bits a channel: whole numbers of 16 or 32 bits, or floating-point numbers."""
        return self.mode.startswith(DEEP)


def read_header(path: Path) -> Header | None:
    """None for a file that is no image at all. Raises BadInput for a broken one."""
    with reading(path, "an image", REMEDY):
        try:
            with Image.open(path, formats=_formats()) as image:
                turned = int(image.getexif().get(ORIENTATION, 1))
                width, height = image.size
                if turned in SIDEWAYS:
                    width, height = height, width
                transparent = image.mode in ALPHA or "transparency" in image.info
                frames = int(getattr(image, "n_frames", 1))
                return Header(height, width, image.mode, transparent, turned in range(2, 9), frames)
        except UnidentifiedImageError:
            if path.suffix.lower() in SUFFIXES:
                raise BadInput(f"cannot read image {path}: its content is none; {REMEDY}") from None
            return None


def _formats() -> list[str]:
    """Not every build of Pillow has all of them."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def read_pixels(path: Path, background: int, size: tuple[int, int] | None = None) -> Pixels:
    """[1 or 3, height, width]: uint8, or for deep images uint16, int32 or float32. Raises BadInput."""
    with reading(path, "an image", REMEDY):
        with Image.open(path, formats=_formats()) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise BadInput(f"{path} has {opened.width * opened.height} pixels, at most {MAX_PIXELS} are read")
            opened.load()
            image = ImageOps.exif_transpose(opened)
            pixels = _deep(image) if image.mode.startswith(DEEP) else _bytes(image, background)
        if size is not None and pixels.shape[1:] != size:
            pixels = _resized(pixels, size)
    if not np.isfinite(pixels.astype(np.float64)).all():
        raise BadInput(f"{path} has pixels that are no finite number; {REMEDY}")
    return pixels


def _deep(image: Image.Image) -> Pixels:
    values: npt.NDArray[Any] = np.asarray(image)
    if image.mode.startswith("I") and values.min(initial=0) >= 0 and values.max(initial=0) < 1 << 16:
        return values.astype(np.uint16)[None]
    return values.astype(np.float32 if image.mode == "F" else np.int32)[None]


def _bytes(image: Image.Image, background: int) -> Pixels:
    if image.mode in ALPHA or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (background, background, background, 255))
        image = Image.alpha_composite(ground, layer).convert("RGB")
    elif image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), dtype=np.uint8)[None]
    else:
        image = image.convert("RGB")
    pixels = np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)
    is_grey = bool((pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all())
    return pixels[:1] if is_grey else pixels


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Bilinear, each channel on its own; deep images become floating-point numbers."""
    wide = (size[1], size[0])
    if pixels.dtype == np.uint8:
        planes = [
            Image.fromarray(np.ascontiguousarray(plane)).resize(wide, Image.Resampling.BILINEAR) for plane in pixels
        ]
        return np.stack([np.asarray(plane, dtype=np.uint8) for plane in planes])
    planes = [Image.fromarray(plane.astype(np.float32)).resize(wide, Image.Resampling.BILINEAR) for plane in pixels]
    return np.stack([np.asarray(plane, dtype=np.float32) for plane in planes])


def to_bytes(pixels: Pixels, path: Path) -> npt.NDArray[np.uint8]:
    """16-bit pixels on the scale of bytes, where they stand among images of 8 bits."""
    if pixels.dtype == np.uint8:
        return pixels  # type: ignore[return-value]  # checked
    values = pixels.astype(np.float64)
    if pixels.dtype == np.int32 or values.min() < 0 or values.max() > 65_535 or not _is_whole(values):
        raise BadInput(
            f"{path} holds 32-bit or floating-point values, but other images are of 8 bits: there is no common scale; "
            "convert it, or keep the two apart"
        )
    scaled: npt.NDArray[np.uint8] = np.rint(values / 257).astype(np.uint8)
    return scaled


def _is_whole(values: npt.NDArray[np.float64]) -> bool:
    return bool((values == np.floor(values)).all())
