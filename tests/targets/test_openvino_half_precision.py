from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from edgekit_openvino import convert, vendor
from edgekit_openvino.half_precision import keep_in_float, light_operations
from edgekit_openvino.target import MIXED, TARGET
from support.onnx_graphs import FLOAT, model, node, value, write
from support.requirements import missing

from edgekit.errors import MissingExtraError
from edgekit.model import load_model
from edgekit.profiles import machine_profile
from edgekit.schemes import BFloat16
from edgekit.types import Candidate, Site

try:
    ov = vendor.openvino()
except MissingExtraError as problem:
    missing(str(problem))


def two_branches() -> onnx.ModelProto:
    """A wide convolution, then a narrow one on its pooled output, as a gate."""
    random = np.random.default_rng(0)
    weights = {"w": (32, 16, 3, 3), "g": (32, 32, 1, 1)}
    return model(
        [
            node("Conv", ["x", "w"], ["wide"], "a", pads=[1, 1, 1, 1]),
            node("GlobalAveragePool", ["wide"], ["pooled"], "b"),
            node("Conv", ["pooled", "g"], ["narrow"], "c"),
            node("Sigmoid", ["narrow"], ["gate"], "d"),
            node("Mul", ["wide", "gate"], ["y"], "e"),
        ],
        [value("x", FLOAT, ["n", 16, 20, 20])],
        [value("y", FLOAT, ["n", 32, 20, 20])],
        {name: random.normal(size=size).astype(np.float32) for name, size in weights.items()},
    )


def test_only_what_does_the_work_is_heavy(tmp_path: Path) -> None:
    ir = convert.convert(load_model(write(two_branches(), tmp_path / "model.onnx"))).ir
    light = light_operations(ir)
    assert "wide" not in light
    assert {"narrow", "gate", "y", "pooled"} <= set(light)


def test_a_net_without_products_is_light(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], ["y"], "a")], [value("x", FLOAT, ["n", 4])], [value("y", FLOAT, ["n", 4])])
    assert light_operations(convert.convert(load_model(write(proto, tmp_path / "model.onnx"))).ir) == ["y"]


def test_what_is_marked_computes_in_float(tmp_path: Path) -> None:
    core = ov.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    ir = convert.convert(load_model(write(two_branches(), tmp_path / "model.onnx"))).ir
    plain, marked = tmp_path / "plain.xml", tmp_path / "marked.xml"
    ov.save_model(ir, plain, compress_to_fp16=False)
    shutil.copy(plain.with_suffix(".bin"), marked.with_suffix(".bin"))
    tree = ElementTree.parse(plain)
    keep_in_float(tree.getroot(), light_operations(ir))
    tree.write(marked)
    x = np.random.default_rng(1).normal(size=(1, 16, 20, 20)).astype(np.float32)
    exact = core.compile_model(plain, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]
    half, mixed = (core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})(x)[0] for path in (plain, marked))
    errors = [float(np.abs(outputs - exact).max()) for outputs in (half, mixed)]
    assert 0 < errors[1] < errors[0]


def test_the_target_builds_it_and_says_what_it_is(tmp_path: Path) -> None:
    model = load_model(write(two_branches(), tmp_path / "model.onnx"))
    site = Site(machine_profile("x86_64"))
    plain, mixed = (Candidate("openvino", scheme) for scheme in (BFloat16(), MIXED))
    texts = []
    for candidate in (plain, mixed):
        out = tmp_path / candidate.id.replace("/", "-")
        out.mkdir()
        artifact = TARGET.build(model, candidate, None, site, out)
        assert TARGET.runner(artifact, site).options["inference_precision"] == "bf16"
        texts.append((out / artifact.entry).read_text())
    assert 'name="precise"' not in texts[0]
    assert 'name="precise"' in texts[1]
    assert mixed.id == "openvino/bfloat16+float32"
