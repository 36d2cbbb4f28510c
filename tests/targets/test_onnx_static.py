"""Static int8 on ONNX Runtime: what calibration has to see, and how often it is done."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from edgekit_onnx.target import TARGET
from support.quantized_graphs import graph, node, normal

from edgekit import simulation
from edgekit.errors import ModelError
from edgekit.fidelity import OutputKind
from edgekit.quantize.switches import SwitchedModel
from edgekit.schemes import Int8Dynamic, Int8Static
from edgekit.simulation import Simulation
from edgekit.testing.harness import ListFeeds, Workbench
from edgekit.testing.models import ModelCase
from edgekit.types import BuildData, Candidate, DeviceFacts, Feed, Profile, Site

SITE = Site(
    Profile("test", "generic", "x86_64", ("onnx",)),
    DeviceFacts("real", "Linux", "x86_64", "3.11", "", ("avx2",), 2, None, None, {"onnxruntime": "1.31.0"}),
)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return Workbench(TARGET, SITE, tmp_path)


def picking() -> onnx.ModelProto:
    """Rows with a value above a limit that none reaches go into a product of their own."""
    return graph(
        [
            node("Gemm", "x w", "f"),
            node("ReduceMax", "f", "largest", axes=[1], keepdims=0),
            node("Greater", "largest limit", "chosen"),
            node("Compress", "f chosen", "picked", axis=0),
            node("Gemm", "picked v", "y"),
        ],
        {"x": [4, 6]},
        ["y"],
        w=normal(6, 8),
        v=normal(8, 3, seed=1),
        limit=np.float32(1e6),
    )


def test_a_part_that_calibration_never_reaches_is_this_candidates_fault_alone(bench: Workbench) -> None:
    case = ModelCase("picking", picking, lambda _, seed: {"x": normal(4, 6, seed=seed)})
    with pytest.raises(ModelError, match="'picked' has no range: it was not seen during calibration"):
        bench.build(case, Candidate("onnx", Int8Static()))
    bench.build(case, Candidate("onnx", Int8Dynamic()))


class Counted(ListFeeds):
    read = 0

    def __iter__(self) -> Iterator[Feed]:
        for feed in super().__iter__():
            Counted.read += 1
            yield feed


def normalized() -> onnx.ModelProto:
    channels = {"g": normal(8, seed=3), "o": normal(8, seed=4), "m": normal(8, seed=5), "s": np.abs(normal(8, seed=6)) + 0.1}
    return graph(
        [node("Conv", "x w", "h"), node("BatchNormalization", "h g o m s", "n"), node("Relu", "n", "r"), node("Conv", "r v", "y")],
        {"x": [1, 3, 6, 6]},
        ["y"],
        w=normal(8, 3, 3, 3),
        v=normal(4, 8, 1, 1, seed=2),
        **channels,
    )


def test_a_rewritten_model_is_calibrated_once_and_until_it_is_stable(bench: Workbench) -> None:
    case = ModelCase("normalized", normalized, lambda *_: {"x": normal(1, 3, 6, 6)})
    data = BuildData(Counted(case.feeds(100)), ListFeeds([]), "5" * 64, until_stable=True)
    read = []
    for wide in ({}, {"wide_weights": True}):
        Counted.read = 0
        out = bench.folder / f"out{len(read)}"
        out.mkdir()
        candidate = Candidate("onnx", Int8Static(), build_options={"passes": "batch-norm,equalize", **wide})
        TARGET.build(bench.model(case), candidate, data, bench.site, out)
        read.append(Counted.read)
    assert read == [16, 0]


def pooled() -> onnx.ModelProto:
    """A convolution whose output is rounded by itself, and a product."""
    return graph(
        [
            node("Conv", "x w", "c"),
            node("Sigmoid", "c", "s"),
            node("GlobalAveragePool", "s", "p"),
            node("Flatten", "p", "f"),
            node("Gemm", "f v b", "y"),
        ],
        {"x": [1, 8, 12, 12]},
        ["y"],
        w=normal(16, 8, 3, 3),
        v=normal(16, 4),
        b=normal(4),
    )


def test_where_products_are_dynamic_the_static_kernels_keep_their_names(bench: Workbench) -> None:
    """By them the times of operators are brought back: a DequantizeLinear must not count as the convolution in front of it."""
    case = ModelCase("pooled", pooled, lambda _, seed: {"x": normal(1, 8, 12, 12, seed=seed)})
    built = bench.build(case, Candidate("onnx", Int8Static(), build_options={"dynamic_operators": "Gemm"}))
    operators = {one.name: one.op_type for one in onnx.load(built.folder / "model.onnx").graph.node}
    assert {name: operators[name] for name in "cspfy"} == {
        "c": "Conv", "s": "Sigmoid", "p": "GlobalAveragePool", "f": "Flatten", "y": "MatMulInteger",
    }  # fmt: skip


class Tracked(SwitchedModel):
    alive: ClassVar[weakref.WeakSet[SwitchedModel]] = weakref.WeakSet()
    most = 0

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        Tracked.alive.add(self)
        Tracked.most = max(Tracked.most, len(Tracked.alive))


def test_range_methods_are_simulated_one_after_the_other(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each simulation holds the weights twice: four of them at a time would be what a large model ends by."""
    case = ModelCase("pooled", pooled, lambda _, seed: {"x": normal(1, 8, 12, 12, seed=seed)})
    model, feeds = bench.model(case), case.feeds(8)
    sparable = TARGET.sparable(model, Candidate("onnx", Int8Static()), SITE)
    assert sparable is not None
    view: Any = SimpleNamespace(
        kinds={"y": OutputKind("cosine")}, feeds=feeds, outputs=[bench.reference(case, feed) for feed in feeds]
    )
    tried: list[str] = []
    monkeypatch.setattr(simulation, "SwitchedModel", Tracked)
    found = Simulation(
        model,
        sparable,
        BuildData(ListFeeds(case.feeds(16)), ListFeeds(feeds), "6" * 64),
        view,
        seconds=1.0,
        methods=sparable.range_methods,
        on_method=lambda method, _: tried.append(method),
    )
    assert tried == ["minmax", "percentile", "entropy", "mse"]
    assert Tracked.most == 1
    assert found.of(found.nodes).closeness_db > 15
