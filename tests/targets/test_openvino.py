from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from edgekit_openvino import vendor
from edgekit_openvino.target import TARGET
from onnx import TensorProto, helper, numpy_helper
from support.requirements import missing

from edgekit.errors import DataError, MissingExtraError, ModelError
from edgekit.schemes import AsIs, BFloat16, Float16, Float32, Int8Dynamic, Int8Static, Scheme, Vendor, WeightOnly
from edgekit.testing.conformance import TargetConformance
from edgekit.testing.harness import ListFeeds, Workbench, relative_error
from edgekit.testing.models import CASES, ModelCase
from edgekit.types import BuildData, Candidate, DeviceFacts, Profile, Site

try:
    vendor.nncf()
except MissingExtraError as problem:
    missing(str(problem))

INTEGER_SCHEMES = [Int8Static(), Int8Dynamic(), WeightOnly(8), WeightOnly(4, 32)]


class TestOpenVINO(TargetConformance):
    entry_point = "edgekit_openvino.target:TARGET"
    vendor_modules = ("openvino", "nncf", "openvino_telemetry", "onnx", "numpy")
    gaps: ClassVar = {
        "test_shared_weights_stay_shared": "OpenVINO stores a matrix that is read in both directions once a direction, float too; "
        "test_a_shared_matrix_is_stored_once_a_direction holds it to that",
    }


def site(*features: str, runtime: str | None = "2026.4.1") -> Site:
    facts = DeviceFacts(
        kind="real", system="Linux", machine="x86_64", python="3.11", cpu_model="", cpu_features=features, cores=2,
        memory_bytes=None, memory_available_bytes=None, runtimes={"openvino": runtime} if runtime else {},
    )  # fmt: skip
    return Site(Profile("test", "generic", "x86_64", ("openvino",)), facts)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return Workbench(TARGET, site(), tmp_path)


def reject(bench: Workbench, name: str, scheme: Scheme, at: Site | None = None, **run_options: Any) -> str:
    candidate = Candidate("openvino", scheme, run_options=run_options)
    return str(TARGET.reject(bench.model(CASES[name]), candidate, at or bench.site) or "")


def layers(
    bench: Workbench, case: ModelCase, scheme: Scheme, keep_float: frozenset[str] = frozenset()
) -> list[ElementTree.Element]:
    candidate = Candidate("openvino", scheme, keep_float)
    return list(ElementTree.parse(bench.build(case, candidate).folder / "model.xml").getroot().iter("layer"))


