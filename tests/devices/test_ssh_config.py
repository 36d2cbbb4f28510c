"""What the user's SSH files say is read as OpenSSH's own client reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.requirements import missing
from support.ssh_servers import make_key

from edgekit.devices.ssh_config import host_settings, listed_name, read_known_hosts
from edgekit.devices.ssh_destination import Destination, parse_jump

CONFIG = """
# a comment
Host board-*
    HostName %h.lab.example
    User edge
    Port 2222
    ProxyJump gate,operator@second:2200
    UserKnownHostsFile {home}/lab_hosts {home}/more_hosts
Host board-7
    User other
    HostKeyAlias seven
Host gate !board-9
    IdentityFile {home}/missing
    IdentityFile {home}/there
Match originalhost direct user edge
    HostName=10.0.0.7
Host *
    User everyone
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(CONFIG.format(home=tmp_path))
    (tmp_path / "there").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("alias", "user", "port"),
    [("board-7", None, None), ("board-9", "root", 22), ("gate", None, None), ("direct", "edge", None), ("elsewhere", None, 2200)],
)
def test_settings_are_those_of_ssh(home: Path, alias: str, user: str | None, port: int | None) -> None:
    if shutil.which("ssh") is None:
        missing("needs OpenSSH's client: apt-get install openssh-client")
    argv = [
        "ssh",
        "-F",
        str(home / ".ssh" / "config"),
        *(["-p", str(port)] if port else []),
        "-G",
        f"{user}@{alias}" if user else alias,
    ]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    theirs = {line.split(" ", 1)[0]: line.partition(" ")[2] for line in reversed(lines)}
    ours = host_settings(alias, user, port)
    assert (ours.host, str(ours.port), ours.user) == (theirs["hostname"], theirs["port"], theirs["user"])
    assert ",".join(ours.jumps) == theirs.get("proxyjump", "")
    assert ours.known_as == theirs.get("hostkeyalias", ours.host)
    if "board" in alias:
        assert ours.known_hosts_files[:2] == (home / "lab_hosts", home / "more_hosts")
    assert ours.identity_files == ((home / "there",) if alias == "gate" else None)


def test_no_files_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = host_settings("board", "edge", None)
    assert (settings.host, settings.port, settings.user, settings.jumps, settings.identity_files) == ("board", 22, "edge", (), None)
    assert read_known_hosts(settings.known_hosts_files[:2]).files == ()


def test_known_hosts_plain_hashed_and_broken_lines(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    key = (tmp_path / "key.pub").read_text().strip()
    plain, hashed = tmp_path / "plain", tmp_path / "hashed"
    plain.write_text(f"board {key}\n[board]:2222,10.0.0.7 {key}\nnot a line\n@odd x {key}\n|1|broken {key}\n*.lab {key}\n")
    hashed.write_text(f"hidden {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(hashed)], check=True, capture_output=True)
    known = read_known_hosts([plain, hashed, tmp_path / "missing"])
    for host, port, files in (
        ("board", 22, [plain]),
        ("board", 2222, [plain]),
        ("board", 2223, []),
        ("10.0.0.7", 22, [plain]),
        ("hidden", 22, [hashed]),
        ("hidden", 2222, []),
        ("nine.lab", 22, [plain]),
        ("nine", 22, []),
    ):
        assert known.files_with(listed_name(host, port)) == files, (host, port)
        assert bool(known.keys.match(host, "", None if port == 22 else port)[0]) or not files


@given(
    st.from_regex(r"[a-z][a-z0-9.-]{0,10}", fullmatch=True),
    st.none() | st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.none() | st.integers(1, 65535),
)
def test_jumps(host: str, user: str | None, port: int | None) -> None:
    text = (f"{user}@" if user else "") + host + (f":{port}" if port else "")
    assert parse_jump(text) == parse_jump(f"ssh://{text}") == Destination(host, user, port)


def test_jumps_by_address() -> None:
    assert parse_jump("edge@[fe80::1]:2222") == Destination("fe80::1", "edge", 2222)
    assert parse_jump("fe80::1") == Destination("fe80::1")
    assert parse_jump("[fe80::1]") == Destination("fe80::1")
