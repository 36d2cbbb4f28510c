from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from support.verdicts import BROKEN_SLICE, FLOAT, REPORT, STATIC, latency

from edgekit.report.terminal import print_plan, print_report
from edgekit.types import Agreement, BaselineReport, DeployReport, Ratio, Winner


def printed(report: DeployReport, width: int, *, color: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=color,
        color_system="standard" if color else None,
    )
    print_report(report, console)
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_every_number_of_the_verdict_is_there(width: int) -> None:
    text = printed(REPORT, width)
    for part in (
        "2.14", "[2.10..2.18]", "2.35", "1.01", "[0.990..1.03]", "2.12x", "[2.05..2.19]",  # latency, p90, speed-up, with intervals
        "0.991", "0.975 -> 0.974", "31.2", "330 kB", "61.0 MB",  # agreement, metric, SQNR, size, memory
    ):  # fmt: skip
        assert part in text, part
    for line in (
        "Winner: onnx/int8: 2.12x [2.05..2.19] the speed of ONNX Runtime float32",
        "why: 2.12x faster",
        "640 timed inferences",
        "0.991 with float (predictions) on 1000 labelled samples, judged on the host",
        "top-1: 0.975 -> 0.974 on 1000 labelled samples, 3 candidates compared",
        "energy: not measured: no energy meter is configured",
        "next: edgekit check '/tmp/a place/digits-onnx-edgekit'",
    ):
        assert line in " ".join(text.split()), line


@pytest.mark.parametrize("width", [80, 160])
def test_refused_candidates_have_their_reason_and_the_slice_by_name(width: int) -> None:
    text = " ".join(printed(REPORT, width).split())
    assert "refused: onnx/int8-dynamic~3fa9c1d2: slice 'night [red]photos' falls by 0.31" in text
    assert "slice night [red]photos: 0.910 -> 0.600, allowed drop 0.050, n=40, limited by its resolution" in text
    assert "slice day" not in text
    assert "suspicious: top-1 holds while agreement falls" in text
    assert "not tried: onnx/fp8: fp8: this runtime has none; instead: int8" in text


@pytest.mark.parametrize("width", [80, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(len(line) for line in printed(REPORT, width).splitlines()) <= width


def test_a_narrow_terminal_gets_two_tables_and_a_wide_one_one() -> None:
    assert printed(REPORT, 80).count("candidate  ") == 2
    assert printed(REPORT, 160).count("candidate  ") == 1


def test_foreign_text_is_printed_literally() -> None:
    text = printed(REPORT, 160)
    assert "\x1b" not in text
    assert "Example CPU \ufffd[31mv2" in text
    assert "warning: the governor is [bold]powersave[/bold]" in text
    assert "\x1b[" in printed(REPORT, 160, color=True)


def test_provisional_winners_and_missing_measurements_are_said() -> None:
    unmeasured = replace(STATIC, latency_s=None, latency_reason="no device", speedup_vs_reference=None, stage="judged", trust=None)
    report = replace(
        REPORT, device=None, winner=Winner("onnx/int8", provisional=True), candidates=(replace(FLOAT, latency_s=None), unmeasured)
    )
    text = printed(report, 80)
    assert "Winner: onnx/int8 (provisional)" in text
    assert "speed: not measured: no device" in text
    assert "provisional: no device was measured" in text
    assert "p90 ms" not in text  # a column with no number in it is no column


def test_no_winner_says_why() -> None:
    report = replace(
        REPORT, winner=None, reason="no candidate, float included, met the gates", candidates=(BROKEN_SLICE,), bundle=None
    )
    text = printed(report, 80)
    assert "No winner: no candidate, float included, met the gates" in text
    assert "next:" not in text


def test_where_nothing_was_built_there_is_no_empty_table() -> None:
    refused = replace(STATIC, stage="rejected", accepted=False, reason="static quantization needs calibration data")
    text = printed(replace(REPORT, winner=None, candidates=(refused,), bundle=None), 80)
    assert "not tried: " in text
    assert "─" not in text


def test_the_baseline_says_what_compression_bought() -> None:
    baseline = BaselineReport(
        model={}, speedup=Ratio(1.0, (0.98, 1.02)), size_ratio=1.0, zipped_ratio=0.29, metric=0.97, metric_float=0.98,
        agreement=Agreement(0.97, "argmax", 100), winner_speedup=Ratio(1.8, (1.7, 1.9)), winner_metric=0.969,
        summary="unstructured sparsity: 0 % faster, 71 % smaller zipped",
    )  # fmt: skip
    text = " ".join(printed(replace(REPORT, baseline=baseline), 80).split())
    assert "Baseline: unstructured sparsity: 0 % faster, 71 % smaller zipped" in text
    assert "1.00x [0.98..1.02] the original's speed" in text
    assert "the winner: 1.80x [1.70..1.90] the original's speed, metric 0.980 -> 0.969" in text
    assert "zipped 0.29" in text


def test_the_hash_behind_a_name_is_explained() -> None:
    assert "onnx/int8-dynamic~3fa9c1d2 is int8-dynamic with weight type uint8" in " ".join(printed(REPORT, 80).split())


def test_float_that_is_kept_is_not_praised_for_its_speed() -> None:
    text = printed(replace(REPORT, winner=Winner("onnx/float32", provisional=False)), 80)
    assert "Winner: onnx/float32: the reference itself, 2.14 ms" in text


def test_times_under_a_millisecond_are_in_microseconds() -> None:
    quick = replace(STATIC, latency_s=latency(0.0000265))
    text = printed(replace(REPORT, candidates=(quick,)), 80)
    assert "p50 µs" in text
    assert "26.5" in text
    assert "Winner: onnx/int8: 2.12x [2.05..2.19] the speed of ONNX Runtime float32, 26.5" in " ".join(text.split())


def test_the_plan_of_a_dry_run_lists_every_candidate() -> None:
    stream = io.StringIO()
    print_plan(replace(REPORT, winner=None), Console(file=stream, width=80, markup=False, emoji=False, highlight=False))
    text = stream.getvalue()
    assert "dry run, nothing was built" in " ".join(text.split())
    assert "onnx/fp8: fp8: this runtime has none; instead: int8" in text


def test_what_was_compared_and_not_judged_is_not_called_refused() -> None:
    """It is right as far as anybody knows: a slow one is not scored without a budget."""
    slow = replace(
        STATIC,
        stage="built",
        accepted=False,
        reason="not faster than float; not evaluated: it cannot win",
        latency_s=latency(0.002),
    )
    broken = replace(slow, id="onnx/w8", fidelity=None, reason="fails when it is run")
    text = " ".join(
        printed(replace(REPORT, candidates=(FLOAT, slow, broken), winner=Winner(FLOAT.id, provisional=False)), 160).split()
    )
    assert f"not scored: {slow.id}: not faster than float" in text
    assert "refused: onnx/w8: fails when it is run" in text
