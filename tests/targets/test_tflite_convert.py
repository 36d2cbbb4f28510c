"""ONNX to float TFLite: at one shape, with names that survive, equal to ONNX Runtime or an error that says where it is not."""

from __future__ import annotations

import contextlib
import copy
import gc
import shutil
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgekit_tflite import convert, graph, vendor
from edgekit_tflite.convert_shapes import fixed_feeds, pin
from edgekit_tflite.model_file import read_file
from edgekit_tflite.target import TARGET
from onnx import TensorProto, helper
from support.requirements import missing

from edgekit.demo import demo_models
from edgekit.errors import MissingExtraError, ModelError
from edgekit.frontends.onnx_frontend import read_raised
from edgekit.model import Model, load_model
from edgekit.schemes import Float32
from edgekit.types import BuildData, Candidate, Profile, Site, TensorSpec

try:
    vendor.litert("interpreter")
except MissingExtraError as problem:
    missing(str(problem))


@pytest.fixture(autouse=True)
def _forget_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "_failures", {})


def load(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, np.ndarray]) -> Model:
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    made = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, constants), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(made, path)
    return load_model(path)


def tensor(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.fixture
def products(tmp_path: Path) -> Model:
    """Names that the converter would change, shape arithmetic, and two products of three dimensions, one with a bias."""
    random = np.random.default_rng(0)
    return load(
        tmp_path / "products.onnx",
        [
            helper.make_node("MatMul", ["x:0", "w1"], ["a:1"]),
            helper.make_node("Add", ["a:1", "b1"], ["a_1"]),
            helper.make_node("Relu", ["a_1"], ["relu"]),
            helper.make_node("MatMul", ["relu", "w2"], ["c"]),
            helper.make_node("Shape", ["c"], ["shape"]),
            helper.make_node("Gather", ["shape", "one"], ["length"]),
            helper.make_node("Concat", ["minus", "length"], ["flat"], axis=0),
            helper.make_node("Reshape", ["c", "flat"], ["y:0"]),
        ],
        [tensor("x:0", ["n", 5, 8])],
        [tensor("y:0", ["m", 5])],
        {
            "w1": random.standard_normal((8, 6)).astype(np.float32),
            "b1": random.standard_normal(6).astype(np.float32),
            "w2": random.standard_normal((6, 4)).astype(np.float32),
            "one": np.array([1]),
            "minus": np.array([-1]),
        },
    )


def test_a_picture_model_is_converted_and_equal(tmp_path: Path) -> None:
    model = load_model(demo_models()[1].model)
    made = convert.convert(model)
    assert made.difference < 1e-5
    assert [(m.role, m.original.name, m.artifact.shape, m.permutation) for m in made.io] == [
        ("input", "image", (1, 1, 28, 28), None),
        ("output", "logits", (1, 10), None),
    ]
    operators = graph.read(made.path).operators
    ids = {name for node in read_raised(model).graph.node for name in node.output}
    assert set(made.operators) <= ids
    (first,) = [index for index in made.operators["conv1"] if operators[index].kind == "CONV_2D"]
    assert first in made.operators["conv1_relu"], "a fused activation names the operator it is part of"
    assert {index for members in made.operators.values() for index in members} == set(range(len(operators)))
    assert convert.convert(model).path == made.path, "kept in the cache"
    again = tmp_path / "again"
    again.mkdir()
    feeds = fixed_feeds(model.inputs, None, n=1)
    convert._convert(model, feeds, again)
    assert (again / convert.ENTRY).read_bytes() == made.path.read_bytes(), "the same file every time"


def test_products_become_fully_connected_and_names_survive(products: Model) -> None:
    made = convert.convert(products)
    kinds = Counter(operator.kind for operator in graph.read(made.path).operators)
    assert (kinds["FULLY_CONNECTED"], kinds["BATCH_MATMUL"]) == (2, 0)
    assert not {"SHAPE", "GATHER"} & set(kinds), "shape arithmetic is done"
    assert made.operators["a:1"] == made.operators["a_1"], "a bias is part of its product"
    assert made.operators["a:1"] != made.operators["c"]
    assert [m.original.name for m in made.io] == ["x:0", "y:0"]
    assert made.difference < 1e-5


def test_a_conversion_that_failed_holds_on_to_nothing(products: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path))
    there: list[weakref.ref[np.ndarray]] = []

    def fail(*_: Any) -> None:
        values = np.zeros(1000)
        there.append(weakref.ref(values))
        raise ModelError("it cannot be converted", why="a reason", hint="a hint")

    monkeypatch.setattr(convert, "_convert", fail)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"it cannot be converted: a reason \(a hint\)"):
            convert.convert(products)
    gc.collect()
    (values,) = there  # the second time it was not tried
    assert values() is None


