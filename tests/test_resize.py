"""Our resize against Pillow's, and against the formula written out pixel by pixel."""

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from edgekit.resize import centre_crop, fitted_size, nearest_indices, resize

SIDES = st.integers(1, 40)
PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([height, width, seed]).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@settings(max_examples=60, deadline=None)
@given(size=st.tuples(SIDES, SIDES, SIDES, SIDES))
def test_antialiased_uint8_is_pillows_pass_after_pass(method, size):
    height, width, to_height, to_width = size
    image = picture(height, width)
    across = Image.fromarray(image).resize((to_width, height), PILLOW[method])
    expected = np.asarray(across.resize((to_width, to_height), PILLOW[method]))
    got = resize(image, to_height, to_width, method, antialias=True, round_to_uint8=True)
    np.testing.assert_array_equal(got, expected)


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(SIDES, SIDES, SIDES, SIDES))
def test_antialiased_bilinear_is_within_a_level_of_pillow_in_whichever_order_it_goes(size):
    height, width, to_height, to_width = size
    image = picture(height, width)
    expected = np.asarray(Image.fromarray(image).resize((to_width, to_height), PILLOW["bilinear"])).astype(int)
    got = resize(image, to_height, to_width, "bilinear", antialias=True, round_to_uint8=True)
    assert np.abs(got.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("method", "method_of_pillow"), PILLOW.items())
def test_antialiased_float_agrees_with_pillows_float_images(method, method_of_pillow):
    image = picture(31, 22)
    got = resize(image, 9, 40, method, antialias=True, round_to_uint8=False)
    across = Image.fromarray(image[:, :, 0].astype(np.float32)).resize((40, 31), method_of_pillow)
    np.testing.assert_allclose(got[:, :, 0], np.asarray(across.resize((40, 9), method_of_pillow)), atol=1e-4)


def weight(method: str, distance: float) -> float:
    distance = abs(distance)
    if method == "bilinear":
        return max(0.0, 1.0 - distance)
    if distance < 1:
        return 1.5 * distance**3 - 2.5 * distance**2 + 1
    return -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2 if distance < 2 else 0.0


def naive(image: np.ndarray, to_height: int, to_width: int, method: str) -> np.ndarray:
    """One pixel at a time, in two dimensions at once, over the whole image, without antialiasing."""
    height, width, channels = image.shape
    result = np.zeros((to_height, to_width, channels))
    for row, column in itertools.product(range(to_height), range(to_width)):
        y, x = (row + 0.5) * height / to_height - 0.5, (column + 0.5) * width / to_width - 0.5
        vertical = [weight(method, other - y) for other in range(height)]
        horizontal = [weight(method, other - x) for other in range(width)]
        both = np.outer(vertical, horizontal)
        result[row, column] = np.tensordot(both / both.sum(), image.astype(float), 2)
    return result


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(7, 5, 3, 4), (4, 6, 9, 11), (5, 5, 5, 5), (1, 3, 4, 1), (12, 4, 5, 9)])
def test_without_antialias_it_is_the_plain_formula(method, size):
    height, width, to_height, to_width = size
    image = picture(height, width)
    expected = naive(image, to_height, to_width, method)
    exact = resize(image, to_height, to_width, method, antialias=False, round_to_uint8=False)
    np.testing.assert_allclose(exact, expected, atol=1e-9)
    rounded = resize(image, to_height, to_width, method, antialias=False, round_to_uint8=True)
    if method == "bilinear":  # no overshoot: rounding after each pass is all that differs
        assert np.abs(rounded - expected).max() <= 1.0 + 1e-6
    else:
        assert rounded.dtype == np.uint8


@settings(deadline=None)
@given(size_in=st.integers(1, 500), size_out=st.integers(1, 500))
def test_nearest_takes_the_pixel_under_the_centre(size_in, size_out):
    indices = nearest_indices(size_in, size_out)
    assert indices.min() >= 0
    assert indices.max() < size_in
    for position, index in enumerate(indices):
        centre = (2 * position + 1) * size_in
        assert index * 2 * size_out <= centre < (index + 1) * 2 * size_out


def test_nearest_is_pillows_where_no_centre_falls_on_an_edge():
    image = picture(8, 15)
    got = resize(image, 5, 7, "nearest", antialias=False, round_to_uint8=True)
    np.testing.assert_array_equal(got, np.asarray(Image.fromarray(image).resize((7, 5), Image.Resampling.NEAREST)))


def test_the_same_size_changes_nothing():
    image = picture(6, 9)
    for method in ("nearest", "bilinear", "bicubic"):
        for rounded, antialias in itertools.product((True, False), repeat=2):
            np.testing.assert_array_equal(resize(image, 6, 9, method, antialias=antialias, round_to_uint8=rounded), image)


def test_flat_colour_stays_flat():
    image = np.full((13, 17, 3), 200, np.uint8)
    for method in ("bilinear", "bicubic"):
        assert (resize(image, 5, 40, method, antialias=True, round_to_uint8=True) == 200).all()


@settings(deadline=None)
@given(*[st.integers(1, 5000)] * 4)
def test_fitted_size_fits_and_keeps_the_aspect(height, width, into_height, into_width):
    fitted = fitted_size(height, width, into_height, into_width)
    assert 1 <= fitted[0] <= into_height
    assert 1 <= fitted[1] <= into_width
    assert fitted[0] == into_height or fitted[1] == into_width
    scale = min(into_height / height, into_width / width)
    assert max(1, math.floor(height * scale + 0.5 - 1e-6)) <= fitted[0] <= max(1, math.floor(height * scale + 0.5 + 1e-6))


@settings(deadline=None)
@given(*[st.integers(1, 5000)] * 4)
def test_the_centre_crop_lies_inside(height, width, like_height, like_width):
    top, left, part_height, part_width = centre_crop(height, width, like_height, like_width)
    assert 0 <= top <= top + part_height <= height
    assert 0 <= left <= left + part_width <= width
    assert abs((height - part_height) - 2 * top) <= 1
