"""What the tensorrt target offers, refuses and says of what it builds, by what is known of a board."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from edgekit_tensorrt import parser_evidence
from edgekit_tensorrt.limits import Limits, limits
from edgekit_tensorrt.target import TARGET
from onnx import TensorProto
from support.quantized_graphs import graph, node, normal
from support.tensorrt_sites import site

from edgekit.model import load_model
from edgekit.profiles import get_profile
from edgekit.schemes import BFloat16, Float16, Float32, Int8Dynamic, Int8Static, Vendor, WeightOnly
from edgekit.testing.harness import Workbench
from edgekit.testing.models import CASES as MODELS
from edgekit.types import Candidate, Profile, Site


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return Workbench(TARGET, site(), tmp_path, simulated=True)


@pytest.mark.parametrize(
    ("scheme", "word"),
    [
        (Vendor("fp8"), "8.9"), (Vendor("int4"), "not built yet"), (WeightOnly(4), "int4"), (Vendor("dla"), "accelerators"),
        (BFloat16(), "float16"), (Int8Dynamic(), "run time"), (WeightOnly(8), "float activations"),
    ],
)  # fmt: skip
def test_formats_that_come_later_or_never_say_why(bench: Workbench, scheme, word: str) -> None:
    refused = TARGET.reject(bench.model(MODELS["conv"]), Candidate("tensorrt", scheme), bench.site)
    assert refused is not None
    assert word in refused.why
    assert refused.instead


def test_a_device_without_tensorrt_is_told_where_it_comes_from(bench: Workbench) -> None:
    refused = TARGET.reject(bench.model(MODELS["conv"]), Candidate("tensorrt", Float32()), site(None))
    assert refused is not None
    assert "JetPack" in refused.instead


def test_the_jetson_nano_is_offered_no_int8(bench: Workbench) -> None:
    nano = Site(get_profile("jetson-nano"))
    slugs = {candidate.scheme.slug for candidate in TARGET.candidates(bench.model(MODELS["conv"]), nano)}
    assert slugs == {"float32", "float16"}
    assert TARGET.reject(bench.model(MODELS["conv"]), Candidate("tensorrt", Int8Static()), nano) is not None


def test_the_runner_says_what_the_device_needs(bench: Workbench) -> None:
    built = bench.build(MODELS["conv"], Candidate("tensorrt", Vendor("int8+fp16")))
    runner = TARGET.runner(built.artifact, bench.site)
    assert built.artifact.needs_device_build
    assert built.artifact.entry == runner.options["entry"] == "model.onnx"
    expected = {
        "precision": "int8+fp16",
        "strongly_typed": True,
        "sparsity": "disable",
        "timing_cache": True,
        "memory_pool_bytes": None,
    }
    assert {key: runner.options[key] for key in expected} == expected
    assert runner.options["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["batch", 3, 15, 17]}]
    assert runner.options["shapes"]["image"]["opt"] == [1, 3, 15, 17]
    assert runner.host_options == {"simulate": True}


def test_weights_are_stored_in_int8_from_tensorrt_10_on(bench: Workbench, tmp_path: Path) -> None:
    def integers(tensorrt: str) -> int:
        here = Workbench(TARGET, site(tensorrt), tmp_path / tensorrt)
        (tmp_path / tensorrt).mkdir()
        made = onnx.load(here.build(MODELS["conv"], Candidate("tensorrt", Int8Static())).folder / "model.onnx")
        return sum(each.data_type == TensorProto.INT8 and len(each.dims) > 1 for each in made.graph.initializer)

    assert integers("10.3.0") > 0
    assert integers("8.5.2") == 0


def pruned(by: int) -> onnx.ModelProto:
    """Two convolutions of which ``by`` of every four input channels are zero."""
    weights = {name: normal(32, 32, 3, 3, seed=seed) for seed, name in enumerate("vw")}
    for weight in weights.values():
        for channel in range(0, 32, 4):
            weight[:, channel : channel + by] = 0
    return graph(
        [node("Conv", "x v", "c", pads=[1] * 4), node("Conv", "c w", "y", pads=[1] * 4)], {"x": [1, 32, 8, 8]}, ["y"], **weights
    )


@pytest.mark.parametrize(
    ("zeros", "where", "asked", "sparsity"),
    [
        (2, "jetson-orin-nano", None, "enable"), (0, "jetson-orin-nano", None, "disable"), (2, "jetson-xavier-nx", None, "disable"),
        (2, "jetson-orin-nano", "off", "disable"), (0, "jetson-orin-nano", "on", "enable"),
    ],
)  # fmt: skip
def test_two_of_four_zeros_are_used_where_there_are_units_for_it(tmp_path, monkeypatch, zeros, where, asked, sparsity) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    path = tmp_path / "m.onnx"
    onnx.save(pruned(zeros), path)
    out = tmp_path / "out"
    out.mkdir()
    candidate = Candidate("tensorrt", Float16(), build_options={"sparsity": asked} if asked else {})
    artifact = TARGET.build(load_model(path), candidate, None, Site(get_profile(where)), out)
    assert TARGET.runner(artifact, Site(get_profile(where))).options["sparsity"] == sparsity


def test_what_is_known_of_a_board_before_one_is_at_hand() -> None:
    assert limits(Site(get_profile("jetson-nano"))) == Limits(13, 7, (8, 2), (5, 3))
    assert limits(Site(get_profile("jetson-orin-nano"))) == Limits(17, 8, None, (8, 7))
    assert limits(site("8.6.2")).max_opset == 17
    assert limits(Site(Profile("somebody's", "generic", "x86_64", ("tensorrt",)))).capability is None
    assert TARGET.build_key(site("10.3.0")) == {"tensorrt": "10.3.0", "compute_capability": "8.7"}


def test_evidence_is_asked_of_what_is_handed_over(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    built = bench.build(MODELS["conv"], Candidate("tensorrt", Int8Static()))
    assert "parser_evidence" not in built.artifact.provenance
    asked = []
    monkeypatch.setattr(parser_evidence, "version", lambda: "1.7.1")
    monkeypatch.setattr(
        parser_evidence, "ask", lambda questions: asked.extend(questions) or [parser_evidence.Answer(True, "build")]
    )
    found = TARGET.attest(built.folder, built.artifact, bench.site)["parser_evidence"]
    assert asked[0].path == built.folder / "model.onnx"
    assert found["summary"] == "accepted by tensorrt-rtx 1.7.1 for sm_86; not TensorRT, plan discarded"
    assert found["device_compute_capability"] == "8.7"
