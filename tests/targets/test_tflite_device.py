from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgekit_tflite import device, sparing, vendor
from edgekit_tflite.target import TARGET
from support.requirements import missing
from support.tflite import shared_home

from edgekit.errors import MissingExtraError
from edgekit.model import load_model
from edgekit.operator_times import read_layers
from edgekit.schemes import Float32
from edgekit.testing.harness import Workbench
from edgekit.testing.models import CASES
from edgekit.types import Candidate, Profile, Site

try:
    vendor.litert("interpreter")
except MissingExtraError as problem:
    missing(str(problem))

OLDER = """
STARTING!
Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t            0.000\t    0.072\t    0.072\t100.000%\t100.000%\t     0.000\t        1\tAllocateTensors/0

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.000\t    4.269\t    4.200\t 80.000%\t 80.000%\t     0.000\t        1\t[relu/Relu6;conv]:0
\t         FULLY_CONNECTED\t            4.270\t    0.150\t    0.100\t 20.000%\t100.000%\t     0.000\t        2\t[logits]:1

============================== Top by Computation Time ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.000\t    4.269\t    4.200\t 80.000%\t 80.000%\t     0.000\t        1\t[relu/Relu6;conv]:0

Number of nodes executed: 2
"""
NEWER = """
============================== Run Order ==============================
\t                                      [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                  Conv (NHWC, QC8)\t    0.420\t    0.400\t 66.667%\t 66.667%\t     0.000\t        1\tDelegate/Conv (NHWC, QC8):0
\t                  Conv (NHWC, QC8)\t    0.210\t    0.200\t 33.333%\t100.000%\t     0.000\t        1\tDelegate/Conv (NHWC, QC8):1

============================== Summary by node type ==============================
\t                  [node type]\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t  [mem KB]\t[times called]
\t Conv (NHWC, QC8)\t        2\t     0.600\t   100.000%\t   100.000%\t     0.000\t        2
"""


def test_the_older_table_is_read_by_its_headings() -> None:
    assert device.read_profile(OLDER) == [
        {"name": "relu/Relu6;conv", "op": "CONV_2D", "time_s": pytest.approx(4.2e-3), "n": 1, "runs": 1},
        {"name": "logits", "op": "FULLY_CONNECTED", "time_s": pytest.approx(2e-4), "n": 2, "runs": 1},
    ]


def test_the_newer_table_without_start_is_read_and_kernels_of_one_name_are_one() -> None:
    name = "Delegate/Conv (NHWC, QC8)"
    found = device.read_profile(NEWER)
    assert found == [{"name": name, "op": "Conv (NHWC, QC8)", "time_s": pytest.approx(6e-4), "n": 2, "runs": 1}]


def test_times_are_those_of_one_inference_however_many_runs_were_asked_for() -> None:
    found = read_layers(device.read_profile(OLDER), 30)
    assert found is not None
    assert [(row.name, row.time_s, row.n) for row in found] == [
        ("relu/Relu6;conv", pytest.approx(4.2e-3), 1),
        ("logits", pytest.approx(2e-4), 2),
    ]


def test_kernels_of_one_name_add_up_where_the_search_asks_for_seconds(tmp_path: Path) -> None:
    model = load_model(CASES["conv"].write(tmp_path))
    rows = device.read_profile(NEWER.replace("Delegate/Conv (NHWC, QC8):0", "c1:0"))
    assert sparing.operator_seconds(model, rows) == {"c1": pytest.approx(4e-4), "": pytest.approx(2e-4)}
    both = device.read_profile(NEWER.replace("Delegate/Conv (NHWC, QC8)", "c1"))
    assert sparing.operator_seconds(model, both) == {"c1": pytest.approx(6e-4)}


@pytest.mark.parametrize(
    "text", ["", "ERROR: failed to load\n", OLDER.replace("Run Order", "Other"), OLDER.replace("[avg ms]", "[x]")]
)
def test_what_is_no_such_table_gives_nothing(text: str) -> None:
    assert device.read_profile(text) == []


def test_cut_off_tables_give_what_is_whole() -> None:
    for length in range(0, len(OLDER), 7):
        for row in device.read_profile(OLDER[:length]):
            assert row["time_s"] >= 0


