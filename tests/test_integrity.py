from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import IntegrityError
from edgekit.integrity import (
    MAX_JSON_BYTES,
    MAX_JSON_TEXT_BYTES,
    MAX_JSON_WEIGHT,
    FileEntry,
    check_tree,
    hash_file,
    is_safe_path,
    json_weight,
    parse_json,
    read_json_file,
    walk,
)
from edgekit.types import sha256_file


@pytest.mark.parametrize("name", ["a", "a/b.onnx", ".hidden", "a b", "ä/ö", "..a", "a..", "..."])
def test_plain_paths(name: str) -> None:
    assert is_safe_path(name)


@pytest.mark.parametrize(
    "name",
    ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "./a", "a\\b", "C:a", "a\nb", "a\0", "a?", "x" * 600, "a\u202eb"],
)
def test_other_paths(name: str) -> None:
    assert not is_safe_path(name)


@given(st.text())
def test_a_safe_path_stays_inside(name: str) -> None:
    if is_safe_path(name):
        root = Path("/root/of/all")
        assert (root / name).resolve().is_relative_to(root)
        assert (root / name).resolve() != root


def test_a_tree_is_compared_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"")
    files = {name: FileEntry(sha256_file(tmp_path / name), (tmp_path / name).stat().st_size) for name in ("sub/a", "b")}
    check_tree(tmp_path, files)
    assert [name for name, _ in walk(tmp_path)] == ["b", "sub/a"]
    (tmp_path / "list").write_text("x")
    with pytest.raises(IntegrityError, match="not listed"):
        check_tree(tmp_path, files)
    check_tree(tmp_path, files, also=frozenset({"list"}))
    with pytest.raises(IntegrityError, match="cannot read"):
        list(walk(tmp_path / "none"))


def test_a_file_that_shrinks_or_grows_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    for size in (2, 4):
        with pytest.raises(IntegrityError, match="changed"):
            hash_file(tmp_path / "a", size)


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[Infinity]", '{"a": 1, "a": 2}', '{"x": {"a": 1, "a": 1}}', "[" * 65 + "]" * 65, "[" * 100_000, "\ud800"],
)
def test_json_that_no_honest_writer_makes(text: str) -> None:
    with pytest.raises(IntegrityError):
        parse_json(text.encode("utf-8", errors="surrogatepass"), "x")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_other_json_is_read_as_it_is(document: object) -> None:
    assert parse_json(json.dumps(document).encode(), "x") == document


@pytest.mark.parametrize("value", ["[],", '"ab",', "1,", '{"a": 1},'])
def test_json_that_would_cost_far_more_than_its_bytes(value: str) -> None:
    with pytest.raises(IntegrityError, match="too many values"):
        parse_json(f"[{value * MAX_JSON_WEIGHT}0]".encode(), "x")
    few = f"[{value * 10}0]".encode()
    assert json_weight(few) >= 11
    assert len(parse_json(few, "x")) == 11


def test_json_that_is_wide_in_memory() -> None:
    long = b'"' + b"a" * (MAX_JSON_TEXT_BYTES // 4 + 1)
    assert parse_json(long + b'"', "x") == long.decode()[1:]
    with pytest.raises(IntegrityError, match="too long for its characters"):
        parse_json(long + "\U0001f4a5".encode() + b'"', "x")


def test_json_files_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(" " * (MAX_JSON_BYTES + 1))
    with pytest.raises(IntegrityError, match="never read"):
        read_json_file(tmp_path / "a.json")
    with pytest.raises(IntegrityError, match="cannot read"):
        read_json_file(tmp_path / "none.json")
