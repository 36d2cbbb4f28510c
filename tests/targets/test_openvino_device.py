from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgekit_openvino import convert, vendor
from onnx import TensorProto, helper
from support.cpus import all_cpus
from support.requirements import missing

from edgekit.errors import MissingExtraError
from edgekit.model import load_model
from edgekit.testing.harness import relative_error
from edgekit.testing.models import CASES

try:
    vendor.openvino()
except MissingExtraError as problem:
    missing(str(problem))
from edgekit_openvino import device


def written(folder: Path, proto: onnx.ModelProto) -> dict[str, str]:
    """The files of ``proto`` as an IR."""
    path = folder / "model.onnx"
    onnx.save(proto, path)
    files = convert.write(convert.convert(load_model(path)).ir, folder / "model.xml", ())
    return {file.name: str(file) for file in files}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_HOME", str(tmp_path_factory.mktemp("home")))
        yield written(tmp_path_factory.mktemp("files"), CASES["conv"].build())


def identity(dtype: int, shape: list[Any], operator: str = "Relu") -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, dtype, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "one", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# ---------------------------------------------------------------- what is in force
def test_effective_is_read_back_from_the_compiled_model(files: dict[str, str]) -> None:
    options = {"threads": 2, "streams": 1, "performance_hint": "throughput", "dynamic_quantization_group_size": 64}
    session = device.Session(files, options)
    assert session.effective["threads"] == min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    assert session.effective["streams"] == 1
    assert session.effective["performance_hint"] == "THROUGHPUT"
    assert session.effective["dynamic_quantization_group_size"] == 64
    assert session.effective["cpu_pinning"] is False
    assert session.effective["version"] == device.fingerprint()["version"]
    session.close()


def test_full_precision_is_the_default_whatever_the_processor_prefers(files: dict[str, str]) -> None:
    assert device.Session(files, {}).effective["inference_precision"] == "f32"
    if "BF16" in device.fingerprint()["capabilities"]:
        assert device.Session(files, {"inference_precision": "bf16"}).effective["inference_precision"] == "bf16"


def test_the_fingerprint_names_version_and_capabilities() -> None:
    found = device.fingerprint()
    assert found["runtime"] == "openvino"
    assert "FP32" in found["capabilities"]
    assert found["version"].startswith(vendor.versions()["openvino"].split("+")[0])


def test_several_models_need_an_entry(files: dict[str, str]) -> None:
    both = {**files, "other.xml": files["model.xml"]}
    with pytest.raises(ValueError, match="entry"):
        device.Session(both, {})
    device.Session(both, {"entry": "other.xml"}).close()