def graph_case(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[str, list[Any]]],
    outputs: dict[str, tuple[str, list[Any]]],
    **weights: Any,
) -> ModelCase:
    def values(specs: dict[str, tuple[str, list[Any]]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            for name, (dtype, shape) in specs.items()
        ]

    def build() -> onnx.ModelProto:
        stored = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()]
        graph = helper.make_graph(nodes, "main", values(inputs), values(outputs), stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def feed(batch: int, seed: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng(seed)
        shapes = {name: [size if isinstance(size, int) else batch for size in shape] for name, (_, shape) in inputs.items()}
        return {name: np.asarray(random.standard_normal(shapes[name]) * 4).astype(dtype) for name, (dtype, _) in inputs.items()}

    return ModelCase(name, build, feed)


# ---------------------------------------------------------------- candidates and refusals
def test_half_precision_is_offered_where_the_processor_has_it(bench: Workbench) -> None:
    model = bench.model(CASES["transformer"])

    def offered(*features: str) -> set[str]:
        return {
            f"{candidate.scheme.slug}{'+bf16' if candidate.run_options.get('inference_precision') == 'bf16' else ''}"
            for candidate in TARGET.candidates(model, site(*features))
        }

    integers = {"float32", "int8", "int8-dynamic", "w4", "w8"}
    assert offered("avx2") == integers
    assert offered("avx512_bf16") == {
        "float32",
        "int8",
        "int8+bf16",
        "bfloat16",
        "bfloat16+float32",
        "int8-dynamic",
        "w4",
        "w8+bf16",
    }
    assert offered("asimdhp") == {*integers, "float16"}
    everything = TARGET.candidates(model, site("amx_bf16", "avx512_fp16"))
    assert isinstance(everything[0].scheme, Float32)
    assert len(everything) <= 9
    ids = [candidate.scheme.slug for candidate in TARGET.candidates(bench.model(CASES["conv"]), site("avx512_bf16"))]
    assert ids == ["float32", "int8", "bfloat16", "bfloat16+float32"], "among convolutions, bfloat16 beside int8 gains nothing"


def test_a_model_of_convolutions_gets_no_recipe_for_matrix_products(bench: Workbench) -> None:
    assert {c.scheme.slug for c in bench.candidates(CASES["conv1d"])} == {"float32", "int8"}
    assert "no matrix product" in reject(bench, "conv1d", Int8Dynamic())


def test_nothing_is_quantized_in_a_model_of_recurrent_layers_alone(bench: Workbench) -> None:
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["", "y"], hidden_size=16)
    case = graph_case(
        "lstm_alone",
        [lstm],
        {"x": ("f4", [5, "n", 16])},
        {"y": ("f4", [1, "n", 16])},
        w=np.ones((1, 64, 16)),
        r=np.ones((1, 64, 16)),
    )
    assert [candidate.scheme for candidate in bench.candidates(case)] == [Float32()]


def test_a_quantized_model_is_offered_as_it_is_and_nothing_else(bench: Workbench, tmp_path: Path) -> None:
    from edgekit_onnx.target import TARGET as ONNX

    from edgekit.model import load_model

    case = CASES["conv"]
    folder = tmp_path / "quantized"
    folder.mkdir()
    data = BuildData(ListFeeds(case.feeds(8)), ListFeeds([]), "0" * 64)
    ONNX.build(bench.model(case), Candidate("onnx", Int8Static()), data, Site(bench.site.profile), folder)
    model = load_model(folder / "model.onnx")
    assert [candidate.id for candidate in TARGET.candidates(model, site())] == ["openvino/as-is"]
    assert "quantized already" in str(TARGET.reject(model, Candidate("openvino", Int8Dynamic()), site()))
    quantized = dataclasses.replace(case, name="quantized", build=lambda: onnx.load(folder / "model.onnx"))
    feed = case.feed(2, 3)
    got = bench.run(bench.build(quantized, Candidate("openvino", AsIs())), feed)
    assert relative_error(got, bench.reference(quantized, feed)) < 0.03


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (Vendor("fp8"), "no such format"),
        (Int8Static("entropy"), "'entropy'"),
        (Int8Dynamic("uint8"), "symmetric int8"),
        (WeightOnly(8, block_size=32), "no blocks"),
    ],
)
def test_formats_it_has_not_are_refused_before_and_in_build(bench: Workbench, scheme: Scheme, said: str) -> None:
    assert said in reject(bench, "transformer", scheme)
    with pytest.raises(ModelError, match=said):
        bench.build(CASES["transformer"], Candidate("openvino", scheme))


@pytest.mark.parametrize(
    ("scheme", "options", "said"),
    [
        (Float32(), {"spinning": True}, "no run option 'spinning'"),
        (Float32(), {"threads": "two"}, "threads is 'two'"),
        (Float32(), {"streams": True}, "streams is True"),
        (Float32(), {"performance_hint": "fastest"}, "cumulative_throughput"),
        (Float32(), {"inference_precision": "bf16"}, "a run option may not"),
        (Int8Static(), {"inference_precision": "f16"}, "reference code"),
        (Int8Static(), {"inference_precision": "bf16"}, "none of avx512_bf16"),
        (BFloat16(), {}, "none of avx512_bf16"),
        (Float16(), {}, "none of avx512_fp16"),
    ],
)
def test_run_options_and_processors_that_do_not_fit_are_refused(
    bench: Workbench, scheme: Scheme, options: dict[str, Any], said: str
) -> None:
    assert said in reject(bench, "conv", scheme, **options)


def test_half_precision_may_be_built_for_a_processor_that_was_not_probed(bench: Workbench) -> None:
    unknown = Site(bench.site.profile)
    assert not reject(bench, "conv", BFloat16(), unknown)
    kept = Candidate("openvino", BFloat16(), frozenset({"c1"}))
    assert "does not reliably spare single operations" in str(TARGET.reject(bench.model(CASES["conv"]), kept, unknown))


def test_a_device_without_the_runtime_is_refused(bench: Workbench) -> None:
    assert "pip install openvino" in reject(bench, "conv", Float32(), site(runtime=None))


