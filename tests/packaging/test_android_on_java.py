"""The Android wrapper on a Java machine: its arithmetic is Python's, and an app's calls give what the bundle's own runner gives."""

from __future__ import annotations

import itertools
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.java import JAVA, Numbers, compile_java, need_jdk, run_java, with_package
from support.packages import DEVICES, DIGITS, LABELS, ONNX_IO, PICTURES, TFLITE_IO

from edgekit.contract import to_artifact, to_original
from edgekit.preprocess import Preprocess, preprocess_image
from edgekit.preprocess_golden import golden_vectors
from edgekit.types import TensorMap, TensorSpec

need_jdk()
PACKAGE = "local.models.digits"
DRIVERS = ("GoldenVectors", "Slots", "Digits", "Photo")
Array = Any


@dataclass(frozen=True)
class App:
    """A wrapper compiled with runtimes that answer from Python, and the assets of its AAR as files."""

    classes: Path
    assets: Path
    model: Path
    io: tuple[TensorMap, ...]

    def drive(self, name: str, *arguments: str, heap: str = "256m") -> str:
        return run_java(self.classes, f"{PACKAGE}.{name}", *arguments, heap=heap)


@pytest.fixture(scope="module")
def onnx_app(android_packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> App:
    return made(tmp_path_factory.mktemp("onnx"), android_packages["onnx"], DIGITS / "digits.onnx", ONNX_IO)


@pytest.fixture(scope="module")
def tflite_app(android_packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> App:
    return made(tmp_path_factory.mktemp("tflite"), android_packages["tflite"], DIGITS / "digits-int8-io.tflite", TFLITE_IO)


@pytest.fixture(params=["onnx_app", "tflite_app"])
def app(request: pytest.FixtureRequest) -> App:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, App)
    return found


def made(folder: Path, package: Path, model: Path, io: tuple[TensorMap, ...]) -> App:
    with zipfile.ZipFile(package / "maven/local/models/digits/1.0.0/digits-1.0.0.aar") as aar:
        aar.extractall(folder / "aar")
    sources = package / "module" / "src" / "main" / "java"
    drivers = [with_package(folder / "drivers", name, PACKAGE) for name in DRIVERS]
    compile_java(folder / "classes", drivers, source_path=[sources, JAVA / "fakes"])
    with zipfile.ZipFile(folder / "aar" / "classes.jar") as jar:  # what runs is what the AAR holds
        assert {name.rsplit("/", 1)[0] for name in jar.namelist()} == {PACKAGE.replace(".", "/")}, "no stub is in it"
        jar.extractall(folder / "classes")
    return App(folder / "classes", folder / "aar" / "assets", model, io)


def test_the_preprocessing_equals_the_golden_vectors(onnx_app: App, tmp_path: Path) -> None:
    vectors = golden_vectors()
    assert len(vectors) == 20
    with (tmp_path / "in").open("wb") as stream:
        numbers = Numbers(stream)
        numbers.put(len(vectors))
        for vector in vectors:
            chosen = vector.preprocess
            numbers.put(*vector.pixels.shape[:2], vector.orientation)
            numbers.put_array(vector.pixels)
            numbers.put(*chosen.resize)
            numbers.put_text(chosen.color.upper())
            numbers.put(chosen.apply_exif)
            numbers.put_text(chosen.crop.upper())
            numbers.put(chosen.pad_value)
            numbers.put_text(chosen.filter.upper())
            numbers.put(chosen.antialias, chosen.round_to_uint8)
            numbers.put_doubles(chosen.mean)
            numbers.put_doubles(chosen.std)
            numbers.put(chosen.layout == "NCHW", chosen.dtype == "uint8")
    onnx_app.drive("GoldenVectors", str(tmp_path / "in"), str(tmp_path / "out"))
    with (tmp_path / "out").open("rb") as stream:
        results = Numbers(stream)
        for number, vector in enumerate(vectors):
            found = results.get_array(vector.preprocess.dtype).reshape(vector.expected.shape)
            # Asked for is 1e-6 where numbers are floats; the arithmetic is fixed to the bit, so that is what is held.
            np.testing.assert_array_equal(found, vector.expected, err_msg=f"vector {number}: {vector.preprocess}")


def test_a_photograph_is_not_copied(onnx_app: App) -> None:
    """12 megapixels are 48 MB; with less than twice that the picture is made fit all the same, to the same numbers."""
    found = np.array(onnx_app.drive("Photo", heap="80m").split(), np.float32)
    packed = (np.arange(3000 * 4000, dtype=np.int64) * 2654435761 >> 8) & 0xFFFFFF
    pixels = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8).reshape(3000, 4000, 3)
    chosen = Preprocess((8, 8), crop="center", filter="bicubic", layout="NHWC")
    np.testing.assert_array_equal(found, preprocess_image(pixels, chosen, orientation=8).ravel())


