"""What is built on a device is kept whole or not at all, for its owner alone, and is never taken on trust."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.agent.built import BuiltStore, build_key
from edgekit.agent.errors import AgentError

A, B, C = (f"{number:064x}" for number in (10, 11, 12))


def keep(store: BuiltStore, key: str, content: bytes = b"plan") -> None:
    part = store.begin(key)
    Path(part, "engine.plan").write_bytes(content)
    store.keep(key, part)


def test_what_was_kept_is_laid_out_under_its_prefix(tmp_path: Path) -> None:
    store = BuiltStore(str(tmp_path / "home"))
    assert store.lay_out(A, str(tmp_path / "out")) is None
    keep(store, A)
    placed = BuiltStore(str(tmp_path / "home")).lay_out(A, str(tmp_path / "out"))
    assert placed == {"built/engine.plan": str(tmp_path / "out/engine.plan")}
    assert (tmp_path / "out/engine.plan").read_bytes() == b"plan"
    assert (tmp_path / "home/built").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "home/built" / A).stat().st_mode & 0o777 == 0o700


def test_what_has_changed_is_dropped(tmp_path: Path) -> None:
    store = BuiltStore(str(tmp_path / "home"))
    keep(store, A)
    place = tmp_path / "home/built" / A
    (place / "engine.plan").write_bytes(b"PLAN")
    assert store.lay_out(A, str(tmp_path / "out")) is None
    assert not place.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"files": 3}', f'{{"files": {{"../x": "{A}"}}}}', '{"files": {"engine.plan": "short"}}']
)
def test_a_list_that_is_none_is_no_build(text: str, tmp_path: Path) -> None:
    store = BuiltStore(str(tmp_path / "home"))
    keep(store, A)
    (tmp_path / "home/built" / A / "built.json").write_text(text)
    assert store.lay_out(A, str(tmp_path / "out")) is None


def test_links_are_not_kept(tmp_path: Path) -> None:
    store = BuiltStore(str(tmp_path / "home"))
    part = store.begin(A)
    Path(part, "engine.plan").symlink_to("/etc/passwd")
    with pytest.raises(AgentError, match="symbolic link"):
        store.keep(A, part)
    assert store.lay_out(A, str(tmp_path / "out")) is None


def test_the_least_recently_used_goes_first_and_disturbs_nobody(tmp_path: Path) -> None:
    store = BuiltStore(str(tmp_path / "home"), quota_bytes=25_000)
    keep(store, A, b"a" * 10_000)
    keep(store, B, b"b" * 10_000)
    for age, key in enumerate((B, A)):
        os.utime(tmp_path / "home/built" / key, (age + 1, age + 1))
    placed = store.lay_out(B, str(tmp_path / "out"))  # used now
    keep(store, C, b"c" * 10_000)
    assert [(tmp_path / "home/built" / key).exists() for key in (A, B, C)] == [False, True, True]
    keep(store, A, b"a" * 24_000)
    assert not (tmp_path / "home/built" / B).exists()
    assert placed is not None
    assert Path(placed["built/engine.plan"]).read_bytes() == b"b" * 10_000, "a session goes on with what it has"


def test_everything_that_a_build_depends_on_is_in_its_key() -> None:
    plain = ("tensorrt", {"model.onnx": A}, {"precision": "int8"}, {"version": "10.3.0"}, B)
    key = build_key(*plain)
    assert key == build_key(*plain)
    others = ("other", {"model.onnx": C}, {"precision": "float16"}, {"version": "10.3.1"}, C)
    for index, value in enumerate(others):
        changed = [*plain]
        changed[index] = value
        assert build_key(*changed) != key  # type: ignore[arg-type]
