from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgekit_tflite import calibration, graph, limits, placement, samples, vendor
from edgekit_tflite.target import TARGET
from onnx import helper, numpy_helper
from support.requirements import missing
from support.tflite import shared_home

from edgekit import toolchain_locks
from edgekit.errors import MissingExtraError, ModelError
from edgekit.model import Model, load_model
from edgekit.schemes import AsIs, BFloat16, Float16, Float32, Int8Dynamic, Int8Static, Scheme, WeightOnly
from edgekit.testing.harness import BuiltCandidate, ListFeeds, Workbench, relative_error
from edgekit.testing.models import CASES, ModelCase
from edgekit.types import BuildData, Candidate, DeviceFacts, Profile, Site, TensorSpec

try:
    vendor.quantizer("quantizer")
except MissingExtraError as problem:
    missing(str(problem))

DIGITS = Path(__file__).parents[1] / "assets" / "digits"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    monkeypatch.setenv("EDGEKIT_HOME", str(shared_home()))
    found = Workbench(TARGET, Site(Profile("test", "generic", "x86_64", ("tflite",))), tmp_path)
    yield found
    found.close()


def site(*features: str, runtime: str = "ai-edge-litert") -> Site:
    facts = DeviceFacts(
        kind="real", system="Linux", machine="aarch64", python="3.11", cpu_model="", cpu_features=features, cores=4,
        memory_bytes=None, memory_available_bytes=None, runtimes={runtime: "2.3.0"},
    )  # fmt: skip
    return Site(Profile("test", "generic", "aarch64", ("tflite",)), facts)


def norm_case() -> ModelCase:
    """A product, and a normalisation whose divisor is nearly zero for some samples: an int8 divisor rounds to zero there."""
    width, generator = 32, np.random.default_rng(5)
    weights = {name: (generator.standard_normal((width, width)) / 6).astype(np.float32) for name in ("w1", "w2")}
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"]),
        helper.make_node("ReduceMean", ["h"], ["mean"], axes=[-1], keepdims=1),
        helper.make_node("Sub", ["h", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["squared"]),
        helper.make_node("ReduceMean", ["squared"], ["variance"], axes=[-1], keepdims=1),
        helper.make_node("Sqrt", ["variance"], ["deviation"]),
        helper.make_node("Div", ["centred", "deviation"], ["normed"]),
        helper.make_node("MatMul", ["normed", "w2"], ["y"]),
    ]

    def make() -> onnx.ModelProto:
        value = helper.make_tensor_value_info
        ends = ([value("x", 1, ["n", width])], [value("y", 1, ["n", width])])
        stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
        return helper.make_model(
            helper.make_graph(nodes, "main", *ends, stored), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        )

    def feed(batch: int, seed: int) -> dict[str, Any]:
        scale = 10.0 ** -(seed % 4)  # the quietest samples lie within one step of zero
        return {"x": (np.random.default_rng(seed).standard_normal((batch, width)) * scale).astype(np.float32)}

    return ModelCase("norm", make, feed)


def operators(built: BuiltCandidate) -> list[graph.Operator]:
    return list(graph.read(built.folder / "model.tflite").operators)


# ---------------------------------------------------------------- candidates and refusals
def test_what_wins_among_products_comes_first_and_what_only_saves_space_behind(bench: Workbench) -> None:
    def order(name: str, at: Site) -> list[str]:
        return list(dict.fromkeys(each.scheme.slug for each in TARGET.candidates(bench.model(CASES[name]), at)))

    assert order("conv", site("asimddp")) == ["float32", "int8", "int8-dynamic"]
    assert order("transformer", site("asimddp")) == ["float32", "int8-dynamic", "int8", "w4", "w8", "float16"]
    assert order("transformer", site("asimddp", "asimdhp"))[-2:] == ["float16", "w8"]
    assert order("transformer", site("asimd"))[-3:] == ["w8", "float16", "w4"], "4 bits are slow without products of bytes"
    assert order("transformer", bench.site) == order("transformer", site("i8mm")), "not probed: the benefit of the doubt"
    assert not limits.lacks_dot_products(site("avx512_vnni"))