def test_the_build_key_is_of_the_tools_alone() -> None:
    assert TARGET.build_key(site("avx2")) == TARGET.build_key(site("amx_bf16")) == vendor.versions()
    assert set(vendor.versions()) == {"nncf", "openvino"}


def test_an_operator_that_openvino_lacks_is_named(bench: Workbench) -> None:
    case = graph_case("det", [helper.make_node("Det", ["x"], ["y"])], {"x": ("f4", ["n", 3, 3])}, {"y": ("f4", ["n"])})
    with pytest.raises(ModelError, match="Det"):
        bench.build(case, Candidate("openvino", Float32()))


# ---------------------------------------------------------------- interfaces
def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


@pytest.mark.parametrize(
    "case",
    [
        graph_case(
            "constant", [node("Relu", "x", "y")], {"x": ("f4", ["n", 3])}, {"k": ("f4", [2]), "y": ("f4", ["n", 3])}, k=[1, 2]
        ),
        graph_case(
            "duplicates",
            [node("Relu", "x", "y"), node("Identity", "y", "z"), node("Identity", "z", "a")],
            {"x": ("f4", ["n", 3])},
            {name: ("f4", ["n", 3]) for name in "yza"},
        ),
        graph_case(
            "only_inputs", [node("Identity", "x", "a")], {"x": ("f4", ["n", 3])}, {"x": ("f4", ["n", 3]), "a": ("f4", ["n", 3])}
        ),
        graph_case("unused", [node("Relu", "x", "y")], {"u": ("f4", [1]), "x": ("f4", ["n", 3])}, {"y": ("f4", ["n", 3])}),
        graph_case(
            "scalars",
            [node("Add", "x s", "y"), node("ReduceSum", "y", "t", keepdims=0)],
            {"s": ("f4", []), "x": ("f4", ["n", 3])},
            {"y": ("f4", ["n", 3]), "t": ("f4", [])},
        ),
        graph_case(
            "types",
            [node("Greater", "x x0", "b"), node("Cast", "i", "f", to=TensorProto.FLOAT)],
            {"x": ("f4", ["n"]), "x0": ("f4", ["n"]), "i": ("i8", ["n"])},
            {"b": ("?", ["n"]), "f": ("f4", ["n"]), "i": ("i8", ["n"])},
        ),
        graph_case(
            "odd_names", [node("Relu", "in/a:0,ü", "out.b;c")], {"in/a:0,ü": ("f4", ["n", 3])}, {"out.b;c": ("f4", ["n", 3])}
        ),
    ],
    ids=lambda case: case.name,
)
def test_every_kind_of_interface_is_kept(bench: Workbench, case: ModelCase) -> None:
    built = bench.build(case, Candidate("openvino", Float32()))
    for batch in (1, 2):
        feed = case.feed(batch, batch)
        got, want = bench.run(built, feed), bench.reference(case, feed)
        assert list(got) == list(want)
        assert {name: (v.dtype, v.shape) for name, v in got.items()} == {name: (v.dtype, v.shape) for name, v in want.items()}
        assert relative_error(got, want) < 1e-6


def test_an_output_that_is_an_input_has_a_name_of_its_own_in_the_artifact(bench: Workbench) -> None:
    io = bench.build(CASES["pass_through"], Candidate("openvino", Float32())).artifact.io
    names = [(tensor.role, tensor.original.name, tensor.artifact.name) for tensor in io]
    assert names[-1] == ("output", "key", "key_output")
    assert ("input", "key", "key") in names


# ---------------------------------------------------------------- files
def test_operations_are_named_by_their_nodes_and_nothing_by_a_counter(bench: Workbench) -> None:
    names = [layer.get("name") for layer in layers(bench, CASES["conditional"], Float32())]
    ids = set(bench.node_ids(CASES["conditional"]))
    assert {"first", "result"} <= set(names) & ids
    assert len([name for name in names if name in ids]) <= len(ids)
    text = (bench.build(CASES["conditional"], Candidate("openvino", Float32())).folder / "model.xml").read_text()
    assert not re.search(r'name="[A-Z]\w*_\d+"', text), "the counter of the conversion"
    for secret in ("Runtime", "conversion_parameters", str(bench.folder)):
        assert secret not in text


def test_names_do_not_depend_on_what_was_converted_before(bench: Workbench) -> None:
    first = bench.build(CASES["embedding"], Candidate("openvino", WeightOnly(8))).artifact.files
    for name in ("conv", "conditional"):
        bench.build(CASES[name], Candidate("openvino", Float32()))
    assert bench.build(CASES["embedding"], Candidate("openvino", WeightOnly(8)), "again").artifact.files == first


