"""What ONNX Runtime makes of the tables on this processor: integer kernels for all that is planned, float for all that is kept."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgekit_onnx.device import Session
from edgekit_onnx.node_times import node_times, part_of
from edgekit_onnx.placements import ARM, X86, X86_VNNI, placement_for
from edgekit_onnx.target import TARGET
from onnx import TensorProto, helper, numpy_helper
from support.digits import as_input, read_digits, split_indices
from support.quantized_graphs import copy, graph, node, normal, ranges_of, session, sqnr_db
from support.requirements import models_folder

from edgekit.errors import ModelError
from edgekit.frontends.graph import node_id
from edgekit.quantize.emitter import emit_qdq
from edgekit.quantize.placement import plan_placement
from edgekit.schemes import Float32, Int8Dynamic, Int8Static
from edgekit.testing.harness import Workbench, relative_error
from edgekit.testing.models import CASES, ModelCase
from edgekit.types import Candidate, DeviceFacts, Profile, Site

INTEGER = {"Conv": {"QLinearConv"}, "MatMul": {"QLinearMatMul", "MatMulIntegerToFloat", "QGemm"}, "Gemm": {"QGemm"}}


def mobile() -> onnx.ModelProto:
    """Pointwise, depthwise and pointwise convolutions, a shortcut, and a Gemm."""
    return graph(
        [
            node("Conv", "x w1 b", "c1"),
            node("Relu", "c1", "r1"),
            node("Conv", "r1 w2 b", "c2", group=8, pads=[1, 1, 1, 1]),
            node("Relu", "c2", "r2"),
            node("Conv", "r2 w3", "c3"),
            node("Add", "c3 x", "sum"),
            node("Conv", "sum w4 b", "c4", pads=[1, 1, 1, 1]),
            node("MaxPool", "c4", "pooled", kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", "pooled", "flat"),
            node("Gemm", "flat w5 b5", "y", transB=1),
        ],
        {"x": [1, 8, 8, 8]},
        ["y"],
        w1=normal(8, 8, 1, 1, seed=1), w2=normal(8, 1, 3, 3, seed=2) / 3, w3=normal(8, 8, 1, 1, seed=3) / 3, b=normal(8, seed=4),
        w4=normal(8, 8, 3, 3, seed=5) / 8, w5=normal(6, 128, seed=6) / 11, b5=normal(6, seed=7),
    )  # fmt: skip


def encoder() -> onnx.ModelProto:
    """Products with biases over a static sequence, which the runtime turns into Gemm, and a chain of two."""
    return graph(
        [
            node("MatMul", "x w1", "p1"),
            node("Add", "p1 b1", "h1"),
            node("Softmax", "h1", "s"),
            node("MatMul", "s w2", "p2"),
            node("Add", "b2 p2", "h2"),
            node("Relu", "h2", "r"),
            node("MatMul", "r w3", "h3"),
            node("Add", "h3 x", "y"),
        ],
        {"x": [1, 6, 16]},
        ["y"],
        w1=normal(16, 16, seed=1), b1=normal(16, seed=2), w2=normal(16, 32, seed=3), b2=normal(32, seed=4),
        w3=normal(32, 16, seed=5),
    )  # fmt: skip


def feeds(model: onnx.ModelProto, n: int = 6) -> list[dict[str, np.ndarray]]:
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    return [{"x": normal(*shape, seed=seed)} for seed in range(n)]


def quantized(model: onnx.ModelProto, placement=X86, keep=()) -> onnx.ModelProto:
    made = copy(model)
    emit_qdq(made, plan_placement(made.graph, placement, keep_float=keep), placement, ranges_of(model, feeds(model)))
    return made


def kernels(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    path = str(folder / "optimized.onnx")
    session(model, optimized=path)
    return Counter(one.op_type for one in onnx.load(path).graph.node)


@pytest.mark.parametrize(
    "table", [X86, X86_VNNI, ARM, replace(X86, weight_bits=8, weight_type="uint8")], ids=lambda table: table.name
)
@pytest.mark.parametrize("model", [mobile(), encoder()], ids=["mobile", "encoder"])
def test_what_is_planned_becomes_an_integer_kernel(model: onnx.ModelProto, table, tmp_path: Path) -> None:
    if table is ARM and platform.machine() not in ("aarch64", "arm64"):
        pytest.skip("kernels for int8 activations are on ARM alone")
    planned = Counter(operator.operator for operator in plan_placement(model.graph, table))
    found = kernels(quantized(model, table), tmp_path)
    for operator, count in planned.items():
        assert sum(found[kernel] for kernel in INTEGER[operator]) == count
        assert found[operator] + found[f"Fused{operator}"] == (1 if operator == "Conv" else 0), "the depthwise one stays float"


def test_what_stays_float_between_quantized_tensors_is_not_quantized_by_the_runtime(tmp_path: Path) -> None:
    """Without the guard the runtime stores the depthwise weights, and those that are kept, in int8 by itself."""
    unguarded = replace(X86, guard_floats=False)
    assert kernels(quantized(mobile(), unguarded), tmp_path)["QLinearConv"] == 4
    assert kernels(quantized(mobile()), tmp_path)["QLinearConv"] == 3
    kept = kernels(quantized(mobile(), keep={"c4"}), tmp_path)
    assert (kept["QLinearConv"], kept["Conv"]) == (2, 2)


@pytest.mark.parametrize("model", [mobile(), encoder()], ids=["mobile", "encoder"])
def test_as_close_to_float_as_the_vendors_recipe(model: onnx.ModelProto, tmp_path: Path) -> None:
    held_out = feeds(model, 30)[6:]
    ours = session(quantized(model, replace(X86, keep_depthwise_float=False, guard_floats=False)))
    theirs = session(vendors(model, feeds(model), tmp_path))
    exact = session(model)
    reference, got, peers = ([one.run(None, feed)[0] for feed in held_out] for one in (exact, ours, theirs))
    assert sqnr_db(reference, got) >= sqnr_db(reference, peers) - 0.3  # the two round differently: less than this is chance


@pytest.mark.real_model
def test_as_close_to_float_as_the_vendors_recipe_on_digits(tmp_path: Path) -> None:
    model = onnx.load(Path(__file__).parents[1] / "assets" / "digits" / "digits.onnx")
    images, _ = read_digits(models_folder() / "digits")
    fit, held_out = (
        [{model.graph.input[0].name: picture[None]} for picture in as_input(images[split_indices(name)[:n]])]
        for name, n in (("calibration", 200), ("evaluation", 400))
    )
    made = copy(model)
    emit_qdq(made, plan_placement(made.graph, X86), X86, ranges_of(model, fit))
    exact, ours, theirs = session(model), session(made), session(vendors(model, fit, tmp_path))
    reference, got, peers = ([one.run(None, feed)[0] for feed in held_out] for one in (exact, ours, theirs))
    assert sqnr_db(reference, got) >= sqnr_db(reference, peers)


def vendors(model: onnx.ModelProto, fit: list[dict[str, np.ndarray]], folder: Path) -> onnx.ModelProto:
    """By ``onnxruntime.quantization.quantize_static`` at the same precision and coverage, ranges by minimum and maximum."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader:
        def __init__(self) -> None:
            self.feeds = iter(fit)

        def get_next(self):
            return next(self.feeds, None)

    source, result = folder / "float.onnx", folder / "int8.onnx"
    named = copy(model)
    for index, one in enumerate(named.graph.node):
        one.name = f"node_{index}"
    onnx.save(named, source)
    quantize_static(
        str(source), str(result), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
        op_types_to_quantize=["Conv", "MatMul", "Gemm", "Relu"], activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax, extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip
    return onnx.load(result)


# ---------------------------------------------------------------- sites and profiles
@pytest.mark.parametrize(
    ("machine", "features", "table"),
    [
        ("x86_64", ("avx2", "avx_vnni"), X86_VNNI), ("AMD64", ("avx2",), X86), ("aarch64", ("asimddp",), ARM), ("armv7l", (), ARM),
        ("riscv64", (), X86_VNNI),
    ],
)  # fmt: skip
def test_the_table_follows_the_processor(machine: str, features: tuple[str, ...], table) -> None:
    facts = DeviceFacts("real", "Linux", machine, "3.11", "", features, 2, None, None, {"onnxruntime": "1.31.0"})
    assert placement_for(Site(Profile("test", "generic", machine, ("onnx",)), facts)) is table


def test_a_device_that_was_not_probed_is_taken_to_overflow() -> None:
    assert placement_for(Site(Profile("test", "generic", "x86_64", ("onnx",)))) is X86


@pytest.mark.parametrize("kind", ["float", "static", "kept"])
def test_times_come_back_to_the_operators(kind: str, tmp_path: Path) -> None:
    model = mobile()
    for one in model.graph.node:
        one.name = node_id(one)
    made = model if kind == "float" else quantized(model, keep={"c4"} if kind == "kept" else ())
    path = tmp_path / "model.onnx"
    onnx.save(made, path)
    opened = Session({"model.onnx": str(path)}, {"layers": True})
    for _ in range(3):
        opened.run(feeds(model)[0])
    layers = opened.layers()
    assert layers is not None
    found = node_times(json.loads(json.dumps(layers)), model.graph)
    weighted = {node_id(one) for one in model.graph.node if one.op_type in ("Conv", "Gemm")}
    assert weighted <= set(found)
    assert set(found) <= {"", *(node_id(one) for one in model.graph.node)}
    assert sum(found.values()) == pytest.approx(sum(row["time_s"] / row["n"] for row in layers))


def test_times_of_dynamic_products_come_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.frontends import onnx_frontend

    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    case = CASES["transformer"]
    bench = Workbench(TARGET, Site(Profile("test", "generic", "x86_64", ("onnx",))), tmp_path)
    built = bench.build(case, Candidate("onnx", Int8Dynamic()))
    opened = Session({"model.onnx": str(built.folder / "model.onnx")}, {"layers": True})
    opened.run(case.feed(1, 0))
    found = node_times(opened.layers() or [], onnx_frontend.read_raised(bench.model(case)).graph)
    assert {"q_product", "k_product", "v_product", "projected", "wide", "narrow"} <= set(found)


def test_a_part_of_an_operator_counts_as_that_operator() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    single = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "one", [value], [value])
    rows = [
        {"name": part_of("r", "Mul"), "op": "Mul", "time_s": 1.0, "n": 2},
        {"name": "r_nchwc_token_4", "op": "Relu", "time_s": 1.0, "n": 1},
        {"name": "other", "op": "Transpose", "time_s": 3.0, "n": 1},
    ]
    assert node_times(rows, single) == {"r": 1.5, "": 3.0}


