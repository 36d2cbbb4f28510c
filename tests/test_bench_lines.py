"""What is promised of the tasks: a line that is missed says so, with the numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.bench import TAKEN, deployed, lines, quality, records, result, row

from edgekit.types import Ratio


def verdicts(found: records.TaskResult, word: str) -> list[str]:
    return [line.verdict for line in lines.of_task(found) if word in line.promise]


def test_a_result_that_keeps_everything() -> None:
    assert {line.verdict for line in lines.of_task(result())} == {"met"}


def test_a_winner_that_loses_on_the_third_set_is_a_miss_for_the_targets_that_chose_it() -> None:
    bad = row("edgekit openvino/int8~01234567", 3.5, "openvino", "auto", third=quality(0.9, holds=False, reason="accuracy falls"))
    found = result(rows=(result().rows[0], bad))
    assert verdicts(found, "third set") == ["met", "missed", "missed"]
    assert any("accuracy falls" in line.numbers for line in lines.of_task(found))


@pytest.mark.parametrize(("ratio", "verdict"), [((0.98, (0.95, 1.01)), "met"), ((0.9, (0.85, 0.95)), "missed"), (None, "missed")])
def test_auto_may_be_slower_only_within_the_interval(ratio: tuple[float, tuple[float, float]] | None, verdict: str) -> None:
    rows = (row("edgekit onnx/int8", 1.5, "onnx", "auto"), row("edgekit openvino/bfloat16", 1.6, "openvino"))
    found = result(rows=rows, best_single=rows[1].name, auto_against_best=Ratio(*ratio) if ratio else None)
    assert verdicts(found, "auto is not slower than the best") == [verdict]


@pytest.mark.parametrize(
    ("own_float", "verdict"),
    [((1.0, (1.0, 1.0)), "met"), ((0.98, (0.9, 1.1)), "met"), ((0.9, (0.85, 0.95)), "missed"), (None, "skipped")],
)
def test_a_winner_is_not_slower_than_its_own_float(own_float: tuple[float, tuple[float, float]] | None, verdict: str) -> None:
    chosen = deployed("tflite", "tflite/int8", own_float=Ratio(*own_float) if own_float else None)
    assert verdicts(result(deploys=(chosen,)), "its own float") == [verdict]
    failed = records.Deployed("tflite", 12.0, fails="no such operator")
    assert verdicts(result(deploys=(failed,)), "its own float") == ["missed"]


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (records.Deployed("tflite", 1.0, fails="its If operators decide"), "met"),
        (records.Deployed("tflite", 61.0, fails="its If operators decide"), "missed"),
        (records.Deployed("tflite", 1.0, fails="no such file"), "missed"),
        (deployed("tflite", "tflite/int8"), "missed"),
    ],
)
def test_a_model_that_chooses_as_it_runs_is_refused_for_litert(given: records.Deployed, verdict: str) -> None:
    found = result("silero", deploys=(given,))
    assert verdicts(found, "tflite refuses") == [verdict]
    assert not verdicts(found, "third set")


@pytest.mark.parametrize("name", ["magika", "minilm"])
@pytest.mark.parametrize(("speed", "verdict"), [(2.95, "met"), (2.85, "missed")])
def test_litert_has_a_least_speed_among_matrix_products(name: str, speed: float, verdict: str) -> None:
    found = result(name, rows=(row("edgekit tflite/int8-dynamic", speed, "tflite"),))
    assert verdicts(found, "tflite reaches 2.9x") == [verdict]
    assert verdicts(replace(found, taken=replace(TAKEN, features=("avx2",))), "tflite reaches 2.9x") == ["skipped"]


@pytest.mark.parametrize(("speed", "verdict"), [(3.25, "met"), (3.15, "missed")])
def test_the_recogniser_has_a_least_speed(speed: float, verdict: str) -> None:
    found = result("recogniser", rows=(row("edgekit openvino/int8", speed, "openvino"),))
    assert verdicts(found, "3.2x") == [verdict]
    elsewhere = replace(found, taken=replace(TAKEN, features=("avx2",)))
    assert verdicts(elsewhere, "3.2x") == ["skipped"]
    assert not verdicts(result("digits"), "3.2x")


@pytest.mark.parametrize(("evaluation", "third", "verdict"), [(0.96, 0.95, "met"), (0.96, 0.94, "missed"), (0.94, 0.96, "missed")])
def test_the_detectors_masks_must_agree_on_both_sets(evaluation: float, third: float, verdict: str) -> None:
    qualities = {"evaluation": quality(agreement=evaluation), "third": quality(agreement=third)}
    found = result("detector", rows=(row("edgekit openvino/bfloat16", 1.9, "openvino", **qualities),))
    assert verdicts(found, "1.85x") == [verdict]


@pytest.mark.parametrize(
    ("winner", "fields", "verdict"),
    [
        ("openvino/float32", {}, "met"),
        ("openvino/bfloat16", {}, "missed"),
        ("openvino/int8", {}, "missed"),
        ("openvino/int8~1", {"scheme": "int8", "build_options": {"preset": "mixed"}}, "met"),
        (
            "openvino/int8~2",
            {"scheme": "int8", "build_options": {"a": 1}, "run_options": {"inference_precision": "bf16"}},
            "missed",
        ),
    ],
)
def test_magika_on_openvino(winner: str, fields: dict[str, object], verdict: str) -> None:
    found = result("magika", deploys=(deployed("onnx", "onnx/float32"), deployed("openvino", winner, **fields)))
    assert verdicts(found, "neither bfloat16") == [verdict]
