"""Encoded pictures to pixels. Pillow does the work; what it cannot be trusted with is refused first."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .errors import DataError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
_DECODERS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_EXIF_ORIENTATION = 0x0112


def decode_image(data: bytes) -> tuple[npt.NDArray[np.uint8], int]:
    """Pixels (H, W, 3) uint8 RGB and the EXIF orientation (1 where there is none). Alpha is dropped, colour profiles are ignored.

    Raises:
        DataError: does not decode, over 100 million pixels, or more than 8 bits a channel.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on metadata; its warning on size is our own check below
            with Image.open(io.BytesIO(data), formats=_DECODERS) as image:
                return _decoded(image)
    except DataError:
        raise
    except UnidentifiedImageError as problem:
        raise DataError("the picture does not decode", why=f"it is none of {', '.join(_DECODERS)}") from problem
    except Image.DecompressionBombError as problem:
        raise DataError("the picture is too large", why=f"at most {MAX_PIXELS} pixels are taken") from problem
    except Exception as problem:  # decoders raise whatever a broken file makes them raise
        raise DataError(
            "the picture does not decode", why=f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        ) from problem


def _decoded(image: Image.Image) -> tuple[npt.NDArray[np.uint8], int]:
    if image.width * image.height > MAX_PIXELS:
        raise DataError("the picture is too large", why=f"{image.width} x {image.height} pixels; at most {MAX_PIXELS} are taken")
    if image.mode not in _EIGHT_BIT_MODES:
        raise DataError(
            "the picture is not 8 bits a channel", why=f"its mode is {image.mode}", hint="convert it, or calibrate from .npz arrays"
        )
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
    return pixels, orientation if isinstance(orientation, int) else 1
