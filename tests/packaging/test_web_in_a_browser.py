"""Packages for the web in headless Chromium: they say what Python says, and load nothing from elsewhere."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from support import app_bundles, javascript
from support.tasks import task

import edgekit

pytestmark = [pytest.mark.real_model, pytest.mark.slow]
N_DIGITS = 100
TOKENS = {"inputIds": np.array([[2**53 - 1, -5, 0]])}
SEVEN = [[[0.3, 0.25], [0.7, 0.25], [0.5, 0.55], [0.45, 0.85]]]
ORT_FILES = {"ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"}


@dataclass(frozen=True)
class Visit:
    """What was given to a page, what Python says to it, and what the page answered."""

    expected: list[Any]
    answer: dict[str, Any]

    def outputs(self, key: str, kind: str = "outputs", dtype: str = "<f4") -> list[Any]:
        return javascript.arrays(self.answer["found"][kind], key, dtype)


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Visit]:
    """All packages in one browser, which takes longest to start."""
    javascript.chromium()  # looked for first, so that nothing is built in vain
    javascript.packages()
    folder = tmp_path_factory.mktemp("web")
    labels = folder / "labels.txt"
    labels.write_text("\n".join(f"the digit {digit}" for digit in range(10)))
    images = app_bundles.third_digits(N_DIGITS)
    digits = [app_bundles.digit_feed(image) for image in images]
    lines = [line.feed for line in task("recogniser").lines(100, 2)]
    pictures = [as_picture(image) for image in images]
    int8, tflite = app_bundles.digits_bundle("onnx", "int8"), app_bundles.digits_bundle("tflite", "int8")
    two_threads, recogniser = app_bundles.digits_bundle("onnx", "fp32", threads=2), app_bundles.recogniser_bundle()
    files = [as_png(images[0]), as_jpeg(np.rot90(images[0]), orientation=6)]  # turned back, and said so
    given: dict[str, tuple[Path, list[Any], dict[str, Any]]] = {
        "int8": (int8, digits, {"pictures": pictures, "files": list(map(in_base64, files)), "draw": SEVEN}),
        "two threads": (two_threads, digits, {}),
        "tflite": (tflite, digits, {"pictures": pictures[:3], "draw": SEVEN}),
        "recogniser": (recogniser, lines, {}),
        "tokens": (app_bundles.token_bundle(folder / "tokens-bundle", folder / "tokens-work"), [TOKENS], {}),
        "changed": (int8, [], {}),
    }
    for name, (bundle, _, _) in given.items():
        edgekit.package(bundle, format="web", output=folder / name, labels=labels if name == "int8" else None)
    change_model(folder / "changed")
    answers = javascript.in_browser(
        {folder / name: {"inputs": list(map(javascript.tensors, feeds)), **more} for name, (_, feeds, more) in given.items()}
    )
    given["tokens"] = (given["tokens"][0], [{"input_ids": TOKENS["inputIds"]}], {})  # as the model calls it
    return {
        name: Visit(app_bundles.predicted(bundle, feeds), answer)
        for (name, (bundle, feeds, _)), answer in zip(given.items(), answers, strict=True)
    }


def as_picture(image: Any) -> dict[str, Any]:
    return {"data": javascript.base64_of(np.repeat(image[:, :, None], 3, axis=2)), "height": 28, "width": 28}


def as_png(image: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def as_jpeg(image: Any, *, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", exif=exif, quality=100)
    return stream.getvalue()


def in_base64(data: bytes) -> str:
    return javascript.base64_of(np.frombuffer(data, np.uint8))


def change_model(package: Path) -> None:
    model = package / "model" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)


def same_labels(found: list[Any], expected: list[Any]) -> float:
    return float(np.mean([a.argmax() == b.argmax() for a, b in zip(found, expected, strict=True)]))


def difference(found: list[Any], expected: list[Any]) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True)))


def runtime_files(answer: dict[str, Any]) -> set[str]:
    return {Path(urlsplit(url).path).name for url in answer["requests"] if "/demo/runtime/" in url}


def test_int8_digits_have_the_labels_of_python(visits: dict[str, Visit]) -> None:
    visit = visits["int8"]
    assert len(visit.expected) == N_DIGITS
    assert same_labels(visit.outputs("logits"), visit.expected) >= 0.99


def test_pictures_become_the_input_that_the_model_was_calibrated_with(visits: dict[str, Visit]) -> None:
    visit = visits["int8"]
    assert difference(visit.outputs("logits", "pictures"), visit.outputs("logits")) == 0
    png, jpeg = visit.outputs("logits", "files")
    assert difference([png], visit.outputs("logits")[:1]) == 0
    assert jpeg.argmax() == png.argmax()  # its EXIF orientation was heeded


def test_float_outputs_are_those_of_python(visits: dict[str, Visit]) -> None:
    two_threads, recogniser = visits["two threads"], visits["recogniser"]
    assert difference(two_threads.outputs("logits"), two_threads.expected) <= 1e-4
    assert difference(recogniser.outputs("softmax11Tmp0"), recogniser.expected) <= 1e-4


def test_litert_has_the_labels_of_python(visits: dict[str, Visit]) -> None:
    visit = visits["tflite"]
    assert same_labels(visit.outputs("logits"), visit.expected) >= 0.99
    assert difference(visit.outputs("logits", "pictures"), visit.outputs("logits")[:3]) == 0


def test_token_ids_keep_their_64_bits_and_any_length(visits: dict[str, Visit]) -> None:
    visit = visits["tokens"]
    (doubled,) = visit.outputs("doubled", dtype="<i8")
    assert doubled.tolist() == visit.expected[0].tolist() == [[2**54 - 2, -10, 0]]


def test_a_model_of_token_ids_is_run_with_numbers(visits: dict[str, Visit]) -> None:
    said = visits["tokens"].answer["said"]
    assert "7592" not in said["outputs"]
    assert "15184" in said["outputs"]  # twice one of the example's ids
    assert said["status"].startswith("Inference in ")


@pytest.mark.parametrize("name", ["int8", "two threads", "recogniser", "tflite", "tokens"])
def test_the_self_test_passes_and_the_page_says_so(visits: dict[str, Visit], name: str) -> None:
    answer = visits[name].answer
    assert answer["found"]["selfTest"]["ok"]
    assert answer["said"]["verdict"].startswith("Passed: ")


def test_the_threads_that_were_measured_are_in_force(visits: dict[str, Visit]) -> None:
    assert visits["two threads"].answer["found"]["threads"] == {"measured": 2, "effective": 2}
    assert visits["int8"].answer["found"]["threads"] == {"measured": 1, "effective": 1}


def test_the_page_shows_label_and_time(visits: dict[str, Visit]) -> None:
    said = visits["int8"].answer["said"]
    assert "the digit 7" in said["outputs"]
    assert said["status"].startswith("Inference in ")
    recogniser = visits["recogniser"].answer["said"]
    assert "265000 numbers" in recogniser["outputs"]
    assert recogniser["status"].startswith("Inference in ")


def test_nothing_comes_from_elsewhere_and_no_policy_is_broken(visits: dict[str, Visit]) -> None:
    for name in ("int8", "two threads", "recogniser", "tokens"):
        answer = visits[name].answer
        assert answer["complaints"] == []
        assert runtime_files(answer) == ORT_FILES
    for visit in visits.values():
        hosts = {urlsplit(url).hostname for url in visit.answer["requests"] if not url.startswith("blob:")}
        assert hosts == {"127.0.0.1"}
    spoken = visits["tflite"].answer["complaints"]  # LiteRT tells its progress as warnings
    assert not [line for line in spoken if "Security Policy" in line or "404" in line]


def test_an_input_that_is_missing_is_named(visits: dict[str, Visit]) -> None:
    assert visits["int8"].answer["found"]["wrong"] == "TypeError: the input image is missing"


def test_a_model_that_is_not_the_packaged_one_is_refused(visits: dict[str, Visit]) -> None:
    answer = visits["changed"].answer
    assert answer["state"] == "failed"
    assert "could not be loaded" in answer["ready"]
    assert any("integrity" in line for line in answer["complaints"])
