"""The document that scripts/bench writes: sections that replace themselves, tables with every number, data that are read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.bench import TAKEN, quality, records, result, results, row, stored, tables

from edgekit.errors import DataError


def test_a_section_takes_the_place_of_its_earlier_one_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    results.replace("Tasks", ["first"], path)
    path.write_text(path.read_text() + "\n## Start-up\n\nfast\n")
    results.replace("Tasks", ["second", "", "### digits", "", "third"], path)
    text = path.read_text()
    assert "first" not in text
    assert text.index("## Tasks\n\nsecond") < text.index("### digits\n\nthird") < text.index("## Start-up\n\nfast\n")
    results.replace("Tasks", ["fourth"], path)
    assert path.read_text().startswith(results.HEADING)
    assert path.read_text().endswith("## Tasks\n\nfourth\n\n## Start-up\n\nfast\n")


def test_results_are_read_back_as_they_were_and_a_task_replaces_only_itself(tmp_path: Path) -> None:
    path = records.data_path(tmp_path / "results.md")
    order = ("recogniser", "digits")
    first = records.merged(records.Document(), result("digits"), order)
    both = records.merged(first, result("recogniser"), order)
    stored.write(path, both)
    assert records.read(path) == both
    assert [each.task for each in both.tasks] == ["recogniser", "digits"]
    later = replace(result("recogniser"), taken=replace(TAKEN, commit="later"))
    again = records.merged(records.read(path), later, order)
    assert [each.taken.commit for each in again.tasks] == ["later", TAKEN.commit]


def test_data_of_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.tasks.json"
    assert records.read(path) == records.Document()
    for content in ("{", '{"tasks": [], "schema": "edgekit.bench-tasks/0"}', '{"tasks": [{"task": 1}]}'):
        path.write_text(content)
        with pytest.raises(DataError, match=r"results\.tasks\.json"):
            records.read(path)


def test_every_artifact_has_a_line_with_its_numbers_or_its_reason() -> None:
    failed = row("onnxruntime static QDQ", None, maker="peer", fails="ValueError: a | b", evaluation=None, third=None)
    found = result(rows=(*result().rows, failed))
    text = "\n".join(tables.document(records.Document((found,))))
    assert "| edgekit openvino/int8~01234567 (openvino, auto) | 0.9700 | 0.9700 (drop [-0.004, +0.006]) |" in text
    assert "3.50x [3.45, 3.55] (2.86 ms) | yes / yes |" in text
    assert "yes / **no** (agreement 0.800 is below 0.95) |" in text
    assert r"| onnxruntime static QDQ | fails: ValueError: a \| b |" in text
    assert "Commit 0123abc, A processor, 2 cores (avx512_vnni), onnxruntime 1.2, 2026-01-02." in text
    assert {line.count("|") - line.count(r"\|") for line in text.splitlines() if line.startswith("| onnxruntime")} >= {7}


def test_of_many_reasons_the_first_is_shown_and_the_rest_counted() -> None:
    many = row("a", 1.0, maker="peer", third=quality(holds=False, reason="accuracy falls; slice 'b' falls; agreement is low"))
    text = "\n".join(tables.document(records.Document((result(rows=(many,)),))))
    assert "**no** (accuracy falls; and 2 more)" in text


def test_means_count_float_where_an_artifact_is_wrong_or_missing() -> None:
    wrong = row("NNCF default int8", 4.0, maker="peer", third=quality(holds=False))
    right = row("NNCF default int8", 9.0, maker="peer")
    document = records.Document((result("digits", rows=(wrong,)), result("recogniser", rows=(right,)), result("minilm", rows=())))
    text = "\n".join(tables.document(document))
    assert "| NNCF default int8 | 6.00x (2 of 3) | 2.08x (1 of 3) |" in text  # sqrt(4 * 9); cube root of 9 * 1 * 1
    assert "edgekit, onnx" not in text  # nothing was measured of it


def test_a_target_without_a_winner_says_why() -> None:
    failed = records.Deployed("openvino", 3.0, fails="it is not installed")
    found = result(deploys=(result().deploys[0], failed, result().deploys[2]), rows=(result().rows[0],))
    text = "\n".join(tables.document(records.Document((found,))))
    assert "| fails: it is not installed |" in text
    assert "**missed** | it is not installed |" in text