@pytest.mark.parametrize(
    ("scheme", "run_options", "said"),
    [
        (BFloat16(), {}, "no such format"),
        (Int8Dynamic("uint8"), {}, "symmetric int8"),
        (WeightOnly(8, 32), {}, "no blocks"),
        (WeightOnly(4, 48), {}, "no kernel"),
        (Float32(), {"streams": 1}, "no run option 'streams'"),
        (Float32(), {"xnnpack": "yes"}, "xnnpack is 'yes'"),
    ],
)
def test_what_it_has_not_is_refused(bench: Workbench, scheme: Scheme, run_options: dict[str, Any], said: str) -> None:
    refused = TARGET.reject(bench.model(CASES["transformer"]), Candidate("tflite", scheme, run_options=run_options), bench.site)
    assert said in str(refused)


def test_a_device_without_any_of_the_runtimes_is_refused(bench: Workbench) -> None:
    candidate, model = Candidate("tflite", Float32()), bench.model(CASES["conv"])
    assert "not on the device" in str(TARGET.reject(model, candidate, site(runtime="onnxruntime")))
    for runtime in TARGET.device_runtime.packages:
        assert TARGET.reject(model, candidate, site(runtime=runtime)) is None, runtime


@pytest.mark.parametrize(
    ("scheme", "options", "said"),
    [
        (Int8Static(), {"preset": "mixed"}, "no build option 'preset'"),
        (Int8Static(), {"elementwise": 1}, "'elementwise' of int8 is 1"),
        (Int8Dynamic(), {"weight_scales": "mse"}, "one of minmax, octav"),
        (Float16(), {"elementwise": True}, "known: none"),
    ],
)
def test_build_options_are_checked(bench: Workbench, scheme: Scheme, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        bench.build(CASES["embedding" if scheme == Float16() else "conv"], Candidate("tflite", scheme, build_options=options))


# ---------------------------------------------------------------- what is quantized
def test_static_int8_leaves_divisions_and_what_belongs_to_them_in_float(bench: Workbench) -> None:
    """Quantized plainly, this model's DIV ends the inference: an int8 divisor rounds to zero."""
    case = norm_case()
    for options in ({}, {"elementwise": True}):
        built = bench.build(case, Candidate("tflite", Int8Static(), build_options=options))
        tensors = graph.read(built.folder / "model.tflite").tensors
        for operator in operators(built):
            if operator.kind in ("DIV", "SQRT"):
                assert all(tensors[name].dtype == "float32" for name in (*operator.inputs, *operator.outputs))
        for seed in range(4):
            got, want = (
                run(case.feed(1, seed)) for run in (lambda f, b=built: bench.run(b, f), lambda f: bench.reference(case, f))
            )
            assert all(np.isfinite(value).all() for value in got.values())
            if seed == 0 and not options:
                assert relative_error(got, want) < 0.05


def test_products_of_two_activations_stay_float_in_static_int8(bench: Workbench) -> None:
    case = CASES["transformer"]
    case = dataclasses.replace(case, feed=lambda batch, seed: {"tokens": case_tokens(batch, seed)})
    found = bench.build(case, Candidate("tflite", Int8Static(), build_options={"elementwise": True}))
    tensors = graph.read(found.folder / "model.tflite").tensors
    products = [operator for operator in operators(found) if operator.kind == "BATCH_MATMUL"]
    assert products
    assert all(tensors[name].dtype == "float32" for operator in products for name in operator.outputs)
    assert any(operator.kind == "SOFTMAX" and tensors[operator.outputs[0]].dtype == "float32" for operator in operators(found))


def case_tokens(batch: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((batch, 5, 32)).astype(np.float32)


def test_a_move_is_quantized_only_behind_what_is() -> None:
    def tensor(name: str, *, constant: bool = False, shape: tuple[int, ...] = (1, 4)) -> graph.Tensor:
        return graph.Tensor(name, "float32", shape, constant)

    names = {n: tensor(n) for n in ("x", "moved", "made", "moved_too", "sum")} | {"w": tensor("w", constant=True, shape=(4, 4))}
    found = graph.Graph(
        (
            graph.Operator("RESHAPE", ("x",), (), ("moved",)),
            graph.Operator("FULLY_CONNECTED", ("moved",), ("w",), ("made",)),
            graph.Operator("RESHAPE", ("made",), (), ("moved_too",)),
            graph.Operator("ADD", ("moved_too", "x"), (), ("sum",)),
        ),
        names, {"x": names["x"]}, {"sum": names["sum"]},
    )  # fmt: skip
    assert placement.static_operators(found, (), elementwise=False) == [1, 2]
    assert placement.static_operators(found, (), elementwise=True) == [1, 2, 3]
    assert placement.static_operators(found, {1}, elementwise=True) == []


def test_an_output_that_is_read_inside_too_keeps_its_place(bench: Workbench) -> None:
    """The quantizer leaves the signature at the tensor that was the output before: it holds integers, or nothing."""
    case = CASES["embedding"]
    built = bench.build(case, Candidate("tflite", Int8Static()))
    outputs = graph.read(built.folder / "model.tflite").outputs
    assert [tensor.dtype for tensor in outputs.values()] == ["float32", "int64"]
    feed = case.feed(1, 3)
    assert relative_error(bench.run(built, feed), bench.reference(case, feed)) < 0.05


def test_an_integer_interface_is_described_by_its_scales(bench: Workbench) -> None:
    from edgekit.contract import to_artifact, to_original

    case = CASES["conv"]
    built = bench.build(case, Candidate("tflite", Int8Static(), build_options={"interface": "int8"}))
    (image,) = [each for each in built.artifact.io if each.role == "input"]
    assert (image.original.dtype, image.artifact.dtype) == ("float32", "int8")
    assert image.scale is not None
    feed = case.feed(1, 3)
    got = bench_session(bench, built).run(to_artifact(feed, built.artifact.io))
    want = bench.reference(case, feed)
    assert relative_error(to_original(got, built.artifact.io), want) < 0.05


def test_a_quantized_file_that_is_given_stays_as_it_is_and_its_integers_are_the_callers(bench: Workbench, tmp_path: Path) -> None:
    """To the byte: tools append labels as an archive, which a file that is written anew would not have."""
    from edgekit_tflite import device

    from edgekit.contract import to_artifact, to_original

    given = tmp_path / "given.tflite"
    given.write_bytes((DIGITS / "digits-int8-io.tflite").read_bytes() + b"PK: what is appended")
    (out := tmp_path / "built").mkdir()
    with pytest.raises(ModelError, match="no build option 'interface'"):
        TARGET.build(load_model(given), Candidate("tflite", AsIs(), build_options={"interface": "int8"}), None, bench.site, out)
    artifact = TARGET.build(load_model(given), Candidate("tflite", AsIs()), None, bench.site, out)
    assert (out / artifact.entry).read_bytes() == given.read_bytes()
    image = np.random.default_rng(3).integers(-128, 128, (1, 1, 28, 28)).astype(np.int8)
    feed = to_artifact({"image": image}, artifact.io)
    got = to_original(device.Session({artifact.entry: str(out / artifact.entry)}, {}).run(feed), artifact.io)
    want = device.Session({"given.tflite": str(given)}, {}).run({"image": image})
    np.testing.assert_array_equal(got["logits"], want["logits"])
    assert got["logits"].dtype == np.int8


def test_a_given_file_needs_no_converter(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(TARGET.build_key(bench.site)["toolchain"], str)
    monkeypatch.setattr(toolchain_locks, "this_platform", lambda: "cp311-macos-x86_64")
    assert TARGET.build_key(bench.site)["toolchain"] is None


def test_a_file_that_changes_under_a_run_is_not_kept_as_what_it_was(bench: Workbench, tmp_path: Path) -> None:
    given = tmp_path / "given.tflite"
    given.write_bytes((DIGITS / "digits-int8-io.tflite").read_bytes())
    model = load_model(given)
    given.write_bytes(given.read_bytes() + b"\0")
    (out := tmp_path / "built").mkdir()
    with pytest.raises(ModelError, match="has changed while"):
        TARGET.build(model, Candidate("tflite", AsIs()), None, bench.site, out)


def bench_session(bench: Workbench, built: BuiltCandidate) -> Any:
    from edgekit_tflite import device

    return device.Session({"model.tflite": str(built.folder / "model.tflite")}, {})


def test_4_bits_are_used_where_blocks_fit_and_8_elsewhere(bench: Workbench) -> None:
    built = bench.build(CASES["embedding"], Candidate("tflite", WeightOnly(4, 32)))
    tensors = graph.read(built.folder / "model.tflite").tensors
    kinds = {tensors[name].dtype for operator in operators(built) for name in operator.constants}
    assert "INT4" in kinds
    assert "int8" in kinds, "48 inputs are no multiple of 32"


# ---------------------------------------------------------------- calibration
def test_ranges_do_not_depend_on_the_order_of_the_samples(bench: Workbench) -> None:
    case = CASES["conv"]
    feeds = case.feeds(40)
    shuffled = random.Random(3).sample(feeds, len(feeds))
    made = []
    for number, order in enumerate((feeds, shuffled)):
        out = bench.folder / f"order-{number}"
        out.mkdir()
        data = BuildData(ListFeeds(order), ListFeeds(case.feeds(8)), f"{number}".rjust(64, "5"))
        made.append(TARGET.build(bench.model(case), Candidate("tflite", Int8Static("mse")), data, bench.site, out).files)
    assert made[0] == made[1]


def test_range_methods_cut_outliers(bench: Workbench) -> None:
    from edgekit_tflite.convert import convert

    case = CASES["conv"]
    feeds = [*case.feeds(30), {"image": case.feed(1, 99)["image"] * 50}]
    data = samples.single_samples(BuildData(ListFeeds(feeds), ListFeeds(case.feeds(8)), "7" * 64), bench.model(case))
    assert data is not None
    found = convert(bench.model(case), data)
    tensors = calibration.tensors_of(graph.read(found.path), [0])
    widest, cut = (calibration.ranges_of(found.path, found.io, data, tensors, method) for method in ("minmax", "percentile"))
    assert all(cut[name].high < widest[name].high for name in tensors if widest[name].high > 0)


def picture_net(path: Path, *, size: int) -> Model:
    """Two convolutions and a classifier of pictures [1, 3, size, size]."""
    random = np.random.default_rng(0)
    shapes = {"w0": (16, 3, 3, 3), "w1": (32, 16, 3, 3), "w2": (32, 10)}
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["c0"], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("GlobalAveragePool", ["r1"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w2"], ["logits"]),
    ]
    ends = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)]
        for name, shape in (("image", (1, 3, size, size)), ("logits", (1, 10)))
    ]
    weights = [numpy_helper.from_array(random.standard_normal(shape).astype("f4") / 9, name) for name, shape in shapes.items()]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", *ends, weights), opset_imports=[helper.make_opsetid("", 17)], ir_version=10
    )
    onnx.save(proto, path)
    return load_model(path)


