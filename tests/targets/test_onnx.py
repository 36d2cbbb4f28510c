from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgekit_onnx.target import TARGET
from onnx import TensorProto, helper, numpy_helper

from edgekit.agent.probe import probe
from edgekit.errors import DataError, ModelError
from edgekit.schemes import Float16, Float32, Int8Dynamic, Int8Static, Vendor, WeightOnly
from edgekit.testing.conformance import TargetConformance
from edgekit.testing.harness import ListFeeds, Workbench, relative_error
from edgekit.testing.models import CASES, ModelCase
from edgekit.types import BuildData, Candidate, DeviceFacts, Profile, Site

VNNI = ("avx2", "avx512f", "avx512_vnni")
#: What is built in a test is run here: on a processor without VNNI, weights made for one that has it would overflow.
HERE = tuple(probe()["cpu_features"])


class TestOnnx(TargetConformance):
    entry_point = "edgekit_onnx.target:TARGET"
    vendor_modules = ("onnx", "onnxruntime", "numpy")


def site(*, features: tuple[str, ...] = HERE, machine: str = "x86_64", runtime: str | None = "1.31.0") -> Site:
    facts = DeviceFacts(
        kind="real", system="Linux", machine=machine, python="3.11", cpu_model="", cpu_features=features, cores=2,
        memory_bytes=None, memory_available_bytes=None, runtimes={"onnxruntime": runtime} if runtime else {},
    )  # fmt: skip
    return Site(Profile("test", "generic", machine, ("onnx",)), facts)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return Workbench(TARGET, site(), tmp_path)


def built(bench: Workbench, case: ModelCase, scheme, keep_float=frozenset(), **build_options) -> onnx.ModelProto:
    candidate = Candidate("onnx", scheme, frozenset(keep_float), build_options)
    return onnx.load(bench.build(case, candidate).folder / "model.onnx")


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def constant(model: onnx.ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == name))


def weight_types(model: onnx.ModelProto, operator: str) -> set[str]:
    return {constant(model, node.input[1]).dtype.name for node in model.graph.node if node.op_type == operator}


def one_node(node: onnx.NodeProto, *shape: int, opset: int = 17, **weights: np.ndarray) -> ModelCase:
    """A model of one node that reads ``x`` of ``shape`` and writes ``y``."""

    def build() -> onnx.ModelProto:
        graph = helper.make_graph(
            [node],
            "one",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)

    def feed(_: int, seed: int) -> dict[str, np.ndarray]:
        return {"x": np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}

    return ModelCase(f"one_{node.op_type}", build, feed)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(11).standard_normal(shape)


# ---------------------------------------------------------------- candidates and refusals
def test_the_naive_recipe_is_offered_beside_the_one_by_operator(bench: Workbench) -> None:
    schemes = [candidate.scheme for candidate in bench.candidates(CASES["conv"])]
    assert Int8Dynamic("uint8") in schemes
    assert Int8Dynamic() in schemes


def test_products_only_is_offered_where_there_are_both_kinds(bench: Workbench) -> None:
    def options(name: str) -> set[str]:
        return {key for candidate in bench.candidates(CASES[name]) for key in candidate.build_options} - {"wide_weights"}

    assert options("conv") == {"operators", "dynamic_operators"}
    assert options("transformer") == set()
    assert options("conv1d") == set()