AFFINITY = """
import os, sys
import numpy as np
from edgekit.agent.affinity import pin
from edgekit_openvino import device

session = device.Session({"model.xml": sys.argv[1]}, {"threads": 2})
chosen = {max(os.sched_getaffinity(0))}
pin(chosen)
for _ in range(5):  # the third run compiles once more
    session.run({"image": np.zeros((2, 3, 15, 17), np.float32)})
threads = [int(name) for name in os.listdir("/proc/self/task")]
assert len(threads) > 1
assert {cpu for thread in threads for cpu in os.sched_getaffinity(thread)} == chosen
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no such call")
def test_threads_stay_on_the_cpus_that_the_agent_chose(files: dict[str, str]) -> None:
    """OpenVINO starts threads of its own, and pins them by default."""
    with all_cpus():
        done = subprocess.run(
            [sys.executable, "-c", AFFINITY, files["model.xml"]], capture_output=True, text=True, check=False, timeout=60
        )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- feeds and outputs
@pytest.mark.parametrize(
    ("feed", "said"),
    [({}, "'image' is missing"), ({"image": np.zeros((1, 3, 15, 17))}, "must be float32, not float64")],
)
def test_a_feed_that_does_not_fit_is_named(files: dict[str, str], feed: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        device.Session(files, {}).run(feed)


def test_a_result_is_the_callers_own(files: dict[str, str]) -> None:
    session, case = device.Session(files, {}), CASES["conv"]
    results = [session.run(case.feed(1, seed)) for seed in (0, 1, 0)]
    assert np.array_equal(results[0]["probabilities"], results[2]["probabilities"])
    assert not np.array_equal(results[0]["probabilities"], results[1]["probabilities"])


def test_views_and_read_only_arrays_give_what_their_copies_give(files: dict[str, str]) -> None:
    session = device.Session(files, {})
    plain = CASES["conv"].feed(2, 3)["image"]
    want = session.run({"image": plain})["probabilities"]
    wide = np.repeat(plain, 2, axis=3)
    fixed = plain.copy()
    fixed.flags.writeable = False
    for view in (np.asfortranarray(plain), wide[..., ::2], plain[::-1][::-1], fixed):
        assert np.array_equal(session.run({"image": view})["probabilities"], want)


def test_shapes_may_change_from_call_to_call(tmp_path: Path) -> None:
    """Results are those of the general code, before, while and after fixed shapes are compiled for."""
    case = CASES["transformer"]
    files = written(tmp_path, case.build())
    general, session = device.Session(files, {"fixed_shapes": 0}), device.Session(files, {"fixed_shapes": 2})
    for batch, seed in [(1, 0)] * 5 + [(3, 1), (1, 0), (3, 1), (3, 1), (3, 1), (2, 2), (2, 2), (2, 2), (1, 2), (0, 0), (1, 0)]:
        feed = case.feed(batch, seed)
        got = session.run(feed)
        assert got["hidden"].shape == feed["tokens"].shape
        assert relative_error(got, general.run(feed)) < 1e-5


def test_usual_shapes_get_code_of_their_own(files: dict[str, str]) -> None:
    session = device.Session(files, {"fixed_shapes": 1, "layers": True})
    compiled: list[Any] = []
    compile_for = session._compile
    session._compile = lambda shapes: compiled.append(shapes) or compile_for(shapes)  # type: ignore[method-assign, func-returns-value]
    for batch in (1, 1, 2, 1, 2, 2):
        session.run(CASES["conv"].feed(batch, 0))
    assert compiled == []
    for batch in (2, 2, 1, 2, 1, 1, 1):
        session.run(CASES["conv"].feed(batch, 0))
    assert compiled == [((2, 3, 15, 17),)]
    rows = session.layers()
    assert rows is not None
    assert max(row["n"] for row in rows) == 13, "runs of both kinds of code are added up"


def test_integers_that_would_wrap_are_refused(tmp_path: Path) -> None:
    session = device.Session(written(tmp_path, identity(TensorProto.INT64, ["n"], "Abs")), {})
    assert session.run({"x": np.array([-(2**31), 5])[1:]})["y"].tolist() == [5]
    with pytest.raises(ValueError, match="'x' has values that do not fit into the 32 bits"):
        session.run({"x": np.array([2**40])})


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "int32", "int8", "uint8", "bool"])
def test_every_type_keeps_its_name_and_values(tmp_path: Path, dtype: str) -> None:
    operator = "Not" if dtype == "bool" else "Neg" if dtype in ("int64", "int8") else "Abs"
    if dtype == "uint8":
        operator = "Identity"
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    session = device.Session(written(tmp_path, identity(kind, ["n", 2], operator)), {})
    x = np.array([[0, 1], [1, 100]]).astype(dtype)
    got = session.run({"x": x})["y"]
    want = ~x if dtype == "bool" else -x if operator == "Neg" else x
    assert got.dtype == np.dtype(dtype)
    assert np.array_equal(got, want)


# ---------------------------------------------------------------- layers
def test_layers_are_timed_on_request(files: dict[str, str]) -> None:
    feed = CASES["conv"].feed(1, 0)
    plain = device.Session(files, {})
    plain.run(feed)
    assert plain.layers() is None
    timed = device.Session(files, {"layers": True, "fixed_shapes": 0})
    assert timed.layers() == []
    for _ in range(3):
        timed.run(feed)
    rows = timed.layers()
    assert rows is not None
    assert {row["n"] for row in rows} == {3}
    assert {"Convolution", "Softmax"} <= {row["op"] for row in rows}
    assert [row["time_s"] for row in rows] == sorted((row["time_s"] for row in rows), reverse=True)
    assert all(0 <= row["time_s"] < 1 for row in rows)


def test_no_cache_is_written(files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = device.Session(files, {})
    session.run(CASES["conv"].feed(1, 0))
    assert not list(tmp_path.iterdir())
    assert {path.name for path in Path(files["model.xml"]).parent.iterdir()} == {"model.onnx", "model.xml", "model.bin"}