@pytest.mark.parametrize("size", [16, pytest.param(224, marks=pytest.mark.long)])
def test_the_memory_of_calibration_does_not_grow_with_the_samples(bench: Workbench, tmp_path: Path, size: int) -> None:
    """Ten times as many samples: within 10 % of the peak, in processes of their own."""
    code = (
        "import sys; import numpy as np; from pathlib import Path\n"
        "from edgekit.agent.memory import process_bytes\n"
        "from edgekit_tflite import calibration, graph\n"
        "from edgekit.types import BuildData, TensorMap, TensorSpec\n"
        "path, n, shape = Path(sys.argv[1]), int(sys.argv[2]), (1, 3, int(sys.argv[3]), int(sys.argv[3]))\n"
        "class Feeds:\n"
        "    def __len__(self): return n\n"
        "    def __iter__(self):\n"
        "        for seed in range(n): yield {'image': np.random.default_rng(seed).standard_normal(shape, 'f4')}\n"
        "found = graph.read(path)\n"
        "image = TensorSpec('image', 'float32', shape)\n"
        "tensors = calibration.tensors_of(found, range(len(found.operators)))\n"
        "io, data = (TensorMap('input', image, image),), BuildData(Feeds(), Feeds(), f'{n:064d}')\n"
        "done = calibration.statistics_of(path, io, data, tensors)\n"
        "assert done.n_feeds == n\n"
        "print(process_bytes()['peak'])\n"
    )
    (folder := tmp_path / "float").mkdir()
    TARGET.build(picture_net(tmp_path / "net.onnx", size=size), Candidate("tflite", Float32()), None, bench.site, folder)

    def peak(n: int) -> int:
        argv = [sys.executable, "-c", code, str(folder / "model.tflite"), str(n), str(size)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "EDGEKIT_HOME": str(tmp_path)})
        return int(done.stdout)

    peaks = {n: peak(n) for n in (100, 1000)}
    print(f"{size} x {size}: peaks in bytes {peaks}")
    assert peaks[1000] < 1.1 * peaks[100]


