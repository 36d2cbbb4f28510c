"""What trtexec prints, read: literal lines of its releases, everything the stand-in writes, and whatever else may stand there."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stand_in_jetson import TENSORRT, stand_in_of
from support.tensorrt_guest import guest_module

text = guest_module("trtexec_text")
flags = guest_module("trtexec_flags")

V82 = """&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --loadEngine=a.plan
[02/19/2022-17:05:08] [I] === Performance summary ===
[02/19/2022-17:05:08] [I] Throughput: 412.5 qps
[02/19/2022-17:05:08] [I] Latency: min = 2.25 ms, max = 3.5 ms, mean = 2.4 ms, median = 2.375 ms, percentile(99%) = 3.25 ms
[02/19/2022-17:05:08] [I] End-to-End Host Latency: min = 2.5 ms, max = 4 ms, mean = 2.6 ms, median = 2.5 ms, \
percentile(99%) = 3.5 ms
[02/19/2022-17:05:08] [I] GPU Compute Time: min = 2 ms, max = 3 ms, mean = 2.1 ms, median = 2.125 ms, percentile(99%) = 2.75 ms
&&&& PASSED TensorRT.trtexec [TensorRT v8201] # trtexec --loadEngine=a.plan
"""
V10 = """&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26] # trtexec --onnx=a.onnx
[01/08/2025-01:49:37] [I] H2D Latency: min = 0.125 ms, max = 0.25 ms, mean = 0.1 ms, median = 0.125 ms, \
percentile(90%) = 0.2 ms, percentile(95%) = 0.2 ms, percentile(99%) = 0.25 ms
[01/08/2025-01:49:37] [E] [TRT] IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (\
Could not find any implementation for node x.)
[01/08/2025-01:49:37] [E] Engine could not be created from network
[01/08/2025-01:49:37] [E] Engine could not be created from network
&&&& FAILED TensorRT.trtexec [TensorRT v100300] [b26] # trtexec --onnx=a.onnx
"""


VERSIONS = {
    "v8201": (8, 2, 1), "v8602": (8, 6, 2), "v9300": (9, 3, 0),
    "v100300": (10, 3, 0), "v101602": (10, 16, 2), "v110401": (11, 4, 1),
}  # fmt: skip


@pytest.mark.parametrize(("mark", "version"), VERSIONS.items())
def test_versions(mark: str, version: tuple[int, ...]) -> None:
    assert text.parse_version(f"&&&& RUNNING TensorRT.trtexec [TensorRT {mark}] [b12] # trtexec --help\n") == version


def test_no_banner_is_no_version() -> None:
    assert text.parse_version("[TensorRT v10] trtexec: not found") is None


def test_the_summary_of_8_2_and_of_10() -> None:
    rows = text.parse_summary(V82)
    assert rows["Throughput"] == {"per_s": 412.5}
    assert rows["GPU Compute Time"]["median"] == pytest.approx(2.125e-3)
    assert rows["End-to-End Host Latency"]["percentile(99%)"] == pytest.approx(3.5e-3)
    assert set(text.parse_summary(V10)["H2D Latency"]) == {
        "min", "max", "mean", "median", "percentile(90%)", "percentile(95%)", "percentile(99%)",
    }  # fmt: skip


def test_errors_are_told_once_without_their_marks_and_the_last_status_counts() -> None:
    assert text.parse_errors(V10) == [
        "IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not find any implementation for node x.)",
        "Engine could not be created from network",
    ]
    assert text.passed(V82) is True
    assert text.passed(V10) is False
    assert text.passed(V10.partition("&&&& FAILED")[0]) is None


def test_names_of_layers_are_not_escaped() -> None:
    profile = """[
  { "count" : 100 }
, { "name" : "{ForeignNode["/a/Conv"...\\b]}", "timeMs" : 150, "averageMs" : 1.5, "medianMs" : 1.25, "percentage" : 75 }
, { "name" : "Reformatting, "x" : 1", "timeMs" : 50, "averageMs" : 0.5, "percentage" : 25 }
]"""
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(profile)
    rows = text.parse_profile(profile)
    assert [(row.name, row.n) for row in rows] == [('{ForeignNode["/a/Conv"...\\b]}', 100), ('Reformatting, "x" : 1', 100)]
    assert rows[0].time_s == pytest.approx(0.15)


def test_outputs_hold_what_json_cannot() -> None:
    written = """[
  { "name" : "logits"
  , "dimensions" : "1x4"
  , "values" : [ 1.5, -nan, inf, 1e-07 ]
  }
, { "name" : "n"
  , "dimensions" : ""
  , "values" : [ 7 ]
  }
, { "name" : "torn"
  , "dimensions" : "2x2"
  , "values" : [ 1, 2, 3 ]
  }
]"""
    found = text.parse_outputs(written)
    assert set(found) == {"logits", "n"}, "four values were announced for the third"
    assert found["logits"].values[0] == 1.5
    assert math.isnan(found["logits"].values[1])
    assert math.isinf(found["logits"].values[2])
    assert (found["n"].shape, found["n"].values) == ((), [7.0])


def test_times_of_the_warm_up_are_left_out() -> None:
    def entry(start: float) -> str:
        return f'{{ "startComputeMs" : {start}, "h2dMs" : 0.5, "computeMs" : 2, "d2hMs" : 0.25, "latencyMs" : 2.75 }}'

    queries = text.parse_times(f"[ {entry(10)}, {entry(199)}, {entry(201)} ]", 0.2)
    assert queries == [text.Query(0.5e-3, 2e-3, 0.25e-3, 2.75e-3)]


# ---------------------------------------------------------------- everything the stand-in writes
def ask(trtexec: Path, *arguments: str) -> str:
    done = subprocess.run(
        [trtexec, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("version", TENSORRT)
def test_help_says_version_and_options(version: str, tmp_path: Path) -> None:
    said = ask(stand_in_of(version, tmp_path).root / "usr/src/tensorrt/bin/trtexec", "--help")
    assert ".".join(map(str, text.parse_version(said))) == version
    options = text.parse_options(said)
    assert ("--fp16" in options) is not version.startswith("11")
    assert ("--memPoolSize" in options) is not version.startswith("8.2")
    assert {"--onnx", "--saveEngine", "--exportTimes"} <= options


@pytest.mark.parametrize("version", TENSORRT)
@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "int8+fp16"])
def test_no_release_is_given_a_flag_that_it_refuses(version: str, precision: str, tmp_path: Path) -> None:
    path = tmp_path / "usr/src/tensorrt/bin/trtexec"
    stand_in_of(version, tmp_path)
    said = ask(path, "--help")
    tool = flags.Tool(str(path), text.parse_version(said), text.parse_options(said))
    options = {
        "precision": precision,
        "strongly_typed": True,
        "sparsity": "enable",
        "shapes": {"x": {k: [1, 3] for k in ("min", "opt", "max")}},
    }
    built, settings = flags.build_flags(tool, options, 512 << 20, str(tmp_path / "timing.cache"))
    timed, timing = flags.timing_settings(tool)
    for chosen in (built, timed):
        assert "Unknown option" not in ask(path, *[flag for flag in chosen if "cache" not in flag])
    assert settings["typing"] == ("weak" if version.startswith("8") else "strong")
    assert timing == {"data_transfers": True, "cuda_graph": False, "spin_wait": True}
    assert ("--workspace=512" in built) is version.startswith("8.2")
    weak = {"float32": [], "float16": ["--fp16"], "int8": ["--int8"], "int8+fp16": ["--int8", "--fp16"]}[precision]
    assert [flag for flag in built if flag in ("--fp16", "--int8")] == (weak if version.startswith("8") else [])


def test_the_stand_in_refuses_what_a_release_does_not_know(tmp_path: Path) -> None:
    path = stand_in_of("11.4.1", tmp_path).root / "usr/src/tensorrt/bin/trtexec"
    said = ask(path, "--onnx=x.onnx", "--fp16", "--best")
    assert text.parse_errors(said) == ["Unknown option: --fp16", "Unknown option: --best"]
    assert text.passed(said) is False


@pytest.mark.parametrize(("version", "word"), [((7, 1, 3), "too old"), ((12, 0, 0), "newer than")])
def test_releases_that_are_not_supported(version: tuple[int, ...], word: str) -> None:
    with pytest.raises(flags.UnsupportedError, match=word):
        flags.check_version(version)


def test_names_that_would_break_a_list_are_refused() -> None:
    assert flags.shape_list({"a": (1, 3), "b/c.0": ()}) == "a:1x3,b/c.0:scalar"
    with pytest.raises(flags.UnsupportedError, match="input:0"):
        flags.shape_list({"input:0": (1,)})


# ---------------------------------------------------------------- whatever else may stand there
LINES = [
    *V82.split("\n"), *V10.split("\n"), '  { "count" : 100 }', '{ "name" : "a', '  , "dimensions" : "1x4"',
    '  , "values" : [ 1, nan ]',
    ', { "name" : "l", "timeMs" : 1e400, "averageMs" : 1, "percentage" : 1 }', '  , "dimensions" : "99999999999999999999x1"',
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=40)), max_size=30).map("\n".join)


@given(TEXTS, st.integers(0, 400))
def test_parsers_survive_truncated_reordered_and_garbage_lines(lines: str, cut: int) -> None:
    for written in (lines, lines[:cut], lines[cut:]):
        version = text.parse_version(written)
        assert version is None or all(number >= 0 for number in version)
        assert text.passed(written) in (True, False, None)
        assert all(isinstance(option, str) for option in text.parse_options(written))
        assert all(said for said in text.parse_errors(written))
        for rows in text.parse_summary(written).values():
            assert all(math.isfinite(value) for value in rows.values())
        for layer in text.parse_profile(written):
            assert math.isfinite(layer.time_s)
            assert layer.n > 0
        for output in text.parse_outputs(written).values():
            assert len(output.values) == math.prod(output.shape)
        for line in written.split("\n"):
            assert text.parse_stage(line) is None or text.parse_stage(line)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["startComputeMs", "h2dMs", "computeMs", "d2hMs", "latencyMs", "x"]), inner, max_size=6),
    ),
    max_leaves=30,
)


@given(st.one_of(JSON.map(json.dumps), st.text(max_size=40)))
def test_times_are_times_or_a_value_error(written: str) -> None:
    try:
        queries = text.parse_times(written, 0.2)
    except ValueError:
        return
    assert all(math.isfinite(value) and value >= 0 for query in queries for value in query)
