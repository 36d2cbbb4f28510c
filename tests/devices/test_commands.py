from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ssh_servers import Client, Server

from edgekit.devices.commands import run_command
from edgekit.devices.inventory import Device, device_of
from edgekit.devices.store import DeviceEntry
from edgekit.errors import DeviceRunError, DeviceUnavailableError

AWKWARD = ["a b", "$(id)", "'", '"', ";", "*", "-x", "", "\\n", "ä"]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client(tmp_path / "home")
    monkeypatch.setenv("HOME", str(client.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return client


@pytest.fixture(params=["here", "over ssh"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    if request.param == "here":
        yield device_of("here", DeviceEntry("local"))
        return
    client = request.getfixturevalue("client")
    with Server(tmp_path / "server", client) as server:
        yield device_of("board", DeviceEntry(server.address))


def test_words_arrive_as_they_are(device: Device) -> None:
    program = "import sys; [print(repr(word)) for word in sys.argv[1:]]"
    lines: list[str] = []
    assert run_command(device, [sys.executable, "-c", program, *AWKWARD], lines.append) == 0
    assert lines == [repr(word) for word in AWKWARD]


def test_status_and_both_outputs_come_back_without_escapes(device: Device) -> None:
    program = "import sys; print('out\\x1b[31m', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    lines: list[str] = []
    assert run_command(device, [sys.executable, "-c", program], lines.append) == 3
    assert sorted(lines) == ["err", "out"]


def test_nothing_can_be_asked(device: Device) -> None:
    lines: list[str] = []
    assert run_command(device, [sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"], lines.append) == 0
    assert lines == ["0"]


def test_a_program_that_is_not_there(device: Device) -> None:
    lines: list[str] = []
    assert run_command(device, ["edgekit-no-such-program"], lines.append) == 127
    assert lines


def test_what_does_not_end_is_given_up(device: Device) -> None:
    with pytest.raises(DeviceRunError, match="did not end"):
        run_command(device, [sys.executable, "-c", "import time; time.sleep(20)"], print, timeout_s=0.7)


def test_an_unreachable_device(client: Client) -> None:
    del client
    with pytest.raises(DeviceUnavailableError):
        run_command(device_of("gone", DeviceEntry("ssh://127.0.0.1:1")), ["true"], print)


def test_what_cannot_be_run_here_is_told_as_a_shell_does(tmp_path: Path) -> None:
    here = device_of("here", DeviceEntry("local"))
    lines: list[str] = []
    assert run_command(here, [str(tmp_path / "missing")], lines.append) == 127
    assert run_command(here, [str(tmp_path)], lines.append) == 126
    assert lines == [f"{tmp_path / 'missing'}: No such file or directory", f"{tmp_path}: Permission denied"]