# ---------------------------------------------------------------- the batch
@pytest.mark.parametrize(
    ("inputs", "outputs", "axes"),
    [
        ([("x", ("n", 3))], [("y", ("n", 2))], {"x": 0, "y": 0}),
        ([("x", (9, "n", 12))], [("y", ("n", 5))], {"x": 1, "y": 0}),
        ([("x", ("n", 3)), ("k", (4,))], [("y", ("?out0", 2))], {"x": 0, "y": 0}),
        ([("x", ("n", 3))], [("total", ())], {}),
        ([("x", ("n", 3)), ("z", ("m", 3))], [("y", ("n", 2))], {}),
        ([("x", (1, 3))], [("y", (1, 2))], {}),
        ([("ids", (1, "length"))], [("y", (1, "length", 2))], {}),
        ([("x", (1, 3, "width"))], [("y", (1, "?out0"))], {}),
        ([("x", (9, "n", 12)), ("h", (1, "n", 5))], [("y", ("n", 5))], {"x": 1, "h": 1, "y": 0}),
    ],
)
def test_the_axis_of_the_samples_is_found(inputs: Any, outputs: Any, axes: dict[str, int]) -> None:
    found = [[TensorSpec(name, "float32", shape) for name, shape in side] for side in (inputs, outputs)]
    assert samples.batch_axes(*found) == axes