def test_a_quantized_model_is_offered_as_it_is_and_nothing_else(bench: Workbench, tmp_path: Path) -> None:
    from edgekit.model import load_model

    path = tmp_path / "quantized.onnx"
    onnx.save(built(bench, CASES["conv"], Int8Static()), path)
    model = load_model(path)
    assert [candidate.id for candidate in TARGET.candidates(model, site())] == ["onnx/as-is"]
    refused = TARGET.reject(model, Candidate("onnx", Int8Dynamic()), site())
    assert refused is not None
    assert "quantized already" in refused.why


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (Float16(), "do not gain"),
        (WeightOnly(4), "large enough"),
        (WeightOnly(8, block_size=32), "large enough"),
        (WeightOnly(4, block_size=24), "blocks of 24"),
        (Vendor("fp8"), "do not gain"),
    ],
)
def test_formats_it_has_not_are_refused_before_and_in_build(bench: Workbench, scheme, said: str) -> None:
    candidate = Candidate("onnx", scheme)
    refused = TARGET.reject(bench.model(CASES["conv"]), candidate, bench.site)
    assert refused is not None
    assert said in refused.why
    with pytest.raises(ModelError, match=said):
        bench.build(CASES["conv"], candidate)


def test_a_model_without_weights_is_refused(bench: Workbench) -> None:
    relu = one_node(helper.make_node("Relu", ["x"], ["y"]), 2, 3)
    assert [candidate.scheme for candidate in bench.candidates(relu)] == [Float32()]
    for scheme in (Int8Dynamic(), Int8Static(), WeightOnly(8)):
        assert TARGET.reject(bench.model(relu), Candidate("onnx", scheme), bench.site) is not None


def test_a_recipe_that_changes_nothing_is_no_candidate(bench: Workbench) -> None:
    """Depthwise convolutions alone: what would come out is float under the name of int8."""
    depthwise = helper.make_node("Conv", ["x", "w"], ["y"], group=4)
    case = one_node(depthwise, 1, 4, 8, 8, w=normal(4, 1, 3, 3))
    for scheme in (Int8Dynamic(), Int8Static()):
        with pytest.raises(ModelError, match="changed nothing"):
            bench.build(case, Candidate("onnx", scheme))
    assert bench.build(case, Candidate("onnx", Int8Dynamic("uint8"))).artifact.provenance["nodes_quantized"] == {"Conv": 1}


def test_a_device_without_the_runtime_is_refused(bench: Workbench) -> None:
    refused = TARGET.reject(bench.model(CASES["conv"]), Candidate("onnx", Float32()), site(runtime=None))
    assert refused is not None
    assert "pip install onnxruntime" in refused.instead


def test_a_model_newer_than_the_runtime_on_the_device_is_refused(bench: Workbench) -> None:
    candidate = Candidate("onnx", Float32())
    refused = TARGET.reject(bench.model(CASES["conv"]), candidate, site(runtime="1.11.0"))
    assert refused is not None
    assert "reads up to 16" in refused.why
    assert TARGET.reject(bench.model(CASES["conv"]), candidate, site(runtime="1.12.0")) is None
    older = site(runtime="1.11.0")
    assert TARGET.reject(bench.model(CASES["constants"]), candidate, older) is None, "opset 11, and float stays there"
    assert TARGET.reject(bench.model(CASES["constants"]), Candidate("onnx", Int8Dynamic()), older) is not None


def test_the_build_key_follows_the_device() -> None:
    assert TARGET.build_key(site(features=VNNI, runtime="1.16.3")) == {"max_opset": 19, "max_ir": 9, "processor": "x86-vnni"}
    newest = {"max_opset": None, "max_ir": None}
    assert TARGET.build_key(site(features=("avx2",), runtime="1.31.1")) == {**newest, "processor": "x86"}
    assert TARGET.build_key(site(features=(), machine="aarch64", runtime="2.0")) == {**newest, "processor": "arm"}


def test_the_ir_version_is_capped_by_the_runtime_on_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))

    def newest() -> onnx.ModelProto:
        model = CASES["conv"].build()
        model.ir_version = 10
        return model

    bench = Workbench(TARGET, site(runtime="1.16.0"), tmp_path)
    assert built(bench, dataclasses.replace(CASES["conv"], build=newest), Float32()).ir_version == 9


# ---------------------------------------------------------------- dynamic
def test_weight_types_follow_the_operator(bench: Workbench) -> None:
    model = built(bench, CASES["conv"], Int8Dynamic())
    assert weight_types(model, "ConvInteger") == {"uint8"}
    assert weight_types(model, "MatMulInteger") == {"int8"}
    assert operators(model)["Conv"] == 1, "the depthwise convolution stays float"


