from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.errors import DataError
from edgekit.paths import kind_of


def test_what_there_is_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = {name: kind_of(tmp_path / name, DataError) for name in ("", "file", "link", "dangling", "pipe", "none", "file/below")}
    assert found == {
        "": "folder", "file": "file", "link": "folder", "dangling": "missing", "pipe": "other", "none": "missing",
        "file/below": "missing",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["x" * 300, "circle", "a\0b"])
def test_what_cannot_be_looked_at_is_an_error_of_whoever_named_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(DataError, match="cannot look at") as error:
        kind_of(tmp_path / name, DataError)
    assert error.value.why
