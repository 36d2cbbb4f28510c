"""Bundles of real models for packages, each built once a run of the tests; and what ONNX Runtime and LiteRT say for the same input."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from PIL import Image
from support.digits import split_indices
from support.running import artifact_of, onnx_predictor
from support.tasks import task

import edgekit

Array = Any
N_PICTURES = 80
PREPROCESS = 'schema = 1\nresize = [28, 28]\ncolor = "gray"\n'


@cache
def digit_pictures() -> Path:
    """A folder of digits as PNG files with a ``preprocess.toml`` that gives the net's input."""
    images, _ = task("digits").rows()
    folder = Path(mkdtemp(prefix="edgekit-digits-"))
    for number, index in enumerate(split_indices("calibration")[:N_PICTURES]):
        Image.fromarray(images[index]).save(folder / f"{number:03d}.png")
    (folder / "preprocess.toml").write_text(PREPROCESS)
    return folder


@cache
def digits_bundle(target: str, precision: str, threads: int = 1) -> Path:
    """The digits net, calibrated with pictures."""
    out = Path(mkdtemp(prefix="edgekit-digits-bundle-")) / "bundle"
    model = task("digits").model()
    edgekit.build(model, output=out, target=target, precision=precision, calib=digit_pictures(), threads=threads, budget="30s")
    return out


@cache
def recogniser_bundle() -> Path:
    """The text recogniser in float, built without any data."""
    out = Path(mkdtemp(prefix="edgekit-recogniser-bundle-")) / "bundle"
    edgekit.build(
        task("recogniser").model(), output=out, target="onnx", precision="fp32", shape={"x": (1, 3, 48, 320)}, budget="30s"
    )
    return out


def third_digits(count: int) -> list[Array]:
    """Digits that the net has not seen, (28, 28) uint8."""
    images, _ = task("digits").rows()
    return [images[index] for index in split_indices("third")[:count]]


def digit_feed(image: Array) -> dict[str, Array]:
    return {"image": image[None, None].astype(np.float32) / np.float32(255)}


def predicted(bundle: Path, feeds: list[Mapping[str, Array]]) -> list[Array]:
    """The first output of the bundle's artifact for each feed, in Python."""
    artifact = artifact_of(bundle)
    if artifact.suffix == ".onnx":
        predict = onnx_predictor(artifact)
        return [next(iter(predict(feed).values())) for feed in feeds]
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(artifact), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for feed in feeds:
        interpreter.set_tensor(given["index"], next(iter(feed.values())))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(found["index"]).copy())
    return outputs
