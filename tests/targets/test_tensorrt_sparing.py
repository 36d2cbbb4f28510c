"""What may be spared of int8 and of int8+fp16 on TensorRT, also after channels were equalized, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from edgekit_tensorrt.sparing import node_seconds
from edgekit_tensorrt.target import TARGET
from onnx import TensorProto
from support.quantized_graphs import sqnr_db

from edgekit.fidelity import OutputKind
from edgekit.frontends.graph import node_id
from edgekit.profiles import get_profile
from edgekit.schemes import Float16, Float32, Int8Static, Scalar, Vendor
from edgekit.simulation import Simulation
from edgekit.testing.harness import ListFeeds, Workbench
from edgekit.testing.models import CASES
from edgekit.types import BuildData, Candidate, Site

CASE = CASES["conv"]
INT8, MIXED = Candidate("tensorrt", Int8Static()), Candidate("tensorrt", Vendor("int8+fp16"))
EQUALIZED: dict[str, Scalar] = {"passes": "batch-norm,equalize"}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return Workbench(TARGET, Site(get_profile("jetson-orin-nano")), tmp_path, simulated=True)


def test_times_of_layers_are_shared_out_and_what_belongs_to_no_operator_counts_as_well() -> None:
    graph = CASE.build().graph
    rows = [
        {"name": "c1 + r1", "op": "", "time_s": 0.4, "n": 20},
        {"name": "c3", "op": "", "time_s": 0.1, "n": 20},
        {"name": "Reformatting CopyNode for Input Tensor 0 to c1_", "op": "", "time_s": 0.06, "n": 20},
    ]
    assert node_seconds(rows, graph) == {
        "c1": pytest.approx(0.01),
        "r1": pytest.approx(0.01),
        "c3": pytest.approx(0.005),
        "": 0.003,
    }
    assert node_seconds(rows[2:], graph) == {}, "nothing is known of any operator"


def test_int8_and_int8_with_float16_spare_the_same_operators(bench: Workbench) -> None:
    model = bench.model(CASE)
    int8, mixed = (TARGET.sparable(model, candidate, bench.site) for candidate in (INT8, MIXED))
    assert int8 is not None
    assert mixed is not None
    assert int8.items
    assert mixed.items == int8.items
    for candidate in (INT8, MIXED):
        assert int8.method_option == mixed.method_option == "range_method"
        other = TARGET.sparable(model, replace(candidate, build_options={"range_method": "mse"}), bench.site)
        assert other is not None
        assert other.range_method == "mse"
    for scheme in (Float32(), Float16()):
        assert TARGET.sparable(model, Candidate("tensorrt", scheme), bench.site) is None


def test_ranges_that_clip_are_tried_for_matrix_products_and_make_other_scales(bench: Workbench) -> None:
    clipped: dict[str, Scalar] = {"range_method": "percentile"}
    transformer = CASES["transformer"]
    assert clipped in TARGET.refinements(bench.model(transformer), INT8, bench.site)
    assert clipped not in TARGET.refinements(bench.model(CASE), INT8, bench.site)
    plain, other = (
        bench.build(transformer, candidate) for candidate in (INT8, replace(INT8, build_options={"range_method": "mse"}))
    )
    assert (plain.folder / "model.onnx").read_bytes() != (other.folder / "model.onnx").read_bytes()


def test_what_is_spared_is_float32_with_int8_and_float16_beside_it(bench: Workbench) -> None:
    sparable = TARGET.sparable(bench.model(CASE), INT8, bench.site)
    assert sparable is not None
    spared = next(item.node for item in sparable.items if item.operator.weight is not None)

    def weight_of(candidate: Candidate) -> int | None:
        """The type in which the weight of ``spared`` is stored in front of it; None where it is rounded."""
        graph = onnx.load(bench.build(CASE, candidate).folder / "model.onnx").graph
        node = next(each for each in graph.node if spared in (node_id(each), each.name))
        stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
        return stored.get(node.input[1])

    kept = frozenset({spared})
    assert weight_of(INT8) is None
    assert weight_of(replace(INT8, keep_float=kept)) == TensorProto.FLOAT
    assert weight_of(MIXED) is None
    mixed = TARGET.sparable(bench.model(CASE), MIXED, bench.site)
    assert mixed is not None
    assert not sparable.spared_options
    assert weight_of(replace(MIXED, keep_float=kept)) == TensorProto.FLOAT
    assert weight_of(replace(MIXED, keep_float=kept, build_options=dict(mixed.spared_options))) == TensorProto.FLOAT16
    half = Candidate("tensorrt", Float16(), keep_float=kept)
    assert weight_of(half) == TensorProto.FLOAT


def test_the_simulation_of_an_equalized_model_is_that_of_its_artifact(bench: Workbench) -> None:
    model, candidate = bench.model(CASE), replace(INT8, build_options=EQUALIZED)
    sparable = TARGET.sparable(model, candidate, bench.site)
    assert sparable is not None
    assert sparable.rewrites == ("batch-norm", "equalize")
    feeds = CASE.feeds(8)
    references = [bench.reference(CASE, feed) for feed in feeds]

    view: Any = SimpleNamespace(
        kinds={name: OutputKind("cosine") for name in references[0]},
        feeds=feeds,
        outputs=references,
    )
    data = BuildData(ListFeeds(CASE.feeds(16)), ListFeeds(feeds), "0" * 64)
    simulation = Simulation(
        model,
        sparable,
        data,
        view,
        seconds=5.0,
        methods=["minmax"],
        on_method=lambda *_: None,
    )
    built = bench.build(CASE, candidate)
    outputs = [bench.run(built, feed) for feed in feeds]
    name = next(iter(references[0]))
    real_db = sqnr_db([want[name] for want in references], [got[name] for got in outputs])
    assert simulation.of(simulation.nodes).closeness_db == pytest.approx(real_db, abs=0.5)
    assert simulation.of([]).closeness_db > 80, "what is rewritten still computes the same"
    assert np.isfinite(real_db)
