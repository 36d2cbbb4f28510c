from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import IntegrityError, UnknownNameError, UsageError
from edgekit.measure.sci import YEAR_S, Embodied
from edgekit.request import DeployRequest, Drop, LatencyLimit, is_code_reference
from edgekit.request_parsing import (
    parse_drop,
    parse_duration,
    parse_fraction,
    parse_latency,
    parse_request,
    parse_shape,
    parse_targets,
)
from edgekit.schemes import PRECISIONS
from edgekit.values import from_json, to_json


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        ("1%", Drop(0.01, True)),
        (" 0.5 % ", Drop(0.005, True)),
        ("0.01", Drop(0.01, False)),
        (0.02, Drop(0.02, False)),
        (1, Drop(1.0, False)),
    ],
)
def test_drop_is_relative_with_percent_and_absolute_without(text: object, drop: Drop) -> None:
    assert parse_drop(text) == drop


@pytest.mark.parametrize("bad", ["", "1%%", "-1%", "one", "1 e", None, True, "nan", "inf"])
def test_unreadable_drop_says_how_it_is_written(bad: object) -> None:
    with pytest.raises(UsageError) as error:
        parse_drop(bad)
    assert "--max-drop" in error.value.what
    assert "1%" in error.value.hint


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("12ms", LatencyLimit(0.012, "p90")),
        ("12ms (p50)", LatencyLimit(0.012, "p50")),
        ("12 ms p99", LatencyLimit(0.012, "p99")),
        ("800us", LatencyLimit(800e-6, "p90")),
        ("1.5s (mean)", LatencyLimit(1.5, "mean")),
        ("12ms(P95)", LatencyLimit(0.012, "p95")),
    ],
)
def test_latency(text: str, limit: LatencyLimit) -> None:
    parsed = parse_latency(text)
    assert parsed.percentile == limit.percentile
    assert parsed.seconds == pytest.approx(limit.seconds)


@pytest.mark.parametrize("bad", ["12", "0ms", "12ms p42", "12ms (p90", "ms", 12, "12ms p90 p50"])
def test_latency_needs_a_unit_and_a_known_percentile(bad: object) -> None:
    with pytest.raises(UsageError, match="--max-latency"):
        parse_latency(bad)


