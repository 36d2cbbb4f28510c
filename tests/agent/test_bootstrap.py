"""What receives the agent on a device keeps it where only its user can change it, and says when there is no such place."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import edgekit.agent.bootstrap as bootstrap
from edgekit.agent.bootstrap import BootstrapError, Conversation, guest_home, private_folder, receive
from edgekit.agent.files import guest_home as agents_guest_home

AGENT = b"import os; os.write(1, b'the agent runs\\n')"
SHA256 = hashlib.sha256(AGENT).hexdigest()


def request(sha256: str = SHA256, size: int = len(AGENT)) -> Conversation:
    said = Conversation(json.dumps({"nonce": "00ff", "sha256": sha256, "size": size}).encode())
    said.answer = lambda text: None  # type: ignore[method-assign]
    return said


def test_the_program_as_it_is_run(tmp_path: Path) -> None:
    """As the last statement of a remote command: asks, keeps, becomes the agent; the second time it does not ask."""
    line = json.dumps({"nonce": "00ff", "sha256": SHA256, "size": len(AGENT)}).encode() + b"\n"
    for sent, words in ((AGENT, ["need", "have"]), (b"", ["have"])):
        done = subprocess.run(
            [sys.executable, "-c", Path(bootstrap.__file__).read_text() + "\nmain()"], input=line + sent, capture_output=True,
            env={**os.environ, "EDGEKIT_GUEST_HOME": str(tmp_path / "home")}, check=True,
        )  # fmt: skip
        answers = [text for text in done.stdout.decode().split("\n") if text]
        assert answers == [*(f"edgekit-bootstrap 00ff {word}" for word in words), "the agent runs"]
    assert (tmp_path / "home" / "agents" / f"{SHA256}.pyz").read_bytes() == AGENT


def test_damaged_on_the_way_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_GUEST_HOME", str(tmp_path / "home"))
    for sent in (AGENT[:-1], AGENT[:-1] + b"?"):
        with pytest.raises(BootstrapError, match="not what was sent"):
            receive(io.BytesIO(sent), request())
    assert list((tmp_path / "home" / "agents").iterdir()) == []


def test_a_full_disk_leaves_nothing_and_says_how_much_was_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("EDGEKIT_GUEST_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(BootstrapError, match=rf"needs {len(AGENT)} bytes, \d+ are available") as caught:
        receive(io.BytesIO(AGENT), request())
    assert caught.value.kind == "disk"
    assert list((tmp_path / "home" / "agents").iterdir()) == []


def test_agents_that_nobody_started_for_a_month_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_GUEST_HOME", str(tmp_path / "home"))
    receive(io.BytesIO(AGENT), request())
    agents = tmp_path / "home" / "agents"
    for name, days in (("old.pyz", 31), ("new.pyz", 29)):
        (agents / name).write_bytes(b"")
        os.utime(agents / name, (time.time() - days * 86400,) * 2)
    os.utime(agents / f"{SHA256}.pyz", (time.time() - 40 * 86400,) * 2)
    receive(io.BytesIO(b""), request())
    assert {path.name for path in agents.iterdir()} == {f"{SHA256}.pyz", "new.pyz"}


def test_a_request_names_no_path() -> None:
    for sha256 in ("../../x", "A" * 64, SHA256 + "/"):
        with pytest.raises(ValueError, match="not a request"):
            request(sha256)


def test_the_folder_is_a_real_one_of_this_users_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    private_folder(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(BootstrapError, match="not a folder of this user's"):
            private_folder(str(tmp_path / name))


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A private folder beside it, told on standard error; none where another user has taken the name, and then an error."""
    monkeypatch.delenv("EDGEKIT_GUEST_HOME")
    (tmp_path / "not-a-folder").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "not-a-folder"))
    shared = [tmp_path / "one", tmp_path / "two"]
    for folder in shared:
        folder.mkdir()
    monkeypatch.setattr(bootstrap, "shared_folders", lambda: [str(folder) for folder in shared])
    name = f"edgekit-{os.getuid()}"
    (shared[0] / name).symlink_to(tmp_path)
    assert guest_home() == str(shared[1] / name)
    assert (shared[1] / name).stat().st_mode & 0o777 == 0o700
    said = capsys.readouterr().err
    assert f"edgekit keeps its files in {shared[1] / name}" in said
    assert "Not a directory" in said
    (shared[1] / name).rmdir()
    (shared[1] / name).symlink_to(tmp_path)
    with pytest.raises(BootstrapError, match="no folder to keep files in") as caught:
        guest_home()
    assert caught.value.kind == "disk"


def test_only_sticky_folders_are_shared_safely() -> None:
    for folder in bootstrap.shared_folders():
        assert Path(folder).stat().st_mode & 0o1000


def test_it_keeps_files_where_the_agent_looks_for_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert guest_home() == agents_guest_home()
    monkeypatch.delenv("EDGEKIT_GUEST_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert guest_home() == agents_guest_home() == str(tmp_path / ".cache" / "edgekit")


def test_what_cannot_be_dropped_keeps_nobody_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_GUEST_HOME", str(tmp_path / "home"))
    (tmp_path / "home/agents/a folder").mkdir(parents=True)
    old = tmp_path / "home/agents/old.pyz"
    old.touch()
    for path in (old, tmp_path / "home/agents/a folder"):
        os.utime(path, (1, 1))
    assert Path(receive(io.BytesIO(AGENT), request())).read_bytes() == AGENT
    assert not old.exists()
