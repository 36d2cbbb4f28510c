"""The emulated aarch64 device that tests of a module share, seen from outside: its files, its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.requirements import ROOT, missing

GOVERNOR = "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
_START_S = 900  # the first time it is built


def lab_folder() -> Path:
    return Path(os.environ.get("EDGEKIT_LAB") or ROOT / ".cache" / "lab")


def lab(*words: str) -> str:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "lab"), *words], capture_output=True, text=True, timeout=_START_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Emulated:
    """One device behind a relay; ``home`` is that of a user whose SSH knows it."""

    def __init__(self, home: Path) -> None:
        self.name = f"test-{os.getpid()}"
        [record] = json.loads(lab("up", self.name, "--relay", "--json"))
        self._pid = record["pid"]
        self.home = home
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh" / "config").write_text(f"Include {lab_folder()}/ssh_config\n")

    @property
    def address(self) -> str:
        return f"ssh://edgekit-{self.name}"

    @property
    def root_address(self) -> str:
        return f"ssh://root@edgekit-{self.name}"

    def network(self, command: str) -> None:
        """See scripts/lab_parts/relay.py."""
        lab("network", self.name, command)

    def read(self, path: str) -> str:
        """A file of the device's, through the mount name space of its process."""
        root = f"/proc/{self._pid}/root{lab_folder()}/run/{self.name}/root"
        return Path(root, path).read_text().strip()

    def agents(self) -> list[int]:
        """Guardians and workers on the device, by this machine's process ids; the guardian is the one that started first."""
        space = Path(f"/proc/{self._pid}/ns/pid_for_children").readlink()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                inside = (folder / "ns" / "pid").readlink() == space
                if inside and b".pyz" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return sorted(found)


def wait_until(true: Callable[[], Any], timeout_s: float, what: str) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        missing("an emulated device needs Linux and root")
    if not (lab_folder() / "stamp").exists():
        missing("the emulated device is not built: scripts/lab build")
    device = Emulated(tmp_path_factory.mktemp("emulated"))
    yield device
    lab("down", device.name)


@pytest.fixture(autouse=True)
def ssh_home(device: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(device.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture(autouse=True)
def network_as_it_was(device: Emulated) -> Iterator[None]:
    yield
    device.network("pass")
