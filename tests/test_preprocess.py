"""preprocess.toml and the reference function: options, golden vectors, broken pictures."""

import dataclasses
import importlib.resources
import io
import json
import tomllib
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image, ImageOps

from edgekit.errors import DataError, UnknownNameError, UsageError
from edgekit.preprocess import Preprocess, apply_orientation, preprocess_from_json, preprocess_image, read_preprocess
from edgekit.preprocess_golden import golden_vectors, render, synthetic_pixels

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "docs/schemas/preprocess-1.json").read_text())
PICTURE = synthetic_pixels(10, 14, 5)


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


# ---------------------------------------------------------------- golden vectors
@pytest.mark.parametrize("index", range(20))
def test_golden_vector(index):
    vector = golden_vectors()[index]
    got = preprocess_image(vector.pixels, vector.preprocess, orientation=vector.orientation)
    assert got.dtype == vector.expected.dtype
    assert got.shape == vector.expected.shape
    assert got.tobytes() == vector.expected.tobytes()


def test_the_golden_file_is_made_again_to_the_byte():
    stored = importlib.resources.files("edgekit").joinpath("_golden/preprocess-1.json").read_bytes()
    assert len(golden_vectors()) == 20
    assert stored == render()
    assert len(stored) < 100_000


def test_the_golden_vectors_cover_every_option():
    used = [vector.preprocess for vector in golden_vectors()]
    for key, options in {
        "color": {"RGB", "BGR", "gray"},
        "crop": {"none", "center", "letterbox"},
        "filter": {"nearest", "bilinear", "bicubic"},
        "antialias": {True, False},
        "round_to_uint8": {True, False},
        "apply_exif": {True, False},
        "layout": {"NCHW", "NHWC"},
        "dtype": {"float32", "uint8"},
    }.items():
        assert {getattr(preprocess, key) for preprocess in used} == options
    assert any(preprocess.mean and preprocess.std for preprocess in used)
    assert {vector.orientation for vector in golden_vectors()} > {1}


