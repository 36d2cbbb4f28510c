"""Pictures that decode, and those that must not."""

import io

import numpy as np
import pytest
from PIL import Image

from edgekit.decoding import decode_image
from edgekit.errors import DataError
from edgekit.preprocess_golden import synthetic_pixels

PICTURE = synthetic_pixels(10, 14, 5)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_eight_bit_modes_become_rgb(mode):
    stream = io.BytesIO()
    Image.fromarray(PICTURE).convert(mode).save(stream, "TIFF" if mode == "CMYK" else "PNG")
    pixels, orientation = decode_image(stream.getvalue())
    assert pixels.shape == (10, 14, 3)
    assert orientation == 1


def test_sixteen_bits_are_refused_instead_of_clipped():
    data = encoded(np.full((4, 4), 40_000, np.uint16))
    with pytest.raises(DataError, match="not 8 bits"):
        decode_image(data)


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(PICTURE)[:60], encoded(PICTURE, "JPEG")[:150]])
def test_a_broken_picture_is_a_data_error(data):
    with pytest.raises(DataError, match="does not decode") as raised:
        decode_image(data)
    assert "0x" not in raised.value.why  # an address in memory would help nobody


@pytest.mark.parametrize("side", [10_001, 20_000])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(side):
    with pytest.raises(DataError, match="too large"):
        decode_image(f"P6 {side} {side} 255\n".encode() + bytes(100))