def test_a_wrong_conversion_names_the_first_tensor_that_differs(products: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(proto: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
        spoiled = honest(proto, names)
        (weight,) = [each for each in spoiled.graph.initializer if each.name == "w1"]
        weight.CopyFrom(onnx.numpy_helper.from_array(1.5 * onnx.numpy_helper.to_array(weight), "w1"))
        return spoiled

    honest = convert.rename
    monkeypatch.setattr(convert, "rename", spoil)
    with pytest.raises(ModelError) as failure:
        convert.convert(products)
    assert "the first tensor that differs is 'a:1', which MatMul makes" in failure.value.why
    monkeypatch.setattr(convert, "_convert", None)
    with pytest.raises(ModelError, match="does not say"):  # the next candidate does not try it again
        convert.convert(products)


def test_an_operator_that_tflite_lacks_is_named(tmp_path: Path) -> None:
    model = load(
        tmp_path / "m.onnx",
        [helper.make_node("Det", ["x"], ["d"]), helper.make_node("Relu", ["d"], ["y"])],
        [tensor("x", [2, 40, 40])],
        [tensor("y", [2])],
        {},
    )
    with pytest.raises(ModelError) as failure:
        convert.convert(model)
    assert failure.value.exit_code == 4
    assert "Det" in failure.value.what


def test_branches_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_TOOLCHAINS", str(tmp_path / "none"))
    monkeypatch.setenv("EDGEKIT_OFFLINE", "1")
    then, otherwise = (
        helper.make_graph([helper.make_node(kind, ["x"], [f"{kind}_y"])], kind, [], [tensor(f"{kind}_y", [1, 4])])
        for kind in ("Relu", "Neg")
    )
    model = load(
        tmp_path / "m.onnx",
        [
            helper.make_node("Greater", ["x", "zero"], ["g"]),
            helper.make_node("Squeeze", ["g"], ["flag"]),
            helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=otherwise),
        ],
        [tensor("x", [1, 1])],
        [tensor("y", [1, 4])],
        {"zero": np.zeros((1, 1), np.float32)},
    )
    assert "If" in convert.refuse(model)
    with pytest.raises(ModelError, match=r"If.*one fixed graph.*onnx target"):
        convert.convert(model)


# ---------------------------------------------------------------- one shape
def test_free_sizes_come_from_samples_and_from_nowhere_else() -> None:
    inputs = (TensorSpec("x", "float32", ("n", 3, "h")), TensorSpec("k", "int64", ("n",)))
    with pytest.raises(ModelError, match=r"'x' is nx3xh.*--shape x="):
        fixed_feeds(inputs, None, n=2)

    def samples(*sizes: int) -> Iterator[dict[str, np.ndarray]]:
        return ({"x": np.zeros((1, 3, size), np.float32), "k": np.zeros(1, np.int64)} for size in sizes)

    assert [feed["x"].shape for feed in fixed_feeds(inputs, samples(7, 7, 7), n=2)] == [(1, 3, 7)] * 2
    with pytest.raises(ModelError, match=r"'x', \[1, 3, 7\] and \[1, 3, 8\]"):
        fixed_feeds(inputs, samples(7, 7, 7, 8), n=2)
    assert fixed_feeds((TensorSpec("x", "float32", ("n", 3)),), None, n=1)[0]["x"].shape == (1, 3), "a free batch is 1"


def test_pinning_writes_sizes_down_and_does_what_follows_from_them(products: Model) -> None:
    feeds = fixed_feeds(products.inputs, None, n=2)
    proto = read_raised(products)
    fixed, seen = pin(proto, feeds)
    assert [node.op_type for node in fixed.graph.node] == ["MatMul", "Add", "Relu", "MatMul", "Reshape"]
    sizes = {entry.name: [size.dim_value for size in entry.type.tensor_type.shape.dim] for entry in fixed.graph.value_info}
    assert sizes["c"] == [1, 5, 4]
    assert len(seen) == 2
    assert [size.dim_value for size in fixed.graph.output[0].type.tensor_type.shape.dim] == [4, 5]
    onnx.checker.check_model(fixed, full_check=True)
    assert len(proto.graph.node) == 8, "the caller's model is not touched"


def test_sizes_that_depend_on_values_are_refused(tmp_path: Path) -> None:
    model = load(
        tmp_path / "m.onnx",
        [helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)],
        [tensor("x", [1, 4])],
        [tensor("y", [2, "n"])],
        {},
    )
    feeds = [{"x": np.array([[1, 0, 1, 1]], np.float32)}, {"x": np.array([[0, 0, 0, 1]], np.float32)}]
    with pytest.raises(ModelError, match="'i', which NonZero makes"):
        pin(read_raised(model), feeds)