def test_the_naive_recipe_takes_everything_in_uint8(bench: Workbench) -> None:
    model = built(bench, CASES["conv"], Int8Dynamic("uint8"))
    assert weight_types(model, "ConvInteger") | weight_types(model, "MatMulInteger") == {"uint8"}
    assert not operators(model)["Conv"]


@pytest.mark.parametrize("weight_type", ["uint8", "int8"])
@pytest.mark.parametrize("name", ["conv", "conv1d", "transformer"])  # that tool garbles a matrix shared with a transposed Gemm
def test_one_weight_type_computes_what_the_vendors_recipe_computes(bench: Workbench, name: str, weight_type) -> None:
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    case = CASES[name]
    ours = bench.build(case, Candidate("onnx", Int8Dynamic(weight_type)))
    path = bench.folder / "vendor.onnx"
    chosen = QuantType.QUInt8 if weight_type == "uint8" else QuantType.QInt8
    quantize_dynamic(
        bench.model(case).path, path, op_types_to_quantize=["Conv", "MatMul", "Gemm"], weight_type=chosen,
        reduce_range=weight_type == "int8" and TARGET.build_key(bench.site)["processor"] == "x86",
        extra_options={"DefaultTensorType": TensorProto.FLOAT, "MatMulConstBOnly": True},
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    for feed in case.feeds(3):
        want = dict(zip(names, session.run(names, feed), strict=True))
        assert relative_error(bench.run(ours, feed), want) < 1e-5


def test_an_activation_is_quantized_once_for_all_its_readers(bench: Workbench) -> None:
    assert operators(built(bench, CASES["transformer"], Int8Dynamic()))["DynamicQuantizeLinear"] == 4  # 6 products, 3 read one


def test_only_the_listed_operators_are_quantized(bench: Workbench) -> None:
    found = operators(built(bench, CASES["conv"], Int8Dynamic(), operators="Gemm"))
    assert found["Conv"] == 3
    assert found["MatMulInteger"] == 1


def gemm_case(shape: tuple[int, int], b: np.ndarray, **attributes: float) -> ModelCase:
    return one_node(helper.make_node("Gemm", ["x", "w", "c"], ["y"], **attributes), *shape, w=b, c=normal(5))


@pytest.mark.parametrize("scheme", [Int8Dynamic(), Int8Static()])
@pytest.mark.parametrize(
    "case", [gemm_case((3, 6), normal(6, 5), alpha=0.25), gemm_case((3, 6), normal(5, 6), transB=1, alpha=2.0)]
)
def test_gemm_keeps_its_meaning(bench: Workbench, case: ModelCase, scheme) -> None:
    feed = case.feed(1, 2)
    got = bench.run(bench.build(case, Candidate("onnx", scheme)), feed)
    assert relative_error(got, bench.reference(case, feed)) < 0.05


@pytest.mark.parametrize("scheme", [Int8Dynamic(), Int8Static()])
@pytest.mark.parametrize("case", [gemm_case((6, 3), normal(6, 5), transA=1), gemm_case((3, 6), normal(6, 5), beta=0.5)])
def test_gemm_with_no_integer_form_is_left(bench: Workbench, case: ModelCase, scheme) -> None:
    """The vendor's static tool takes a Gemm with a beta, and forgets the beta: outputs 45 % off."""
    with pytest.raises(ModelError, match="changed nothing"):
        bench.build(case, Candidate("onnx", scheme))


def test_an_lstm_whose_layout_would_be_lost_stays_float(bench: Workbench) -> None:
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["", "y"], hidden_size=4, layout=1)
    model = lstm_model(lstm)
    assert graph_after_dynamic(model)["LSTM"] == 1
    del lstm.attribute[:]
    lstm.attribute.append(helper.make_attribute("hidden_size", 4))
    assert graph_after_dynamic(lstm_model(lstm))["DynamicQuantizeLSTM"] == 1


