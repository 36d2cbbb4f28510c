from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.errors import OutputError
from edgekit.state import cache_dir, new_folder, private_dir, work_folder, write_file

WORKER = """
import time
from edgekit.state import work_folder
with work_folder() as folder:
    (folder / "scratch").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# ---------------------------------------------------------------- private folders
def test_a_new_private_folder_and_its_new_parents_are_private_whatever_the_umask(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    before = os.umask(0)
    try:
        folder = private_dir(tmp_path / "home" / "cache" / "agents")
    finally:
        os.umask(before)
    assert [mode(path) for path in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3
    assert mode(tmp_path) == 0o755, "what was there before is not ours to change"


def test_a_wider_folder_of_ours_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents").chmod(0o777)
    assert mode(private_dir(tmp_path / "agents")) == 0o700


def test_links_files_and_other_peoples_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    for name in ("link", "dangling"):
        with pytest.raises(OutputError, match="is a symbolic link"):
            private_dir(tmp_path / name)
    with pytest.raises(OutputError, match="is not a folder"):
        private_dir(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        private_dir(tmp_path / "file" / "below")
    assert mode(tmp_path / "elsewhere") == 0o755
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    with pytest.raises(OutputError, match="belongs to another user"):
        private_dir(tmp_path / "elsewhere")


# ---------------------------------------------------------------- folders that appear whole
@pytest.mark.parametrize("problem", [PermissionError(errno.EACCES, "no"), FileExistsError(errno.EEXIST, "there"), ValueError("x")])
def test_what_the_block_raises_is_its_own(tmp_path: Path, problem: Exception) -> None:
    def write() -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("x")
            raise problem

    with pytest.raises(type(problem)) as caught:
        write()
    assert caught.value is problem
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_in_the_block_is_an_output_error(tmp_path: Path, number: int) -> None:
    with pytest.raises(OutputError, match=r"no space left while writing .*out"), new_folder(tmp_path / "out"):
        raise OSError(number, os.strerror(number))
    assert not list(tmp_path.iterdir())


def test_what_edgekit_cannot_write_itself_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"), new_folder(tmp_path / "file" / "out"):
        pytest.fail("the block is not entered")
    with pytest.raises(OutputError, match="cannot write"), new_folder(tmp_path / ("x" * 300)):
        pytest.fail("the block is not entered")
    with pytest.raises(OutputError, match="cannot write"), new_folder(tmp_path / "full"):
        (tmp_path / "full" / "theirs").mkdir(parents=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    with pytest.raises(OutputError, match="cannot write"):
        write_file(tmp_path / "full", b"a folder stands there")


# ---------------------------------------------------------------- scratch folders
def runs() -> list[Path]:
    return list((cache_dir() / "work").glob("run.*"))


def test_a_work_folder_is_private_empty_and_gone_afterwards() -> None:
    with work_folder() as folder:
        assert mode(folder) == 0o700
        assert not list(folder.iterdir())
        with work_folder() as inner:
            assert inner != folder
        assert folder.is_dir(), "a live folder of the same process is not swept"
        (folder / "x").write_text("x")
    assert not runs()
    with pytest.raises(KeyboardInterrupt), work_folder():
        raise KeyboardInterrupt
    assert not runs()


def test_what_a_killed_run_left_is_removed_and_what_a_live_one_uses_stays() -> None:
    killed, living = (subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        left, used = (Path(child.stdout.readline().strip()) for child in (killed, living) if child.stdout)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "scratch").is_file()
        (cache_dir() / "work" / "run.nolock").mkdir()
        (cache_dir() / "work" / "notes").mkdir()
        with work_folder():
            assert not left.parent.exists()
            assert (used / "scratch").read_text() == "x"
            assert len(runs()) == 2
        assert (cache_dir() / "work" / "notes").is_dir()
    finally:
        for child in (killed, living):
            child.kill()
            child.communicate()
    with work_folder():
        assert len(runs()) == 1
