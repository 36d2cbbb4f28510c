"""`scripts/bench engine`: promises with their numbers, a document that is read back, programs that are watched, models that run."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from support.bench import (
    deployed,
    engine,
    engine_calibration,
    engine_large,
    engine_lines,
    engine_models,
    engine_processes,
    engine_quality,
    engine_records,
    engine_tables,
    engine_verdicts,
    quality,
    ranges_by_mse,
    records,
    result,
    row,
    stored,
    task_list,
)
from support.small_models import classifier, images

from edgekit.errors import DataError
from edgekit.progress import Silent
from edgekit.types import Ratio

STAMP = engine_records.Stamp("0123abc", "A processor, 2 cores", ("avx2",), "2026-01-02", {"onnxruntime": "1.2"})
OURS, MINMAX, PERCENTILE = engine_records.OURS, engine_records.MINMAX, engine_records.PERCENTILE
HAND, WINNER, PEER = "by hand: onnxruntime MSE", "edgekit onnx/int8~1", "onnxruntime static QDQ"


def verdicts(document: engine_records.EngineDocument, word: str) -> list[str]:
    return [line.verdict for line in engine_lines.of_document(document) if word in f"{line.task} {line.promise}"]


def numbers(document: engine_records.EngineDocument, word: str) -> str:
    return " | ".join(line.numbers for line in engine_lines.of_document(document) if word in f"{line.task} {line.promise}")


# ---------------------------------------------------------------- memory and time
def calibration(*runs: tuple[str, int, float | None, float | None]) -> engine_records.CalibrationResult:
    """Runs of who, samples, seconds, megabytes; without seconds it failed."""
    made = [
        engine_records.CalibrationRun(who, n, s, None if mb is None else int(mb * 1e6), 70, "" if s else "killed")
        for who, n, s, mb in runs
    ]
    return engine_records.CalibrationResult(STAMP, tuple(made))


@pytest.mark.parametrize(
    ("few", "many", "expected"), [(400, 430, ["met", "met"]), (380, 430, ["missed", "met"]), (440, 460, ["met", "missed"])]
)
def test_memory_may_hardly_grow(few: float, many: float, expected: list[str]) -> None:
    found = calibration((OURS, 100, 9, few), (OURS, 1000, 90, many), (PERCENTILE, 100, 20, 6400))
    assert verdicts(engine_records.EngineDocument(memory=found), "peak memory") == expected
    assert "Percentile at 100: 6400 MB" in numbers(engine_records.EngineDocument(memory=found), "peak memory")


@pytest.mark.parametrize(
    ("ours", "expected"), [([9, 10, 30], ["met", "met"]), ([11, 11, 11], ["missed", "met"]), ([16, 16, 16], ["missed", "missed"])]
)
def test_time_is_that_of_the_median(ours: list[float], expected: list[str]) -> None:
    runs = [(OURS, 100, seconds, 400.0) for seconds in ours]
    found = calibration(*runs, (MINMAX, 100, 10, 500), (PERCENTILE, 100, 20, 6400))
    assert verdicts(engine_records.EngineDocument(time=found), "time at") == expected


def test_what_could_not_run_is_said() -> None:
    without_peer = engine_records.EngineDocument(time=calibration((OURS, 100, 9, 400), (PERCENTILE, 100, None, 9000)))
    assert verdicts(without_peer, "Percentile") == ["skipped"]
    assert numbers(without_peer, "Percentile") == "killed (100 samples)"
    without_ours = engine_records.EngineDocument(memory=calibration((OURS, 100, None, None), (OURS, 1000, 9, 400)))
    assert verdicts(without_ours, "peak memory") == ["missed", "missed"]


def test_nothing_was_run_yet() -> None:
    lines = engine_lines.of_document(engine_records.EngineDocument())
    assert {line.verdict for line in lines} == {"skipped"}
    assert {line.numbers for line in lines} == {"this part was not run yet"}


# ---------------------------------------------------------------- quality
def compared(task: str, ours: float | None, *peers: float | None) -> engine_records.QualityResult:
    def made(name: str, value: float | None) -> engine_records.QualityRow:
        return engine_records.QualityRow(name, value, 0.99, fails="" if value is not None else "does not load")

    rows = tuple(made(f"peer {index}", value) for index, value in enumerate(peers))
    return engine_records.QualityResult(task, STAMP, 12, 32, 48, made("edgekit", ours), rows)


def test_quality_is_held_against_the_best_peer() -> None:
    found = engine_records.EngineDocument(
        quality=(
            compared("recogniser", 18.0, 17.0, None, 16.0),
            compared("detector", 12.0, 13.0, 9.0),
            compared("digits", 30.0, 30.02),
            compared("angle", None, 10.0),
            compared("minilm", 10.0, None),
            engine_records.QualityResult("silero", STAMP, fails="nothing in it is quantized"),
        )
    )
    lines = {line.task: line for line in engine_lines.of_document(found) if "SQNR" in line.promise}
    expected = ["met", "missed", "met", "missed", "skipped", "skipped"]
    assert [line.verdict for line in lines.values()] == expected
    assert "18.00 dB () against 17.00 dB (peer 0)" in lines["recogniser"].numbers
    assert verdicts(found, "strictly better") == ["missed"]
    assert numbers(found, "strictly better") == "1 of 3: recogniser"
    text = "\n".join(engine_tables.document(found))
    assert "| recogniser | 12 operators; 32 and 48 feeds | 18.00 dB, agreement 0.990 |" in text
    assert "fails: does not load" in text
    assert "left out: nothing in it is quantized" in text


# ---------------------------------------------------------------- verdicts
def verdict(
    task: str,
    *rows: records.Row,
    ratios: Sequence[tuple[str, float]],
    scheme: str = "int8",
    target: str = "onnx",
) -> engine_records.VerdictResult:
    """A deploy to one target whose winner is :data:`WINNER`; ``ratios``: its speed against others."""
    found = result(
        task,
        deploys=(replace(deployed(target, "onnx/int8~1"), scheme=scheme),),
        rows=(row("ONNX Runtime float32", 1.0, maker="reference"), *rows),
    )
    against = tuple(
        engine_records.Against(target, WINNER, other, Ratio(value, (value - 0.02, value + 0.02))) for other, value in ratios
    )
    return engine_records.VerdictResult(found, against)


def document(*results: engine_records.VerdictResult) -> engine_records.EngineDocument:
    return engine_records.EngineDocument(verdicts=results)


@pytest.mark.parametrize(
    ("ratio", "agreement", "expected"), [(0.94, 0.97, "met"), (0.92, 0.97, "missed"), (1.2, 0.96, "missed"), (1.0, 0.965, "met")]
)
def test_the_winner_reaches_most_of_what_was_found_by_hand(ratio: float, agreement: float, expected: str) -> None:
    winner = row(WINNER, 1.4, "onnx", evaluation=quality(agreement=agreement))
    found = document(verdict("detector", winner, row(HAND, 1.5, maker="hand"), ratios=[(HAND, ratio)]))
    assert verdicts(found, "detector on onnx at least 0.93x") == [expected]
    assert "then 1.33x on another processor" in numbers(found, "detector on onnx")
    assert verdicts(found, "detector on openvino at least") == ["missed"]  # there is no winner


def test_what_was_found_by_hand_may_be_wrong_here_and_that_is_said() -> None:
    wrong = row(HAND, 1.5, maker="hand", evaluation=quality(holds=False))
    found = document(verdict("recogniser", row(WINNER, 1.5, "onnx"), wrong, ratios=[(HAND, 1.0)]))
    assert "by hand it does not hold the gates here" in numbers(found, "recogniser on onnx at least")
    missing = row(HAND, None, maker="hand", fails="no such package", evaluation=None, third=None)
    failed = document(verdict("recogniser", row(WINNER, 1.5, "onnx"), missing, ratios=[]))
    assert verdicts(failed, "recogniser on onnx at least") == ["skipped"]
    assert "no such package" in numbers(failed, "recogniser on onnx at least")


@pytest.mark.parametrize(("ratio", "expected"), [(1.3, "met"), (0.99, "met"), (0.97, "missed")])
def test_no_winner_is_slower_than_a_peer_that_holds(ratio: float, expected: str) -> None:
    broken = row("NNCF default int8", 9.0, maker="peer", evaluation=quality(holds=False))
    peer = row(PEER, 1.2, maker="peer")
    ratios = [(PEER, ratio), ("NNCF default int8", 0.2), ("ONNX Runtime float32", 1.5)]
    found = document(verdict("digits", row(WINNER, 1.5, "onnx"), peer, broken, ratios=ratios))
    assert verdicts(found, "not slower than the fastest peer") == [expected]
    assert PEER in numbers(found, "not slower")


@pytest.mark.parametrize(("ratio", "expected"), [(0.99, "met"), (0.9, "skipped"), (None, "met")])
def test_peers_too_slow_to_be_scored_are_not_said_to_break_the_gates(ratio: float | None, expected: str) -> None:
    slow = row(PEER, 0.5, maker="peer", evaluation=None, third=None, fails="not scored: 0.50x")
    winner = row(WINNER, 0.5, "openvino", evaluation=None, third=None)
    ratios = [(PEER, ratio)] if ratio is not None else []  # without one it does not run on that target
    found = document(verdict("digits", winner, slow, ratios=ratios, target="openvino"))
    assert verdicts(found, "not slower than the fastest peer") == [expected]
    assert ("too slow to be scored" in numbers(found, "not slower")) == (ratio is not None)


def test_float_is_the_peer_where_no_int8_holds() -> None:
    broken = row(PEER, 1.2, maker="peer", evaluation=quality(holds=False))
    kept = verdict("angle", broken, ratios=[], scheme="float32")
    reference = replace(kept.result.rows[0], targets=("onnx",))
    kept = replace(kept, result=replace(kept.result, rows=(reference, broken)))
    assert verdicts(document(kept), "not slower") == ["met"]
    assert numbers(document(kept), "not slower") == "both are ONNX Runtime float32"
    assert verdicts(document(kept), "mean latency") == ["skipped"]  # no int8 of anybody's holds


def test_the_mean_is_over_what_holds_in_int8() -> None:
    peer = row(PEER, 1.2, maker="peer")
    quick = verdict("digits", row(WINNER, 1.5, "onnx"), peer, ratios=[(PEER, 1.25), ("ONNX Runtime float32", 1.5)])
    slow = verdict("angle", row(WINNER, 1.5, "onnx"), peer, ratios=[(PEER, 1.0), ("ONNX Runtime float32", 1.0)])
    assert verdicts(document(quick, slow), "mean latency") == ["met"]
    assert numbers(document(quick, slow), "mean latency") == "0.894: digits on onnx 0.80, angle on onnx 1.00"
    assert verdicts(document(slow), "mean latency") == ["missed"]


def test_every_hand_made_recipe_is_one_that_is_promised_and_that_there_is() -> None:
    from bench_parts import hand_recipes

    made = {(task, peer.target, peer.name) for task, peers in engine_verdicts.HAND.items() for peer in peers}
    assert made == {(hand.task, hand.target, hand.name) for hand in engine_lines.HAND}
    assert {recipe for peers in engine_verdicts.HAND.values() for peer in peers for recipe in peer.recipes} == set(
        hand_recipes.RECIPES
    )


# ---------------------------------------------------------------- large models and the document
LARGE = engine_records.LargeResult("3,000 operators", STAMP, 3002, 30_000_000, 600.0, 900.0, 2_000_000_000, "onnx/int8", 12, 30)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, "met"), ({"wall_s": 1900.0}, "missed"), ({"peak_bytes": 9_000_000_000}, "missed"), ({"fails": "killed"}, "missed")],
)
def test_large_models_have_limits(changes: dict[str, Any], expected: str) -> None:
    found = engine_records.EngineDocument(large=(replace(LARGE, **changes),))
    assert verdicts(found, "3,000 operators") == [expected]


def test_the_document_is_read_back_and_a_part_replaces_only_itself(tmp_path: Path) -> None:
    path = engine_records.data_path(tmp_path / "results.md")
    assert engine_records.read(path) == engine_records.EngineDocument()
    found = engine_records.EngineDocument(time=calibration((OURS, 100, 9, 400)))
    found = engine_records.with_quality(found, compared("digits", 3.0, 2.0), task_list.NAMES)
    found = engine_records.with_quality(found, compared("recogniser", 3.0, 2.0), task_list.NAMES)
    found = engine_records.with_verdict(found, verdict("digits", row(WINNER, 1.5, "onnx"), ratios=[(PEER, 1.0)]), task_list.NAMES)
    found = engine_records.with_large(engine_records.with_large(found, LARGE), replace(LARGE, wall_s=1.0))
    stored.write(path, found)
    again = engine_records.read(path)
    assert again == found
    assert [each.task for each in again.quality] == ["recogniser", "digits"]
    assert [each.wall_s for each in again.large] == [1.0]
    text = "\n".join(engine_tables.document(again))
    assert (
        text.index("### Calibration: time")
        < text.index("### Quality")
        < text.index("### digits: verdicts")
        < text.index("### Large")
    )
    path.write_text('{"schema": "edgekit.bench-engine/0"}')
    with pytest.raises(DataError, match="another version"):
        engine_records.read(path)


def test_unknown_parts_and_few_repeats_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"only": "memory", "tasks": "digits", "budget": "20", "repeats": 3, "output": "-"}
    assert engine.run(Namespace(**asked | {"only": "memories"})) == 2
    assert engine.run(Namespace(**asked | {"repeats": 1})) == 2
    said = capsys.readouterr().err
    assert "known: memory, time, quality, verdicts, large" in said
    assert "at least 3" in said


# ---------------------------------------------------------------- programs and models
HOLDS = "import time; held = bytearray(150_000_000); time.sleep({})"


def test_a_program_that_holds_too_much_is_stopped_with_what_it_started() -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDS.format(30)!r}])"
    done = engine_processes.watch([sys.executable, "-c", nested], timeout_s=60, limit_bytes=120_000_000)
    assert done.stopped == "stopped when it held more than 0.1 GB"
    assert done.wall_s < 30
    assert done.peak_bytes is not None
    assert done.peak_bytes > 120_000_000


def test_a_program_is_watched_to_its_end_or_its_time() -> None:
    done = engine_processes.watch([sys.executable, "-c", HOLDS.format(0.5) + "; print('done')"], timeout_s=60)
    assert (done.stdout.strip(), done.returncode, done.stopped) == ("done", 0, "")
    assert done.peak_bytes is not None
    assert done.peak_bytes > 150_000_000
    late = engine_processes.watch([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.3)
    assert late.stopped == "not finished after 0 minutes"


def test_a_calibration_that_fails_says_why(tmp_path: Path) -> None:
    found = engine_calibration.run(MINMAX, tmp_path / "missing.onnx", 3, 10**10)
    assert found.wall_s is None
    assert "missing.onnx" in found.fails


def test_the_models_run_and_are_the_same_each_time(tmp_path: Path) -> None:
    for large, write in (
        (engine_large.MODELS[0], lambda path: engine_models.many_operators(path, 2, 3)),
        (replace(engine_large.MODELS[1], shape=(1, 64)), lambda path: engine_models.external_weights(path, 2, 64)),
    ):
        one, other = tmp_path / f"{large.shape}.onnx", tmp_path / f"{large.shape}-again.onnx"
        write(one)
        write(other)
        (feed,) = engine_models.feeds("x", large.shape, 1)
        outputs = [onnxruntime.InferenceSession(str(path)).run(None, feed)[0] for path in (one, other)]
        assert np.array_equal(*outputs)
        assert np.isfinite(outputs[0]).all()
        assert outputs[0].std() > 0
    assert any(
        tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in onnx.load(one, load_external_data=False).graph.initializer
    )


def test_ranges_by_hand_cut_a_long_tail() -> None:
    rng = np.random.default_rng(1)
    values = np.append(rng.normal(size=1_000_000), 40.0)
    counts, _ = np.histogram(values, ranges_by_mse.BINS, (values.min(), values.max()))
    low, high = ranges_by_mse._cut(counts, float(values.min()), 40.0)
    assert 4 < high < 20
    assert -5 < low <= -2
    assert ranges_by_mse._cut(counts, 0.0, 0.0) == (0.0, 0.0)


@pytest.mark.slow
def test_one_small_task_is_compared_at_the_same_coverage(tmp_path: Path) -> None:
    path = classifier(tmp_path / "model.onnx")
    asked: list[int] = []

    def third(predict: Any) -> None:
        for image in images(80, 3):
            predict({"x": image[None]})
            asked.append(1)

    task = task_list.Task("digits", path, {}, lambda: ({"x": image[None]} for image in images(60, 1)), evaluate=third, third=third)
    found = engine_quality.run_task(task, STAMP, tmp_path, Silent())
    assert not found.fails
    assert (found.calibration_feeds, found.unseen_feeds, len(asked)) == (32, 48, 48)
    assert found.operators > 0
    assert found.ours is not None
    assert found.ours.sqnr_db is not None, found.ours.fails
    assert [peer.name for peer in found.peers] == ["onnxruntime minmax", "onnxruntime percentile", "onnxruntime entropy"]
    assert all(peer.sqnr_db is not None for peer in found.peers), found.peers