def lstm_model(node: onnx.NodeProto) -> onnx.ModelProto:
    weights = {"w": normal(1, 16, 3), "r": normal(1, 16, 4)}
    return one_node(node, 5, 2, 3, **weights).build()


def graph_after_dynamic(model: onnx.ModelProto) -> Counter[str]:
    from edgekit_onnx.quantize_dynamic import quantize_dynamic

    quantize_dynamic(model, weight_type="per-operator")
    return operators(model)


# ---------------------------------------------------------------- static
def test_softmax_and_elementwise_operators_stay_float(bench: Workbench) -> None:
    """They are not quantized, and what they read is rounded only where an integer kernel put it out."""
    for name in ("transformer", "conv"):
        model = built(bench, CASES[name], Int8Static())
        producer = {name: node for node in model.graph.node for name in node.output}
        products = {"Conv", "MatMul", "Gemm"}
        for node in model.graph.node:
            if node.op_type in products or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                continue
            for dequantize in (producer[name] for name in node.input if name in producer):
                if dequantize.op_type == "DequantizeLinear" and dequantize.input[0] in producer:  # no integer bias
                    assert producer[producer[dequantize.input[0]].input[0]].op_type in products
    residual = next(node for node in built(bench, CASES["transformer"], Int8Static()).graph.node if "hidden" in node.output)
    assert "residual" in residual.input, "the shortcut is not rounded for the product that reads it too"
    final = built(bench, CASES["conv"], Int8Static()).graph
    assert next(node for node in final.node if "probabilities" in node.output).op_type == "Softmax"


def test_an_output_that_a_product_reads_too_is_not_rounded(bench: Workbench) -> None:
    def build() -> onnx.ModelProto:
        model = one_node(helper.make_node("Relu", ["x"], ["h"]), 4, 16, w=normal(16, 16)).build()
        model.graph.node.append(helper.make_node("MatMul", ["h", "w"], ["y"]))
        model.graph.output.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [4, 16]))
        return model

    case = ModelCase("two_outputs", build, lambda _, seed: {"x": np.random.default_rng(seed).standard_normal((4, 16)).astype("f4")})
    feed = case.feed(1, 3)
    got = bench.run(bench.build(case, Candidate("onnx", Int8Static())), feed)
    assert np.array_equal(got["h"], bench.reference(case, feed)["h"])
    assert relative_error(got, bench.reference(case, feed)) < 0.05


@pytest.mark.parametrize("scheme", [Int8Dynamic(), Int8Dynamic("uint8"), Int8Static(), WeightOnly(8)])
def test_a_shared_matrix_keeps_its_meaning_in_both_directions(bench: Workbench, scheme) -> None:
    feed = CASES["shared"].feed(3, 5)
    got = bench.run(bench.build(CASES["shared"], Candidate("onnx", scheme)), feed)
    assert relative_error(got, bench.reference(CASES["shared"], feed)) < 0.15


def test_products_of_two_activations_stay_float(bench: Workbench) -> None:
    model = built(bench, CASES["transformer"], Int8Static())
    producer = {name: node.op_type for node in model.graph.node for name in node.output}
    stored = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8}
    dequantized = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in stored}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    of_two_activations = [node for node in products if node.input[1] not in dequantized]
    assert len(products) == 8
    assert len(of_two_activations) == 2
    for node in of_two_activations:  # what the projections put out is dequantized; what these products put out is not quantized
        readers = {reader.op_type for reader in model.graph.node if node.output[0] in reader.input}
        assert producer[node.output[0]] == "MatMul"
        assert readers <= {"Mul", "QuantizeLinear"}
    assert {reader.op_type for reader in model.graph.node if "scores" in reader.input} == {"Mul"}