def slot_cases() -> list[tuple[TensorMap, Array]]:
    """Tensors of every type and layout, with numbers that round to even, saturate, and fill the whole range."""
    generator = np.random.default_rng(0)
    cases: list[tuple[TensorMap, Array]] = []
    for dtype, permutation in itertools.product(
        ("float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"), (None, (0, 2, 3, 1), (3, 0, 1, 2))
    ):
        values = (generator.standard_normal((2, 3, 4, 5)) * 100).astype(dtype)
        cases.append((_map(dtype, dtype, values.shape, permutation), values))
    cases += [
        (_map("int64", "int32", (7,), None), np.arange(-3, 4) * 2**29),
        (_map("float32", "float32", (), None), np.float32(2.5)),
    ]
    free = _map("float32", "float32", ("batch", 3, "length"), (2, 0, 1))  # sizes that are the caller's to choose
    cases += [(free, generator.standard_normal((2, 3, length)).astype("float32")) for length in (5, 6)]
    for stored, zero_point in (("int8", -3), ("uint8", 128), ("int16", 0)):
        for dtype, permutation in itertools.product(("float32", "float64"), (None, (1, 0))):
            steps = np.arange(-400, 400, dtype=np.float64).reshape(20, 40) / 2  # halves of a step, out to beyond both ends
            values = (steps * 0.25).astype(dtype)
            cases.append((_map(dtype, stored, values.shape, permutation, 0.25, zero_point), values))
    return cases


def _map(
    dtype: str,
    stored: str,
    shape: tuple[int | str, ...],
    permutation: Any,
    scale: float | None = None,
    zero_point: int | None = None,
) -> TensorMap:
    there = tuple(shape[axis] for axis in permutation) if permutation else shape
    return TensorMap("input", TensorSpec("x", dtype, shape), TensorSpec("x", stored, there), permutation, scale, zero_point)


def test_numbers_reach_the_runtime_and_come_back_as_the_contract_says(onnx_app: App, tmp_path: Path) -> None:
    cases = slot_cases()
    with (tmp_path / "in").open("wb") as stream:
        numbers = Numbers(stream)
        numbers.put(len(cases))
        for tensor, values in cases:
            numbers.put_text(tensor.original.dtype)
            numbers.put_text(tensor.artifact.dtype.upper())
            for axes in (tensor.artifact.shape, tensor.permutation or ()):
                numbers.put(len(axes), *(-1 if isinstance(size, str) else size for size in axes))  # as TensorSlot.FREE
            stream.write(np.array([tensor.scale or 0], ">f8").tobytes())
            numbers.put(tensor.zero_point or 0, len(values.shape), *values.shape)
            numbers.put_array(values)
    onnx_app.drive("Slots", str(tmp_path / "in"), str(tmp_path / "out"))
    with (tmp_path / "out").open("rb") as stream:
        results = Numbers(stream)
        for tensor, values in cases:
            stored = to_artifact({"x": values}, [tensor])["x"]
            np.testing.assert_array_equal(results.get_array(tensor.artifact.dtype), stored.ravel(), err_msg=str(tensor))
            back = to_original({"x": stored}, [TensorMap("output", *_rest(tensor))])["x"]
            np.testing.assert_array_equal(results.get_array(tensor.original.dtype), back.ravel(), err_msg=str(tensor))


def _rest(tensor: TensorMap) -> tuple[Any, ...]:
    return tensor.original, tensor.artifact, tensor.permutation, tensor.scale, tensor.zero_point


def test_an_app_gets_what_the_bundle_s_own_runner_says(app: App) -> None:
    """From assets that are mapped; and, word for word the same, from assets that an app has compressed."""
    mapped = app.drive("Digits", str(app.assets), "false", "true")
    stored, compressed = mapped.split("compressed\n")
    assert stored == compressed
    lines = dict(line.split(" ", 1) for line in stored.splitlines())
    assert float(lines["self"].removeprefix("test ")) <= (1e-6 if app.model.suffix == ".onnx" else 1e-3)
    expected_start = {".onnx": "[2, inter_op=1, level=ALL_OPT]", ".tflite": "[2, xnnpack=true]"}
    assert lines["started"] == expected_start[app.model.suffix], "the threads and options of the winner"
    expected = {what: predicted(app, orientation) for what, orientation in (("pixels", 1), ("turned", 6), ("bitmap", 1))}
    for what, logits in expected.items():
        found = np.array(lines[what].split(), np.float64)
        np.testing.assert_allclose(found, logits, atol=1e-4, err_msg=what)
    assert not np.allclose(expected["pixels"], expected["turned"])
    assert lines["label"] == LABELS[int(np.argmax(expected["pixels"]))]
    assert "784 numbers, not 3" in lines["refused"]


def predicted(app: App, orientation: int) -> Array:
    """The driver's picture through the reference preprocessing and the target's own device code."""
    packed = np.arange(56 * 40, dtype=np.int64) * 7919 & 0xFFFFFF
    pixels = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8).reshape(56, 40, 3)
    feed = {"image": preprocess_image(pixels, PICTURES, orientation=orientation)}
    session = DEVICES[app.model.suffix].Session({app.model.name: str(app.model)}, {})
    return to_original(session.run(to_artifact(feed, app.io)), app.io)["logits"].ravel()


@pytest.mark.parametrize(("name", "message"), [("golden.bin", "of its largest value"), ("model.onnx", "the model's sha256 is")])
def test_a_self_test_notices_another_model(onnx_app: App, tmp_path: Path, name: str, message: str) -> None:
    """Another exponent in the last golden number; one other bit in the middle of the weights."""
    shutil.copytree(onnx_app.assets, tmp_path / "assets")
    file = tmp_path / "assets" / "edgekit" / "local.models" / "digits" / name
    data = bytearray(file.read_bytes())
    data[-1 if name == "golden.bin" else len(data) // 2] ^= 0x04
    file.write_bytes(data)
    with pytest.raises(AssertionError, match=message):
        onnx_app.drive("Digits", str(tmp_path / "assets"), "false")
