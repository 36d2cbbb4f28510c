from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.agent.errors import AgentError
from edgekit.agent.lease import FILE_NAME, Lease


def test_one_holder_at_a_time_and_the_message_names_it(tmp_path: Path) -> None:
    first, second = Lease([str(tmp_path)]), Lease([str(tmp_path)])
    first.acquire("tuning")
    first.acquire("again")
    with pytest.raises(AgentError, match=rf"held by .+ \(process {os.getpid()}\) since \d{{4}}-.+ for tuning") as caught:
        second.acquire("x")
    assert caught.value.kind == "busy"
    first.release()
    assert not first.held
    second.acquire("x")
    assert second.held
    second.release()
    second.release()


def test_the_file_is_for_everyone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        lease = Lease([str(tmp_path)])
        lease.acquire("x")
    finally:
        os.umask(before)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o666
    lease.release()
    assert (tmp_path / FILE_NAME).read_bytes() == b"", "no stale name"


def test_links_and_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(AgentError, match="symbolic link") as caught:
        Lease([str(tmp_path)]).acquire("x")
    assert caught.value.kind == "integrity"
    assert (tmp_path / "victim").read_text() == "precious"
    (tmp_path / FILE_NAME).unlink()
    os.mkfifo(tmp_path / FILE_NAME)
    with pytest.raises(AgentError, match="not a regular file"):
        Lease([str(tmp_path)]).acquire("x")


def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    """Whoever locks a file that was unlinked meanwhile has locked nothing."""
    first, second = Lease([str(tmp_path)]), Lease([str(tmp_path)])
    opened = first._open

    def open_then_replace() -> tuple[int, str]:
        found = opened()
        first._open = opened  # type: ignore[method-assign]
        (tmp_path / FILE_NAME).unlink()
        return found

    first._open = open_then_replace  # type: ignore[method-assign]
    first.acquire("x")
    with pytest.raises(AgentError, match="held by"):
        second.acquire("y")
    first.release()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 4000, b"{}", b'{"user": 1, "pid": "x", "since": 0, "purpose": 0}'])
def test_a_holder_that_left_no_readable_name(tmp_path: Path, content: bytes) -> None:
    first = Lease([str(tmp_path)])
    first.acquire("x")
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(AgentError, match="left no name"):
        Lease([str(tmp_path)]).acquire("y")
    first.release()


def test_no_folder_at_all() -> None:
    with pytest.raises(AgentError) as caught:
        Lease([]).acquire("x")
    assert caught.value.kind == "disk"