def test_weights_are_stored_as_the_scheme_says(bench: Workbench) -> None:
    bench.site = Site(bench.site.profile)

    def stored(scheme: Scheme) -> Counter[str]:
        elements = [layer.find("data") for layer in layers(bench, CASES["embedding"], scheme) if layer.get("type") == "Const"]
        return Counter(e.get("element_type", "") for e in elements if e is not None and e.get("shape", "").count(",") == 1)

    assert stored(Float32())["f32"] >= 4
    assert stored(Float16())["f16"] >= 4
    assert stored(Float16())["f32"] == 0
    assert stored(Int8Dynamic())["i8"] == stored(WeightOnly(8))["i8"] == 4, "two tables and two products"


def test_4_bits_are_for_products_that_divide_into_blocks_and_are_not_the_last(bench: Workbench) -> None:
    made = bench.build(CASES["transformer"], Candidate("openvino", WeightOnly(4, 32))).artifact
    kinds = Counter(
        e.get("element_type")
        for layer in layers(bench, CASES["transformer"], WeightOnly(4, 32))
        if (e := layer.find("data")) is not None
    )
    assert kinds["i4"] == 5
    assert kinds["i8"] == 1
    assert made.provenance["operations_quantized"] == {"MatMul": 6}
    assert "last matrix product keeps 8 bits" in reject(bench, "pass_through", WeightOnly(4, 32))


@pytest.mark.parametrize("scheme", [Float32(), *INTEGER_SCHEMES], ids=lambda scheme: scheme.slug)
def test_a_shared_matrix_is_stored_once_a_direction(bench: Workbench, scheme: Scheme) -> None:
    built = bench.build(CASES["shared"], Candidate("openvino", scheme))
    one = 64 * 64 * (4 if isinstance(scheme, Float32) else 1)
    assert (built.folder / "model.bin").stat().st_size < 2.3 * one
    feed = CASES["shared"].feed(3, 5)
    assert relative_error(bench.run(built, feed), bench.reference(CASES["shared"], feed)) < 0.3


# ---------------------------------------------------------------- keep_float
@pytest.mark.parametrize("scheme", INTEGER_SCHEMES, ids=lambda scheme: scheme.slug)
def test_one_node_is_kept_and_the_others_are_not(bench: Workbench, scheme: Scheme) -> None:
    def n_quantized(*kept: str) -> int:
        made = bench.build(CASES["transformer"], Candidate("openvino", scheme, frozenset(kept))).artifact
        assert made.provenance["operations_kept_float_on_request"] == sorted(kept)
        return sum(made.provenance["operations_quantized"].values())

    assert n_quantized("projected") == n_quantized() - 1


# ---------------------------------------------------------------- calibration, run options
def test_static_without_data_is_an_error_that_names_calib(bench: Workbench) -> None:
    with pytest.raises(ModelError, match="--calib"):
        TARGET.build(bench.model(CASES["conv"]), Candidate("openvino", Int8Static()), None, bench.site, bench.folder)


def test_an_error_of_the_data_passes_through_and_leaves_nothing(bench: Workbench) -> None:
    class Broken(ListFeeds):
        def __iter__(self) -> Any:
            yield from list(super().__iter__())[:3]
            raise DataError("the 4th feed is broken")

    out = bench.folder / "out"
    out.mkdir()
    data = BuildData(Broken(CASES["conv"].feeds(8)), ListFeeds([]), "0" * 64)
    with pytest.raises(DataError, match="4th"):
        TARGET.build(bench.model(CASES["conv"]), Candidate("openvino", Int8Static()), data, bench.site, out)
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("scheme", "precision", "group", "tolerance"),
    [
        (Float32(), "f32", 0, 1e-3),
        (BFloat16(), "bf16", 0, 3e-2),
        (Int8Static(), "f32", 0, 3e-2),
        (Int8Dynamic(), "f32", 32, 3e-2),
        (WeightOnly(8), "f32", 0, 3e-2),
    ],
    ids=lambda value: getattr(value, "slug", None),
)
def test_the_runner_says_what_the_scheme_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: Scheme, precision: str, group: int, tolerance: float
) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    bench = Workbench(TARGET, site("avx512_bf16"), tmp_path)
    runner = TARGET.runner(bench.build(CASES["transformer"], Candidate("openvino", scheme)).artifact, bench.site)
    assert runner.options["inference_precision"] == precision
    assert runner.options["dynamic_quantization_group_size"] == group
    assert runner.options["streams"] == runner.options["threads"] == 1
    assert runner.tolerance == tolerance