def test_the_first_runtime_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("tflite_runtime.interpreter")
    there: dict[str, Any] = {"tflite_runtime.interpreter": fake}

    def load(name: str) -> Any:
        if name in there:
            return there[name]
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", load)
    monkeypatch.setattr(device, "_version", lambda package, module: "2.14.0")
    assert device.fingerprint() == {"runtime": "tflite-runtime", "version": "2.14.0"}
    there.clear()
    with pytest.raises(ImportError, match="ai-edge-litert or tflite-runtime or tensorflow"):
        device.fingerprint()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The conformance suite's convolutional net, converted."""
    monkeypatch.setenv("EDGEKIT_HOME", str(shared_home()))
    bench = Workbench(TARGET, Site(Profile("test", "generic", "x86_64", ("tflite",))), tmp_path)
    built = bench.build(CASES["conv"], Candidate("tflite", Float32()))
    return {"model.tflite": str(built.folder / "model.tflite")}


AXES = {"image": 0, "probabilities": 0}


def test_tensorflows_own_interpreter_is_a_runtime(model: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteRT's module stands where TensorFlow 2.21 has its own: the package ``tensorflow.lite`` has no Interpreter."""
    found, really = vendor.litert("interpreter"), importlib.import_module
    there = {"tensorflow.lite.python.interpreter": found, "tensorflow": types.SimpleNamespace(__version__="2.21.0")}

    def load(name: str) -> Any:
        if name.partition(".")[0] in ("ai_edge_litert", "tflite_runtime"):
            raise ImportError(name)
        return there.get(name) or really(name)

    monkeypatch.setattr(importlib, "import_module", load)
    feed = CASES["conv"].feed(1, 4)
    for xnnpack in (True, False):
        session = device.Session(model, {"xnnpack": xnnpack})
        assert (session.effective["runtime"], session.effective["xnnpack"]) == ("tensorflow", xnnpack)
        assert session.run(feed)["probabilities"].shape == (1, 10)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_xnnpack_in_force_are_told(model: dict[str, str], threads: int) -> None:
    session = device.Session(model, {"threads": threads})
    assert session.effective["xnnpack"] is True
    assert session.effective["threads"] == (threads if sys.platform == "linux" else 1)
    plain = device.Session(model, {"threads": threads, "xnnpack": False})
    assert plain.effective["xnnpack"] is False
    feed = CASES["conv"].feed(1, 4)
    np.testing.assert_allclose(session.run(feed)["probabilities"], plain.run(feed)["probabilities"], rtol=1e-4, atol=1e-6)


def test_samples_of_a_batch_are_run_one_by_one(model: dict[str, str]) -> None:
    session = device.Session(model, {"batch_axes": AXES})
    feed = CASES["conv"].feed(3, 4)
    together = session.run(feed)["probabilities"]
    assert together.shape == (3, 10)
    for index in range(3):
        alone = session.run({"image": feed["image"][index : index + 1]})["probabilities"]
        np.testing.assert_array_equal(together[index : index + 1], alone)


def test_outputs_are_the_callers_own(model: dict[str, str]) -> None:
    session = device.Session(model, {})
    first = session.run(CASES["conv"].feed(1, 4))["probabilities"]
    kept = first.copy()
    session.run(CASES["conv"].feed(1, 5))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({}, "'image' is missing"),
        ({"image": np.zeros((1, 3, 15, 17))}, "must be float32, not float64"),
        ({"image": np.zeros((1, 3, 15, 18), np.float32)}, "the model is built for image"),
        ({"image": np.zeros((2, 3, 15, 18), np.float32)}, "the model is built for image"),
    ],
)
def test_feeds_that_do_not_fit_say_why(model: dict[str, str], feed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        device.Session(model, {"batch_axes": AXES}).run(feed)


def test_operators_are_timed_by_the_vendors_tool_where_it_is_there(
    model: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert device.Session(model, {}).layers() is None
    tool = tmp_path / "benchmark_model"
    tool.write_text(f"#!{sys.executable}\nimport sys\nassert '--num_threads=2' in sys.argv\nprint({OLDER!r})\n")
    tool.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = device.Session(model, {"layers": True, "threads": 2}).layers()
    assert found is not None
    assert [row["op"] for row in found] == ["CONV_2D", "FULLY_CONNECTED"]
    monkeypatch.setenv("PATH", "")
    assert device.Session(model, {"layers": True}).layers() is None
