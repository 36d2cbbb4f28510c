"""Weight-only in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from edgekit_onnx.block_weights import quantize_blocks
from edgekit_onnx.target import TARGET
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from support.quantized_graphs import copy, graph, node, normal, run

from edgekit.quantize.weights import BlockwiseWeight, blockwise, two_a_byte
from edgekit.schemes import WeightOnly
from edgekit.testing.harness import Workbench, relative_error
from edgekit.testing.models import ModelCase
from edgekit.types import Candidate, DeviceFacts, Profile, Site


def restored(found: BlockwiseWeight, inputs: int) -> np.ndarray:
    steps = found.stored.astype(np.float64) - found.zero_point[..., None]
    return (steps * found.scale[..., None]).reshape(found.stored.shape[0], -1)[:, :inputs].T


@given(st.integers(1, 70), st.integers(1, 5), st.sampled_from([4, 8]), st.sampled_from([16, 32]), st.integers(0, 2**32 - 1))
def test_blocks_restore_within_a_step_and_keep_zero(inputs: int, outputs: int, bits: int, block: int, seed: int) -> None:
    weight = normal(inputs, outputs, seed=seed)
    weight[::3] = 0
    found = blockwise(weight, bits, block)
    got = restored(found, inputs)
    step = np.repeat(found.scale.T, block, axis=0)[:inputs]
    assert (np.abs(got - weight) <= step * 1.01).all()
    assert not got[weight == 0].any()
    assert int(found.stored.max()) < 2**bits


def test_two_values_a_byte_the_first_in_the_low_half() -> None:
    assert two_a_byte(np.array([[1, 2, 15]], np.uint8)).tolist() == [[0x21, 0x0F]]


def model(*, transposed: bool, inputs: int = 200, outputs: int = 96) -> onnx.ModelProto:
    shape = (outputs, inputs) if transposed else (inputs, outputs)
    nodes = [node("Gemm", "x w b", "h", transB=int(transposed), alpha=0.5), node("MatMul", "h v", "y")]
    return graph(nodes, {"x": [5, inputs]}, ["y"], w=normal(*shape), b=normal(outputs), v=normal(outputs, 8, seed=1))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [16, 32, 128])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_runtime_multiplies_what_was_packed(bits: int, block: int, transposed: bool) -> None:
    float_model = model(transposed=transposed)
    made = copy(float_model)
    assert quantize_blocks(made, bits=bits, block_size=block) == {"Gemm": 1}, "the small matrix stays"
    weight = numpy_helper.to_array(float_model.graph.initializer[0])
    exact = restored(blockwise((weight.T if transposed else weight) * np.float32(0.5), bits, block), 200)
    feed = {"x": normal(5, 200, seed=2)}
    h = feed["x"] @ exact + normal(96)
    assert np.allclose(run(made, feed)["y"], h @ normal(96, 8, seed=1), rtol=1e-4, atol=1e-3)


def test_integer_arithmetic_is_an_option_that_costs_little() -> None:
    made = model(transposed=False)
    feed = {"x": normal(5, 200, seed=2)}
    in_float, in_integers = copy(made), copy(made)
    quantize_blocks(in_float, bits=4, block_size=32)
    quantize_blocks(in_integers, bits=4, block_size=32, accuracy_level=4)
    assert relative_error(run(in_integers, feed), run(in_float, feed)) < 0.05


def site(runtime: str = "1.31.0") -> Site:
    facts = DeviceFacts("real", "Linux", "x86_64", "3.11", "", ("avx2",), 2, None, None, {"onnxruntime": runtime})
    return Site(Profile("test", "generic", "x86_64", ("onnx",)), facts)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return Workbench(TARGET, site(), tmp_path)


CASE = ModelCase("products", lambda: model(transposed=False), lambda _, seed: {"x": normal(5, 200, seed=seed)})


def test_four_bits_are_offered_where_there_are_large_products(bench: Workbench) -> None:
    assert WeightOnly(4) in [candidate.scheme for candidate in bench.candidates(CASE)]
    built = bench.build(CASE, Candidate("onnx", WeightOnly(4)))
    assert built.artifact.provenance["weight_bits"] == 4
    assert built.artifact.provenance["nodes_quantized"] == {"Gemm": 1}
    assert not built.artifact.provenance["fold_weights"]
    assert relative_error(bench.run(built, CASE.feed(1, 3)), bench.reference(CASE, CASE.feed(1, 3))) < 0.2
    kept = bench.build(CASE, Candidate("onnx", WeightOnly(4), frozenset({"h"})))
    assert kept.artifact.provenance["nodes_quantized"] == {}


@pytest.mark.parametrize(("bits", "runtime", "taken"), [(4, "1.16.3", False), (4, "1.17.0", True), (8, "1.21.0", False)])
def test_a_runtime_that_cannot_read_blocks_is_refused(bench: Workbench, bits, runtime: str, taken: bool) -> None:
    refused = TARGET.reject(bench.model(CASE), Candidate("onnx", WeightOnly(bits, block_size=32)), site(runtime))
    assert (refused is None) == taken
