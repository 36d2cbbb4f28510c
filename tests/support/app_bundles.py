"""Bundles of real models for packages, each built once a run of the tests, and what their artifacts say in Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest import mock

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image
from support.bundles import small_bundle
from support.digits import split_indices
from support.running import artifact_of, onnx_predictor
from support.shortened import as_offered
from support.tasks import task
from support.tflite import shared_home

import edgekit
from edgekit.types import Artifact, TensorMap, TensorSpec, sha256_file

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
    model = task("digits").model()
    return _built(model, target=target, precision=precision, calib=digit_pictures(), threads=threads)


@cache
def recogniser_bundle() -> Path:
    """The text recogniser in float, built without any data."""
    return _built(task("recogniser").model(), target="onnx", precision="fp32", shape={"x": (1, 3, 48, 320)})


def _built(model: Path, **options: Any) -> Path:
    """The bundle of a build, which is the same however fast this machine is; what was built before is in a cache."""
    out = Path(mkdtemp(prefix="edgekit-app-bundle-")) / "bundle"
    with mock.patch.dict(os.environ, EDGEKIT_HOME=str(shared_home())), as_offered():
        edgekit.build(model, output=out, **options)
    return out


def token_bundle(out: Path, work: Path) -> Path:
    """A model of token ids (int64, as many as there are) with two outputs: what a text model's contract looks like."""
    work.mkdir(parents=True)
    ids, doubled, total = (
        TensorSpec("input_ids", "int64", ("n", "length")),
        TensorSpec("doubled", "int64", ("n", "length")),
        TensorSpec("total", "float32", ("n", 1)),
    )
    nodes = [
        helper.make_node("Add", ["input_ids", "input_ids"], ["doubled"]),
        helper.make_node("Cast", ["input_ids"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["real", "axis"], ["total"]),
    ]
    values = {
        spec.name: helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)
        for spec in (ids, doubled, total)
    }
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "tokens", [values["input_ids"]], [values["doubled"], values["total"]], [axis])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), work / "model.onnx")
    artifact = Artifact(
        files={"model.onnx": sha256_file(work / "model.onnx")},
        entry="model.onnx",
        io=(TensorMap("input", ids, ids), TensorMap("output", doubled, doubled), TensorMap("output", total, total)),
    )
    feed = {"input_ids": np.array([[101, 7592, 2088, 102]])}
    outputs = onnx_predictor(work / "model.onnx")(feed)
    return small_bundle(out, work / "other", artifact=artifact, artifact_folder=work, golden_inputs=feed, golden_outputs=outputs)


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