def test_what_is_no_tensor_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["parts"], axis=1, keepdims=1),
        helper.make_node("ConcatFromSequence", ["parts"], ["y"], axis=1),
    ]
    model = load(tmp_path / "m.onnx", nodes, [tensor("x", [1, 4])], [tensor("y", [1, 4])], {})
    with pytest.raises(ModelError, match="'parts', which SplitToSequence makes, is a sequence"):
        pin(read_raised(model), [{"x": np.zeros((1, 4), np.float32)}])


# ---------------------------------------------------------------- a .tflite that is given
@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's small model, as somebody else would hand it over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_HOME", str(tmp_path_factory.mktemp("home")))
        path = tmp_path_factory.mktemp("given") / "digits.tflite"
        shutil.copy(convert.convert(load_model(demo_models()[1].model)).path, path)
        return path


def test_a_tflite_file_is_read_as_it_is(given: Path) -> None:
    model = load_model(given)
    assert (model.format, model.opset, model.quantized) == ("tflite", 3, None)
    assert model.inputs == (TensorSpec("image", "float32", (1, 1, 28, 28)),)
    assert model.outputs == (TensorSpec("logits", "float32", (1, 10)),)
    made = convert.convert(model)
    assert (made.path, made.difference) == (given, 0)
    (product,) = made.operators["logits"]
    assert graph.read(given).operators[product].kind == "FULLY_CONNECTED"
    assert load_model(given, shape={"image": (1, 1, 28, 28)}).fingerprint == model.fingerprint


def test_what_is_in_a_tflite_file(given: Path) -> None:
    from edgekit.inspect import inspect_model

    found = inspect_model(load_model(given)).content
    assert found.operators["CONV_2D"] == 2
    assert found.parameters > 50_000
    assert found.weight_bytes["float32"] == 4 * found.parameters
    assert (found.macs, found.macs_reason) == (None, "not counted in .tflite files")


def test_weights_that_share_their_bytes_are_counted_once(given: Path, tmp_path: Path) -> None:
    flatbuffers = vendor.litert("tools.flatbuffer_utils")
    model = flatbuffers.read_model(str(given))
    (main,) = model.subgraphs
    twin = copy.deepcopy(max(main.tensors, key=lambda tensor: len(_bytes(model, tensor))))
    twin.name = b"twin"
    main.tensors.append(twin)
    (tmp_path / "shared.tflite").write_bytes(flatbuffers.convert_object_to_bytearray(model))
    found, alone = read_file(tmp_path / "shared.tflite"), read_file(given)
    assert (found.weight_bytes, found.parameters) == (alone.weight_bytes, alone.parameters)