# ---------------------------------------------------------------- through the target
@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return Workbench(TARGET, WITHOUT_VNNI, tmp_path)


WITHOUT_VNNI = Site(
    Profile("test", "generic", "x86_64", ("onnx",)),
    DeviceFacts("real", "Linux", "x86_64", "3.11", "", ("avx2",), 2, None, None, {"onnxruntime": "1.31.0"}),
)
CASE = ModelCase("mobile", mobile, lambda _, seed: {"x": normal(1, 8, 8, 8, seed=seed)})


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_every_range_method_is_taken(bench: Workbench, method) -> None:
    built = bench.build(CASE, Candidate("onnx", Int8Static(method)))
    feed = CASE.feed(1, 3)
    assert relative_error(bench.run(built, feed), bench.reference(CASE, feed)) < 0.3


def test_refinements_are_built_and_an_unknown_pass_is_named(bench: Workbench) -> None:
    base = Candidate("onnx", Int8Static())
    changes = TARGET.refinements(bench.model(CASE), base, bench.site)
    assert [next(iter(change)) for change in changes] == ["passes", "passes"]
    for change in changes:
        built = bench.build(CASE, replace(base, build_options=dict(change)))
        feed = CASE.feed(1, 3)
        assert relative_error(bench.run(built, feed), bench.reference(CASE, feed)) < 0.2
        again = TARGET.refinements(bench.model(CASE), built.candidate, bench.site)
        assert change not in again
    assert TARGET.refinements(bench.model(CASE), Candidate("onnx", Int8Dynamic()), bench.site) == []
    with pytest.raises(ModelError, match="'smooth'"):
        bench.build(CASE, replace(base, build_options={"passes": "smooth"}))


