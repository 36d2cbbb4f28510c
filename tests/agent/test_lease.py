from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.agent import lease as lease_module
from edgekit.agent.errors import AgentError
from edgekit.agent.lease import DIRECTORIES, FILE_NAME, Lease, lease_directories


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


def test_a_replaced_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever locks a file that was unlinked meanwhile has locked nothing."""
    first, second = Lease([str(tmp_path)]), Lease([str(tmp_path)])
    opened = lease_module._open_lease_file

    def open_then_replace(path: str) -> int:
        fd = opened(path)
        monkeypatch.setattr(lease_module, "_open_lease_file", opened)
        Path(path).unlink()
        return fd

    monkeypatch.setattr(lease_module, "_open_lease_file", open_then_replace)
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


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    """Stand-ins for ``/run/lock`` and ``/tmp`` that any user can reach (pytest's own folders are for their owner alone)."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        run_lock, tmp = root / "lock", root / "tmp"
        run_lock.mkdir()
        tmp.mkdir()
        run_lock.chmod(0o755)
        tmp.chmod(0o777)
        yield run_lock, tmp


@contextlib.contextmanager
def without_rights_in(folder: Path) -> Iterator[None]:
    """As a user who may not make files in ``folder``: nobody where the tests run as root, otherwise without the right to write."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)


def test_a_user_who_may_write_to_one_folder_only_meets_one_who_may_write_to_both(folders: tuple[Path, Path]) -> None:
    both, user = Lease([str(folder) for folder in folders]), Lease([str(folder) for folder in folders])
    with without_rights_in(folders[0]):
        user.acquire("the user's")
    assert not (folders[0] / FILE_NAME).exists()
    with pytest.raises(AgentError, match="for the user's") as caught:
        both.acquire("root's")
    assert caught.value.kind == "busy"
    assert not both.held
    alone = Lease([str(folders[0])])
    alone.acquire("what was taken on the way has been let go")
    alone.release()
    user.release()

    both.acquire("root's")
    for one in ([folders[0]], [folders[1]], list(folders)):
        with without_rights_in(folders[0]), pytest.raises(AgentError, match="for root's"):
            Lease([str(folder) for folder in one]).acquire("the user's")
    both.release()
    with without_rights_in(folders[0]):
        user.acquire("both files are there and for everyone now")
    for folder in folders:
        with pytest.raises(AgentError, match="held by"):
            Lease([str(folder)]).acquire("x")
    user.release()
    assert [(folder / FILE_NAME).read_bytes() for folder in folders] == [b"", b""]


def test_two_names_of_one_folder_are_locked_once(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "lock").symlink_to(tmp_path / "tmp")
    lease = Lease([str(tmp_path / "lock"), str(tmp_path / "tmp")])
    lease.acquire("x")
    assert lease.held
    lease.release()
    assert not lease.held


def test_something_else_in_the_second_folder_lets_the_first_go(tmp_path: Path) -> None:
    for name in ("lock", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "tmp" / FILE_NAME).mkdir()
    with pytest.raises(AgentError, match="not a regular file"):
        Lease([str(tmp_path / "lock"), str(tmp_path / "tmp")]).acquire("x")
    alone = Lease([str(tmp_path / "lock")])
    alone.acquire("x")
    alone.release()


def test_the_environment_names_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EDGEKIT_LEASE_DIR", raising=False)
    assert lease_directories() == list(DIRECTORIES)
    monkeypatch.setenv("EDGEKIT_LEASE_DIR", str(tmp_path))
    assert lease_directories() == [str(tmp_path)]


def test_no_folder_at_all(tmp_path: Path) -> None:
    for directories in ([], [str(tmp_path / "missing")], ["/proc"]):
        with pytest.raises(AgentError, match="no lease file can be made") as caught:
            Lease(directories).acquire("x")
        assert caught.value.kind == "disk"