def test_weights_have_one_scale_a_channel_and_activations_one_a_tensor(bench: Workbench) -> None:
    model = built(bench, CASES["constants"], Int8Static())  # comes as opset 11, where that cannot be written
    assert model.opset_import[0].version >= 13
    stored = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            assert constant(model, node.input[1]).ndim == 1
        elif node.op_type == "QuantizeLinear":
            assert constant(model, node.input[1]).ndim == 0
            assert constant(model, node.input[2]).dtype == np.uint8


def test_weights_in_constant_nodes_are_quantized(bench: Workbench) -> None:
    for scheme in (Int8Dynamic(), Int8Static()):
        artifact = bench.build(CASES["constants"], Candidate("onnx", scheme)).artifact
        assert artifact.provenance["nodes_quantized"] == {"Conv": 2, "Gemm": 1}
        assert artifact.provenance["nodes_with_float_weights"] == {"Conv": 1}


def test_a_relu_is_absorbed_unless_it_is_to_be_kept(bench: Workbench) -> None:
    assert operators(built(bench, CASES["conv"], Int8Static()))["Relu"] == 1, "the one behind the float depthwise convolution"
    assert operators(built(bench, CASES["conv"], Int8Static(), {"r1"}))["Relu"] == 2


def test_a_clip_that_excludes_zero_is_not_absorbed(bench: Workbench) -> None:
    """A uint8 range always includes zero, so such a bound would be lost."""
    for low, high in ((-0.5, 0.5), (0.25, 0.75)):
        case = clip_case(low, high)
        feed = case.feed(1, 4)
        run = bench.build(case, Candidate("onnx", Int8Static()))
        assert relative_error(bench.run(run, feed), bench.reference(case, feed)) < 0.08


def clip_case(low: float, high: float) -> ModelCase:
    case = one_node(
        helper.make_node("MatMul", ["x", "w"], ["h"]), 8, 16, w=normal(16, 16) / 4, low=np.float32(low), high=np.float32(high)
    )

    def build() -> onnx.ModelProto:
        model = case.build()
        model.graph.node.append(helper.make_node("Clip", ["h", "low", "high"], ["y"]))
        return model

    return ModelCase(f"clip_{low}", build, case.feed)


def test_dynamic_products_and_static_convolutions_in_one_model(bench: Workbench) -> None:
    found = operators(built(bench, CASES["conv"], Int8Static(), dynamic_operators="Gemm"))
    assert found["MatMulInteger"] == 1
    assert found["QuantizeLinear"] >= 2
    assert not found["Gemm"]


def test_each_calibration_feed_is_read_once_and_its_errors_pass_through(bench: Workbench) -> None:
    class Counting(ListFeeds):
        n = 0

        def __iter__(self):
            for feed in super().__iter__():
                Counting.n += 1
                if Counting.n > 20:
                    raise DataError("the 21st feed is broken")
                yield feed

    case, candidate = CASES["conv"], Candidate("onnx", Int8Static())
    for n in (20, 1):
        out = bench.folder / str(n)
        out.mkdir()
        data = BuildData(Counting(case.feeds(n)), ListFeeds([]), f"{n:064}")
        if n == 20:
            TARGET.build(bench.model(case), candidate, data, bench.site, out)
            assert Counting.n == 20
        else:
            with pytest.raises(DataError, match="21st"):
                TARGET.build(bench.model(case), candidate, data, bench.site, out)
            assert not list(out.iterdir())


def test_static_without_data_is_an_error_that_names_calib(bench: Workbench) -> None:
    with pytest.raises(ModelError, match="--calib"):
        TARGET.build(bench.model(CASES["conv"]), Candidate("onnx", Int8Static()), None, bench.site, bench.folder)