def test_wide_weights_are_stored_in_uint8_and_use_all_of_it(bench: Workbench) -> None:
    built = bench.build(CASE, Candidate("onnx", Int8Static(), build_options={"wide_weights": True}))
    stored = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load(built.folder / "model.onnx").graph.initializer
        if len(tensor.dims) >= 2 and tensor.data_type == TensorProto.UINT8
    ]
    assert len(stored) == 4
    assert max(int(array.max()) for array in stored) == 255
    assert built.artifact.provenance["weight_bits"] == 8


def test_what_can_be_spared_is_what_is_quantized(bench: Workbench) -> None:
    base = Candidate("onnx", Int8Static())
    found = TARGET.sparable(bench.model(CASE), base, bench.site)
    assert found is not None
    assert [item.node for item in found.items] == ["c1", "c3", "c4", "y"]
    assert not any(item.dynamic for item in found.items)
    mixed = TARGET.sparable(bench.model(CASE), replace(base, build_options={"dynamic_operators": "Gemm"}), bench.site)
    assert mixed is not None
    assert [item.node for item in mixed.items if item.dynamic] == ["y"]
    balanced = TARGET.sparable(bench.model(CASE), replace(base, build_options={"passes": "batch-norm,equalize,bias"}), bench.site)
    assert balanced is not None
    assert balanced.items == found.items
    assert balanced.rewrites == ("batch-norm", "equalize"), "what is simulated is the model that is built"
    assert TARGET.sparable(bench.model(CASE), Candidate("onnx", Float32()), bench.site) is None