# ---------------------------------------------------------------- the vendor's packages
ALONE = """
import json, socket, sys

def refuse(*arguments, **options):
    raise AssertionError("something wants to use the network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""
BUILD = """
import pathlib, tempfile
from edgekit.schemes import Float32, Int8Static, WeightOnly
from edgekit.testing.harness import Workbench
from edgekit.testing.models import CASES
from edgekit.types import Candidate, Profile, Site
from edgekit_openvino.target import TARGET

bench = Workbench(TARGET, Site(Profile("p", "f", "x86_64", ("openvino",))), pathlib.Path(sys.argv[1]))
for scheme in (Float32(), Int8Static(), WeightOnly(8)):
    built = bench.build(CASES["shared"], Candidate("openvino", scheme))
    bench.run(built, CASES["shared"].feed(1, 0))
"""
BEFORE = """
import openvino_telemetry
from openvino_telemetry.utils import sender

sent = []
sender.TelemetrySender.send = lambda self, *arguments: sent.append(arguments)
"""


def run_alone(code: str, tmp_path: Path) -> tuple[str, list[Path]]:
    """Runs ``code`` as a user would, in an empty home folder and in no CI; returns stdout and what was written to the home folder.

    What ONNX Runtime (the reference, which reads every model) keeps there is another matter.
    """
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    outside = {
        name: value for name, value in os.environ.items() if name not in ("CI", "NNCF_CI", "NNCF_DEV", "TF_BUILD", "JENKINS_URL")
    }
    environment = {**outside, "HOME": str(home), "EDGEKIT_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(work)], capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=work
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout, [path for path in home.rglob("*") if path.is_file() and ".onnxruntime" not in path.parts]


def test_no_telemetry_is_sent_and_nothing_written_to_the_home_folder(tmp_path: Path) -> None:
    stdout, left = run_alone(f"{ALONE}{BUILD}\nassert sys.modules['openvino_telemetry'] is None", tmp_path)
    assert stdout == ""
    assert left == []


def test_a_program_that_has_loaded_the_telemetry_before_sends_nothing_either(tmp_path: Path) -> None:
    stdout, left = run_alone(f"{ALONE}{BEFORE}{BUILD}\nprint(json.dumps(len(sent)))", tmp_path)
    assert json.loads(stdout) == 0
    assert left == []


def test_loading_nncf_changes_no_logging_outside_it(tmp_path: Path) -> None:
    code = (
        "import logging, sys\nfrom edgekit_openvino import vendor\n"
        "before = logging.getLoggerClass(), list(logging.getLogger().handlers), logging.getLogger().level\n"
        "vendor.nncf().IgnoredScope\nlogging.getLogger('nncf').warning('a warning of its own')\n"
        "assert (logging.getLoggerClass(), list(logging.getLogger().handlers), logging.getLogger().level) == before\n"
    )
    assert run_alone(code, tmp_path)[0] == ""


@pytest.mark.parametrize(("blocked", "scheme"), [("openvino", "Float32()"), ("nncf", "WeightOnly(8)")])
def test_a_missing_package_is_named_with_the_extra(tmp_path: Path, blocked: str, scheme: str) -> None:
    code = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {blocked!r}:
            raise ImportError("blocked: " + name, name=name)

sys.meta_path.insert(0, Block())
{BUILD.split("for scheme")[0]}
from edgekit.errors import MissingExtraError
assert bench.candidates(CASES["shared"])
try:
    bench.build(CASES["shared"], Candidate("openvino", {scheme}))
except MissingExtraError as problem:
    print(problem.exit_code, problem.what, problem.hint)
"""
    assert run_alone(code, tmp_path)[0].strip() == f"3 {blocked} is not installed pip install 'edgekit-sdk[openvino]'"


def test_every_kind_of_compression_has_its_worth() -> None:
    from typing import get_args

    from edgekit.inspect.types import Kind

    assert set(TARGET.compression_worth) == set(get_args(Kind))
