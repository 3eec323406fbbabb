"""From an image file to the bytes of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fastvae.train.errors import UserError

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP")
_SIXTEEN_BITS: Final = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_GREY: Final = ("1", "L", "LA", "La", *_SIXTEEN_BITS)
_EXIF_ORIENTATION: Final = 0x0112
# Those of its values that turn an image by 90 degrees.
_TURNED: Final = (5, 6, 7, 8)
_WHITE: Final = (255, 255, 255, 255)


class Header(NamedTuple):
    """Of an image as it is shown: height and width in pixels, and channels, 1 or 3."""

    height: int
    width: int
    channels: int


def headers(paths: Sequence[Path], start: int = 0) -> list[Header]:
    """Of each image.

    Raises:
        UserError: a file that is no image, or broken.
    """
    return [_header(path) for path in paths]


def _header(path: Path) -> Header:
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            # Of a PNG without it before the pixels, Pillow would read these to look for it behind them.
            exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
            if exif.get(_EXIF_ORIENTATION) in _TURNED:
                width, height = height, width
            return Header(height, width, 1 if image.mode in _GREY else 3)
    except Exception as error:
        raise _broken(path, error) from error


def decoded(path: Path, shape: Sequence[int], *, resize: bool = True) -> NDArray[np.uint8]:
    """The image in `path` as ``[channels, height, width]``.

    It is turned as its EXIF data says, what is transparent becomes white, 16 bits become 8, a palette or CMYK becomes
    RGB; then it is resized (bicubic, antialiased) so that the shorter side fits, and the longer one is cropped about
    the centre. Without `resize` it has to be of the size.

    Raises:
        UserError: a file that is no image, or broken, or of another size.
    """
    channels, height, width = shape
    try:
        with Image.open(path, formats=FORMATS) as file:
            image = _opaque(ImageOps.exif_transpose(file)).convert("L" if channels == 1 else "RGB")
            if image.size != (width, height) and resize:
                image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    except Exception as error:
        raise _broken(path, error) from error
    if image.size != (width, height):
        raise UserError(
            f"{path}: {image.height} x {image.width} pixels, others have {height} x {width}; --image-size resizes them"
        )
    array = np.asarray(image)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def _opaque(image: Image.Image) -> Image.Image:
    """In 8 bits, over white."""
    if image.mode in _SIXTEEN_BITS:
        levels = np.asarray(image).astype(np.int64)
        return Image.fromarray(((levels.clip(0, 65535) + 128) // 257).astype(np.uint8))
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)


def _broken(path: Path, error: Exception) -> UserError:
    """Pillow raises whatever its readers do: OSError, SyntaxError, ValueError, struct.error and more."""
    said = " ".join(str(error).split()).replace(str(path), "it") or type(error).__name__
    return UserError(f"{path}: no image that can be read ({said})")