def as_old_exporters_wrote(path: Path) -> bytes:
    """The file with its largest weights as float16 behind a DEQUANTIZE, operators in the old field alone, and no signature."""
    schema, flatbuffers = vendor.litert("schema_py_generated"), vendor.litert("tools.flatbuffer_utils")
    model = flatbuffers.read_model(str(path))
    (main,) = model.subgraphs
    position = max(range(len(main.tensors)), key=lambda index: len(_bytes(model, main.tensors[index])))
    weights = main.tensors[position]
    half, code, operator = schema.TensorT(), schema.OperatorCodeT(), schema.OperatorT()
    stored = schema.BufferT()
    stored.data = np.frombuffer(np.frombuffer(_bytes(model, weights), "<f4").astype("<f2").tobytes(), np.uint8)
    model.buffers += [stored, schema.BufferT()]
    half.name, half.shape, half.type, half.buffer = b"half", weights.shape, schema.TensorType.FLOAT16, len(model.buffers) - 2
    weights.buffer = len(model.buffers) - 1
    main.tensors.append(half)
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    model.operatorCodes.append(code)
    operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes) - 1, [len(main.tensors) - 1], [position]
    main.operators.insert(0, operator)
    for each in model.operatorCodes:
        each.deprecatedBuiltinCode, each.builtinCode = each.builtinCode, 0
    model.signatureDefs = None
    return bytes(flatbuffers.convert_object_to_bytearray(model))


def _bytes(model: Any, of: Any) -> bytes:
    data = model.buffers[of.buffer].data
    return b"" if data is None else bytes(data)


def test_a_file_of_an_old_exporter_is_rewritten_for_quantizers_and_computes_the_same(given: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.tflite"
    old.write_bytes(as_old_exporters_wrote(given))
    model = load_model(old)
    assert model.quantized is None, "float16 weights are only smaller"
    made = convert.convert(model)
    found = graph.read(made.path)
    assert made.path != old
    assert {t.dtype for t in found.tensors.values() if t.is_constant} == {"float32", "int32"}
    assert [operator.kind for operator in found.operators] == [operator.kind for operator in graph.read(given).operators]
    assert "half" not in found.tensors
    assert made.path.stat().st_size < 1.02 * given.stat().st_size, "the halves are gone"
    image = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    answers = []
    for path in (old, made.path):
        interpreter = vendor.interpreter(path)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert np.array_equal(*answers)


def test_a_float_file_stays_as_it_is_also_where_quantizers_need_another(given: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.tflite"
    path.write_bytes(as_old_exporters_wrote(given))
    (out := tmp_path / "built").mkdir()
    site = Site(Profile("test", "generic", "x86_64", ("tflite",)))
    artifact = TARGET.build(load_model(path), Candidate("tflite", Float32()), None, site, out)
    assert (out / artifact.entry).read_bytes() == path.read_bytes()


def test_integer_weights_make_a_file_quantized(given: Path, tmp_path: Path) -> None:
    schema, flatbuffers = vendor.litert("schema_py_generated"), vendor.litert("tools.flatbuffer_utils")
    model = flatbuffers.read_model(str(given))
    weights = next(t for t in model.subgraphs[0].tensors if len(t.shape) == 2 and _bytes(model, t))
    weights.type = schema.TensorType.INT8
    path = tmp_path / "m.tflite"
    path.write_bytes(bytes(flatbuffers.convert_object_to_bytearray(model)))
    loaded = load_model(path)
    assert loaded.quantized == "integer weights"
    assert convert.convert(loaded).path == path, "what is quantized stays as it is"


def test_damaged_files_are_refused_and_nothing_worse(given: Path, tmp_path: Path) -> None:
    data = given.read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "m.tflite"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        load_model(path)
    for length in (0, 7, 8, 40, 900, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            load_model(path)
    for _ in range(40):
        spoiled = bytearray(data)
        for position in random.integers(8, min(len(data), 6000), 20):
            spoiled[position] = random.integers(256)
        path.write_bytes(spoiled)
        with contextlib.suppress(ModelError):
            load_model(path)  # what still reads as a model is one


def build_data(feeds: list[dict[str, np.ndarray]]) -> BuildData:
    return BuildData(feeds, feeds, "0" * 64)


def test_samples_give_the_batch_that_a_model_is_pinned_to(products: Model) -> None:
    feeds = [{"x:0": np.random.default_rng(seed).standard_normal((2, 5, 8)).astype(np.float32)} for seed in range(8)]
    made = convert.convert(products, build_data(feeds))
    assert made.io[0].artifact.shape == (2, 5, 8)