@pytest.mark.parametrize(
    ("text", "seconds"), [("120s", 120.0), ("2m", 120.0), ("1h", 3600.0), (90, 90.0), ("500ms", 0.5), ("3min", 180.0)]
)
def test_duration(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("bad", ["0s", "-1s", "2 days", ""])
def test_unreadable_duration(bad: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        parse_duration(bad)


@given(st.floats(min_value=1e-4, max_value=1e4, allow_nan=False), st.sampled_from(["us", "ms", "s"]))
def test_every_printed_latency_is_read_back(number: float, unit: str) -> None:
    parsed = parse_latency(f"{number}{unit}")
    assert parse_latency(str(parsed)).seconds == pytest.approx(parsed.seconds, rel=1e-4)


@given(st.floats(min_value=0, max_value=100, allow_nan=False), st.booleans())
def test_every_printed_drop_is_read_back(value: float, relative: bool) -> None:
    again = parse_drop(str(Drop(value, relative)))
    assert again.relative == relative
    assert again.value == pytest.approx(value, rel=1e-4, abs=1e-12)


def test_fraction() -> None:
    assert parse_fraction("98%") == pytest.approx(0.98)
    assert parse_fraction(0.9) == 0.9


def test_targets_split_at_commas_each_once() -> None:
    assert parse_targets("onnx, jetson,onnx") == ("onnx", "jetson")
    assert parse_targets(["a,b", "c"]) == ("a", "b", "c")
    for bad in ("", "a,,b", ["a", 1], 3):
        with pytest.raises(UsageError, match="--target"):
            parse_targets(bad)


def test_shape() -> None:
    assert parse_shape("n=1x3x48x320") == {"n": (1, 3, 48, 320)}
    assert parse_shape(["a=b=2x3", "c=7", "s="]) == {"a=b": (2, 3), "c": (7,), "s": ()}
    assert parse_shape({"n": [1, 3]}) == {"n": (1, 3)}
    assert parse_shape({"n": (1, 3)}) == {"n": (1, 3)}
    for bad in ("n", "n=0x3", "n=1xx3", "=1", ["n=1", 3], {"n": "13"}, {"n": [1.5]}, {"n": [True]}, 7):
        with pytest.raises(UsageError, match="--shape"):
            parse_shape(bad)
    with pytest.raises(UsageError, match="twice"):
        parse_shape(["n=1", "n=2"])


def test_code_references_are_told_from_paths() -> None:
    assert is_code_reference("eval.py:score")
    assert is_code_reference("some/dir/eval.py:score")
    for text in (None, "photos/", "data.npz", "eval.py", "C:/x", "eval.py:"):
        assert not is_code_reference(text)


def test_defaults_and_round_trip() -> None:
    plain = parse_request({"model": "m.onnx"})
    assert plain == DeployRequest("m.onnx")
    assert plain.target == ("auto",)
    assert plain.max_drop == Drop(0.01, relative=True)
    assert plain.threads == 1
    full = parse_request(
        {
            "model": "m.onnx", "target": "onnx,jetson", "device": "d", "calib": "c", "eval": "e.py:f", "metric": "top1",
            "precision": "int8", "max_drop": "0.01", "min_agreement": "97%", "max_latency": "12ms p50", "objective": "size",
            "baseline": "b.onnx", "shape": ["n=1x3"], "samples": "100", "threads": 2, "budget": "2m", "eval_on": "device",
            "energy": "all", "grid_intensity": "400 g/kWh", "embodied": "250kg/4y",
        }
    )  # fmt: skip
    assert full.grid_intensity == 400.0
    assert full.embodied == Embodied(250_000.0, 4 * YEAR_S)
    assert full.samples == 100
    assert full.budget_s == 120.0
    auto = parse_request({"model": "m.onnx", "samples": "auto"})
    assert auto.samples == "auto"
    for request in (plain, full, auto):
        assert from_json(DeployRequest, to_json(request)) == request


@given(
    st.builds(
        DeployRequest,
        model=st.text(min_size=1),
        target=st.lists(st.text(min_size=1), min_size=1).map(tuple),
        precision=st.sampled_from(list(PRECISIONS)),
        max_drop=st.builds(Drop, st.floats(0, 1, exclude_max=True), st.booleans()),
        min_agreement=st.none() | st.floats(0, 1),
        max_latency=st.none() | st.builds(LatencyLimit, st.floats(1e-6, 10), st.sampled_from(["p50", "p90", "mean"])),
        shape=st.dictionaries(st.text(min_size=1), st.lists(st.integers(1, 9)).map(tuple)),
        threads=st.integers(1, 64),
    )
)
def test_any_request_survives_json(request_: DeployRequest) -> None:
    assert from_json(DeployRequest, to_json(request_)) == request_


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("precision", "int7"), ("objective", "speed"), ("eval_on", "cloud"), ("threads", 0), ("samples", "-3"), ("samples", 0),
        ("samples", "some"), ("samples", True), ("samples", 1.5),
        ("budget", "1e999s"), ("budget", "1e308h"), ("sustain", "1e308h"), ("max_drop", "1e999%"), ("max_latency", "1e999ms"),
        ("min_agreement", "120%"), ("threads", 1.5), ("threads", 1025),
        ("max_drop", "100%"), ("max_drop", "200%"), ("device", 3), ("budget", "soon"), ("treads", 2),
        ("energy", "some"), ("grid_intensity", "-1"), ("grid_intensity", "1e9"), ("grid_intensity", "green"), ("embodied", "250kg"),
        ("embodied", "0kg/4y"), ("embodied", "250kg/0y"), ("embodied", "1e999kg/4y"), ("embodied", "1e308kg/4y"),
        ("embodied", 250), ("embodied", "250t/4y"),
    ],
)  # fmt: skip
def test_bad_values_are_usage_errors(option: str, value: object) -> None:
    with pytest.raises(UsageError) as error:
        parse_request({"model": "m.onnx", option: value})
    assert error.value.hint


def test_energy_cannot_be_both_the_objective_and_off() -> None:
    with pytest.raises(UsageError, match="contradict"):
        parse_request({"model": "m.onnx", "objective": "energy", "energy": "off"})


def test_unknown_names_show_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as error:
        parse_request({"model": "m.onnx", "precision": "int8-dynamc"})
    assert "int8-dynamic" in error.value.hint


def test_a_request_without_model_is_refused() -> None:
    with pytest.raises(UsageError, match="no model"):
        parse_request({"target": "onnx"})


def test_a_tampered_document_is_an_integrity_error() -> None:
    document = to_json(DeployRequest("m.onnx"))
    for change in ({"threads": 0}, {"precision": "x"}, {"extra": 1}, {"shape": {"n": ["1"]}}, {"max_drop": 3}):
        with pytest.raises(IntegrityError):
            from_json(DeployRequest, {**document, **change})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (("x",), "--shape 'x' cannot be read"),
        (["a=1", "x=1x" + "9" * 5000], "cannot be read"),
        ("x=0x64", "--shape x=0x64 has a size below 1"),
        ({"x": [1, -4]}, "--shape x=1x-4 has a size below 1"),
    ],
)
def test_an_unreadable_shape_is_quoted_as_it_was_typed(value: object, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_shape(value)
    assert said in error.value.what
    assert "input=1x3x48x320" in error.value.hint