# ---------------------------------------------------------------- processors, sharing, keep_float, weight-only
def test_weights_keep_to_seven_bits_where_products_would_saturate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    largest = {}
    for features in (("avx2",), VNNI):
        folder = tmp_path / "_".join(features)
        folder.mkdir()
        bench = Workbench(TARGET, site(features=features), folder)
        for scheme in (Int8Dynamic(), Int8Static()):
            model = built(bench, CASES["transformer"], scheme)
            arrays = [numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == TensorProto.INT8]
            largest[features, scheme.slug] = max(int(np.abs(array.astype(int)).max(initial=0)) for array in arrays)
    assert {largest[("avx2",), slug] for slug in ("int8-dynamic", "int8")} <= {63, 64}
    assert largest[VNNI, "int8-dynamic"] == 127
    assert largest[VNNI, "int8"] in (127, 128)


@pytest.mark.parametrize("scheme", [Int8Dynamic(), Int8Dynamic("uint8"), Int8Static(), WeightOnly(8)])
def test_a_shared_matrix_is_stored_once_a_direction(bench: Workbench, scheme) -> None:
    model = built(bench, CASES["shared"], scheme)
    matrices = [tensor for tensor in model.graph.initializer if list(tensor.dims) == [64, 64]]
    assert 1 <= len(matrices) <= 2
    assert {tensor.data_type for tensor in matrices} <= {TensorProto.INT8, TensorProto.UINT8}


@pytest.mark.parametrize("scheme", [Int8Dynamic(), Int8Dynamic("uint8"), Int8Static(), WeightOnly(8)])
def test_one_node_is_kept_and_the_others_are_not(bench: Workbench, scheme) -> None:
    model = built(bench, CASES["transformer"], scheme, {"projected"})
    node = next(node for node in model.graph.node if "projected" in node.output)
    assert node.op_type == "MatMul"
    assert constant(model, node.input[1]).dtype == np.float32
    assert sum(list(t.dims) == [32, 32] and t.data_type == TensorProto.FLOAT for t in model.graph.initializer) == 1


def test_a_gemm_is_kept_under_its_own_name(bench: Workbench) -> None:
    for scheme in (Int8Dynamic(), Int8Static()):
        assert operators(built(bench, CASES["conv"], scheme, {"logits"}))["Gemm"] == 1


def test_weight_only_stores_a_quarter_and_is_folded_when_loaded(bench: Workbench) -> None:
    case = CASES["embedding"]
    candidate = bench.build(case, Candidate("onnx", WeightOnly(8)))
    model = onnx.load(candidate.folder / "model.onnx")
    table = [node for node in model.graph.node if node.op_type == "Gather" and constant(model, node.input[0]).dtype == np.int8]
    assert len(table) == 1, "the table of 64 x 32 is int8; that of 2 x 32 is not worth it"
    assert TARGET.runner(candidate.artifact, bench.site).options["fold_weights"] is True
    feed = case.feed(2, 3)
    assert (
        relative_error({"logits": bench.run(candidate, feed)["logits"]}, {"logits": bench.reference(case, feed)["logits"]}) < 0.02
    )


def test_a_body_that_reads_a_weight_of_the_main_graph_keeps_the_float(bench: Workbench) -> None:
    for scheme in (Int8Dynamic(), Int8Static(), WeightOnly(8)):
        model = built(bench, CASES["conditional"], scheme)
        assert constant(model, "w").dtype == np.float32


def test_a_broken_artifact_never_leaves_the_build(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit_onnx import quantize_dynamic as module

    monkeypatch.setattr(module.graphs, "drop_unused", lambda graph: graph.ClearField("initializer"))
    with pytest.raises(ModelError, match="does not accept"):
        bench.build(CASES["conv"], Candidate("onnx", Int8Dynamic()))


def test_root_logging_is_left_as_it_was(bench: Workbench) -> None:
    import logging
    import tempfile

    handlers, folder = list(logging.getLogger().handlers), tempfile.tempdir
    bench.build(CASES["conv"], Candidate("onnx", Int8Static()))
    assert list(logging.getLogger().handlers) == handlers
    assert tempfile.tempdir == folder
    assert not list(Path(os.environ["EDGEKIT_HOME"]).glob("cache/work/run.*"))
