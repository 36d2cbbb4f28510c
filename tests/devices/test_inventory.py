from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgekit.devices.inventory import open_device, open_devices
from edgekit.devices.store import DeviceEntry, save_entry
from edgekit.errors import DependencyError, UnknownNameError, UsageError


@dataclass(frozen=True)
class FakeSsh:
    address: str
    python: str
    shares_files: bool = False

    def spawn(self, zipapp: Path) -> object:
        raise AssertionError("nothing is contacted")


@pytest.fixture(autouse=True)
def ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("edgekit.devices.ssh")
    module.ssh_transport = lambda address, *, python="python3": FakeSsh(address, python)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edgekit.devices.ssh", module)


@pytest.fixture
def lab() -> None:
    save_entry("a", DeviceEntry("ssh://edge@a", "raspberry-pi-5", labels={"board": "pi5", "room": "1"}, become=("sudo", "-n")))
    save_entry("b", DeviceEntry("ssh://b", python="/opt/py/bin/python", labels={"board": "pi5"}, meter="m"))
    save_entry("c", DeviceEntry("ssh://c", labels={"board": "pi4"}))


def test_this_machine_needs_no_entry() -> None:
    assert open_device(None) == open_device("local") == open_device("local://")
    assert open_device(None).address == "local"
    assert open_device(None).python == sys.executable


def test_this_machine_may_have_one() -> None:
    save_entry("local", DeviceEntry("local", profile="generic-x86-64", meter="m"))
    assert open_device(None).meter == "m"
    assert open_device(None).profile == "generic-x86-64"


@pytest.mark.parametrize(
    ("written", "run"),
    [("venv/bin/python", "{home}/venv/bin/python"), ("/opt/bin/python3", "/opt/bin/python3"), ("python3.12", "python3.12")],
)
def test_a_relative_python_of_this_machine_starts_at_home(written: str, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    save_entry("local", DeviceEntry("local", python=written))
    assert open_device(None).python == open_device(None).transport.python == run.format(home="/home/me")  # type: ignore[attr-defined]


@pytest.mark.usefixtures("lab")
def test_a_device_has_what_its_entry_says() -> None:
    a, b = open_device("a"), open_device("b")
    assert a.transport == FakeSsh("ssh://edge@a", "python3")
    assert (a.profile, a.labels["room"], a.become, a.python) == ("raspberry-pi-5", "1", ("sudo", "-n"), "python3")
    assert b.transport == FakeSsh("ssh://b", "/opt/py/bin/python")
    assert (b.profile, b.meter, b.become) == (None, "m", ())


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("a", ["a"]),
        ("b, a", ["b", "a"]),
        ("a,a,a", ["a"]),
        ("label:board=pi5", ["a", "b"]),
        ("c,label:board=pi5,b", ["c", "a", "b"]),
        ("label:room=1,label:board=pi4", ["a", "c"]),
        ("ssh://x@new:22,a,ssh://x@new:22", ["ssh://x@new:22", "a"]),
        ("local,c", ["local", "c"]),
    ],
)
def test_several_devices_each_once(spec: str, names: list[str]) -> None:
    assert [device.name for device in open_devices(spec)] == names


@pytest.mark.usefixtures("lab")
def test_one_device_is_one() -> None:
    assert open_device("label:room=1").name == "a"
    with pytest.raises(UsageError, match="2 devices") as caught:
        open_device("label:board=pi5")
    assert "a, b" in caught.value.why


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("lokal", UnknownNameError),
        ("a,", UnknownNameError),
        ("", UnknownNameError),
        ("label:board=pi6", UnknownNameError),
        ("label:board", UsageError),
        ("label:=pi5", UsageError),
        ("ssh:board", UsageError),
        ("ssh://me:secret@board", UsageError),
        ("a,adb:serial", DependencyError),
    ],
)
def test_what_is_no_device(spec: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_devices(spec)


@pytest.mark.usefixtures("lab")
def test_unknown_names_and_labels_name_the_near_ones() -> None:
    for spec, near in (("lokal", "local"), ("label:board=pi6", "board=pi5")):
        with pytest.raises(UnknownNameError) as caught:
            open_devices(spec)
        assert near in caught.value.hint
    with pytest.raises(UnknownNameError) as caught:
        open_devices("pi5.local")
    assert "ssh://" in caught.value.hint