def test_feeds_of_several_samples_calibrate_sample_by_sample(bench: Workbench) -> None:
    case, model = CASES["conv"], bench.model(CASES["conv"])
    data = BuildData(ListFeeds(case.feeds(3, batch=4)), ListFeeds(case.feeds(2, batch=4)), "0" * 64)
    single = samples.single_samples(data, model)
    assert single is not None
    assert len(single.fit) == 12
    assert [feed["image"].shape[0] for feed in single.fit] == [1] * 12
    again = next(iter(single.held_out))
    np.testing.assert_array_equal(again["image"], case.feed(4, 0)["image"][:1])


# ---------------------------------------------------------------- what is imported
def test_building_and_running_imports_neither_tensorflow_nor_torch(bench: Workbench) -> None:
    code = (
        "import json, sys, tempfile; from pathlib import Path\n"
        "from edgekit_tflite.target import TARGET\n"
        "from edgekit.testing.harness import Workbench\n"
        "from edgekit.testing.models import CASES\n"
        "from edgekit.types import Profile, Site\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    bench = Workbench(TARGET, Site(Profile('t', 'generic', 'x86_64', ('tflite',))), Path(folder))\n"
        "    for built in bench.build_all(CASES['conv']): bench.run(built, CASES['conv'].feed(1, 1))\n"
        "print(json.dumps(sorted(m for m in sys.modules if m.partition('.')[0] in ('tensorflow', 'torch', 'jax', 'keras'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