# ---------------------------------------------------------------- the steps, each seen from outside
def test_values_are_divided_by_255_then_normalised_in_the_order_of_the_output():
    preprocess = Preprocess((10, 14), color="BGR", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    got = preprocess_image(PICTURE, preprocess)
    assert got.shape == (1, 3, 10, 14)
    for channel, (mean, std) in enumerate(zip((0.1, 0.2, 0.3), (0.5, 0.25, 2.0), strict=True)):
        expected = (PICTURE[:, :, 2 - channel] / 255.0 - mean) / std
        np.testing.assert_array_equal(got[0, channel], expected.astype(np.float32))


def test_gray_is_pillows_luma():
    got = preprocess_image(PICTURE, Preprocess((10, 14), color="gray", dtype="uint8", layout="NHWC"))
    np.testing.assert_array_equal(got[0, :, :, 0], np.asarray(Image.fromarray(PICTURE).convert("L")))


def test_letterbox_pads_both_sides():
    got = preprocess_image(PICTURE, Preprocess((14, 14), crop="letterbox", pad_value=9, dtype="uint8", layout="NHWC"))
    assert (got[0, :2] == 9).all()
    assert (got[0, -2:] == 9).all()
    np.testing.assert_array_equal(got[0, 2:12], PICTURE)


def test_center_cuts_the_middle():
    got = preprocess_image(PICTURE, Preprocess((10, 10), crop="center", dtype="uint8", layout="NHWC"))
    np.testing.assert_array_equal(got[0], PICTURE[:, 2:12])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_that_of_pillow(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(PICTURE, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    height, width = upright.shape[:2]
    as_uint8 = Preprocess((height, width), dtype="uint8", layout="NHWC")
    np.testing.assert_array_equal(preprocess_image(data, as_uint8)[0], upright)
    np.testing.assert_array_equal(preprocess_image(PICTURE, as_uint8, orientation=orientation)[0], upright)
    ignored = Preprocess((10, 14), dtype="uint8", layout="NHWC", apply_exif=False)
    np.testing.assert_array_equal(preprocess_image(data, ignored)[0], PICTURE)


@pytest.mark.parametrize("nonsense", [0, 9, 65535])
def test_a_nonsense_orientation_leaves_the_picture(nonsense):
    np.testing.assert_array_equal(apply_orientation(PICTURE, nonsense), PICTURE)


def test_decoded_pixels_must_be_rgb_bytes():
    with pytest.raises(DataError, match=r"\(H, W, 3\) uint8"):
        preprocess_image(PICTURE.astype(np.float32), Preprocess((4, 4)))


# ---------------------------------------------------------------- preprocess.toml
def write(folder: Path, text: str) -> Path:
    path = folder / "preprocess.toml"
    path.write_text(text)
    return path


def test_a_full_file_is_read_and_is_what_the_schema_allows(tmp_path):
    text = """
        schema = 1
        resize = [48, 320]
        color = "BGR"
        apply_exif = false
        crop = "letterbox"
        pad_value = 114
        filter = "bicubic"
        antialias = false
        round_to_uint8 = false
        mean = [0.5, 0.5, 0.5]
        std = [1, 2, 0.5]
        layout = "NHWC"
        dtype = "float32"
        """
    read = read_preprocess(write(tmp_path, text))
    assert read == Preprocess(
        (48, 320), "BGR", False, "letterbox", 114, "bicubic", False, False, (0.5, 0.5, 0.5), (1.0, 2.0, 0.5), "NHWC", "float32"
    )
    jsonschema.validate(tomllib.loads(text), SCHEMA)
    jsonschema.validate(read.to_json(), SCHEMA)
    assert preprocess_from_json(json.loads(json.dumps(read.to_json()))) == read


def test_schema_and_class_name_the_same_keys_and_defaults():
    assert set(SCHEMA["properties"]) == {field.name for field in dataclasses.fields(Preprocess)}
    least = Preprocess((2, 2)).to_json()
    for key, rule in SCHEMA["properties"].items():
        if "default" in rule:
            assert least[key] == rule["default"], key
    assert SCHEMA["required"] == ["schema", "resize"]
    for vector in golden_vectors():
        jsonschema.validate(vector.preprocess.to_json(), SCHEMA)


def test_the_documented_example_is_read(tmp_path):
    text = (ROOT / "docs/preprocess.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    assert read_preprocess(write(tmp_path, example)).resize == (224, 224)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = 1\nresize = [4, 4]\nfliter = 'nearest'", "did you mean: filter"),
        ("schema = 1\nresize = [4, 4]\nfilter = 'bilinaer'", "did you mean: bilinear"),
        ("resize = [4, 4]", "has no schema"),
        ("schema = 1", "has no resize"),
        ("schema = 2\nresize = [4, 4]", "schema must be 1"),
        ("schema = 1\nresize = [4]", "resize must be"),
        ("schema = 1\nresize = [0, 4]", "resize must be"),
        ("schema = 1\nresize = [4, 99999]", "resize must be"),
        ("schema = 1\nresize = '4x4'", "resize in preprocess.toml must be"),
        ("schema = 1\nresize = [4, 4]\nantialias = 1", "antialias in preprocess.toml must be true or false"),
        ("schema = 1\nresize = [4, 4]\nmean = [0.5]", "mean must have 3 numbers"),
        ("schema = 1\nresize = [4, 4]\nmean = [nan, 0, 0]", "mean must be finite"),
        ("schema = 1\nresize = [4, 4]\nstd = [1, 0, 1]", "std must be above 0"),
        ("schema = 1\nresize = [4, 4]\ncolor = 'gray'\nmean = [1, 1, 1]", "mean must have 1 number for color gray"),
        ("schema = 1\nresize = [4, 4]\ndtype = 'uint8'\nmean = [1, 1, 1]", "no meaning with dtype uint8"),
        ("schema = 1\nresize = [4, 4]\ndtype = 'uint8'\nround_to_uint8 = false", "needs round_to_uint8"),
        ("schema = 1\nresize = [4, 4]\npad_value = 256", "pad_value must be"),
        ("schema = 1\nresize = [4, 4", "is not TOML"),
        ("#" * 70_000, "too long"),
    ],
)
def test_a_wrong_file_is_a_usage_error(tmp_path, text, message):
    with pytest.raises(UsageError) as raised:
        read_preprocess(write(tmp_path, text))
    assert message in str(raised.value)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_preprocess(tmp_path / "preprocess.toml")


def test_a_wrong_word_in_code_is_refused_too():
    with pytest.raises(UnknownNameError, match="layout"):
        Preprocess((4, 4), layout="NHCW")  # type: ignore[arg-type]
