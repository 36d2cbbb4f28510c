"""One emulated device: started in name spaces of its own, ended by its recorded process, reached through SSH on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import rootfs
from .relay import Link, obey
from .state import LabError, lab_folder, say
from .system import CPUS

FIRST_PORT = 2222
CORES = 4
_START_S = 60.0
_END_S = 10.0
_PARTS = Path(__file__).resolve().parent
_SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile none
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
PrintMotd no
MaxStartups 100
SetEnv QEMU_CPU={cpu}
"""


class Device:
    """A device by name. What is known of it lies in ``<lab>/run/<name>``."""

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
            raise LabError(f"{name!r} is no name for a device: small letters, digits and -", 2)
        self.name = name
        self.folder = lab_folder() / "run" / name

    def describe(self) -> dict[str, Any]:
        """Its record: port, process, processor; of its relay, too."""
        try:
            record: dict[str, Any] = json.loads((self.folder / "device.json").read_text())
        except FileNotFoundError as problem:
            raise LabError(f"there is no device {self.name}", 2) from problem
        return record

    def is_up(self) -> bool:
        return self._is_ours(self.describe()["pid"])

    # ------------------------------------------------------------ start and stop
    def start(self, port: int, cpu: str, home_mb: int | None) -> None:
        """Boot it and wait until its SSH server answers; nothing when it runs already."""
        if (self.folder / "device.json").exists():
            if self.is_up():
                say(f"{self.name} is up already")
                return
            self.stop()
        if not _is_free(port):
            raise LabError(f"port {port} is taken: choose another with --port", 2)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sshd_config").write_text(_SSHD_CONFIG.format(port=port, cpu=cpu))
        (self.folder / "cpuinfo").write_text(_cpuinfo(cpu))
        inside = ["sh", _PARTS / "enter.sh", self.folder, rootfs.folder(), self.name, str(home_mb or "")]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", *map(str, inside)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "QEMU_CPU": cpu},
            )  # fmt: skip
        self._record(name=self.name, port=port, ssh_port=port, pid=process.pid, cpu=cpu, relay_pid=None, user="edge")
        end = time.monotonic() + _START_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                said = (self.folder / "log").read_text()[-800:]
                self.stop()
                raise LabError(f"{self.name} does not start: {said}")
            time.sleep(0.1)
        say(f"{self.name} is up")
        _write_ssh_config()

    def put_behind_relay(self, delay_ms: float, rate_mbit: float | None) -> None:
        """From now on its port is the relay's; commands reach that through a FIFO."""
        record = self.describe()
        self._end(record["relay_pid"])
        fifo = self.folder / "relay.commands"
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo, 0o600)
        argv = [sys.executable, str(_PARTS / "relay.py"), "--to", f"127.0.0.1:{record['ssh_port']}", "--delay-ms", str(delay_ms)]
        argv += ["--rate-mbit", str(rate_mbit)] if rate_mbit is not None else []
        commands = os.open(fifo, os.O_RDWR)  # both ways, so that it never sees an end
        output = (self.folder / "relay.log").open("wb")
        try:
            relay = subprocess.Popen(argv, stdin=commands, stdout=output, stderr=output, start_new_session=True)
        finally:
            os.close(commands)
            output.close()
        end = time.monotonic() + _START_S
        while not (port := (self.folder / "relay.log").read_text().strip()):
            if relay.poll() is not None or time.monotonic() > end:
                raise LabError(f"the relay of {self.name} does not start")
            time.sleep(0.05)
        if not port.isdigit():  # it says what it does not understand, and ends
            relay.wait(_END_S)
            raise LabError(f"the relay of {self.name} does not start: {(self.folder / 'relay.log').read_text().strip()[-300:]}", 2)
        self._record(**{**record, "port": int(port), "relay_pid": relay.pid})
        _write_ssh_config()

    def tell_relay(self, command: str) -> None:
        """Send it a command of relay.py's."""
        if self.describe()["relay_pid"] is None:
            raise LabError(f"{self.name} is not behind a relay: start it with --relay", 2)
        answer = obey(Link(), command)  # the relay's own goes to its log
        if not (answer == "done" or command.strip() == "count"):
            raise LabError(f"the relay knows no such command: {answer}", 2)
        try:
            commands = os.open(self.folder / "relay.commands", os.O_WRONLY | os.O_NONBLOCK)
        except OSError as problem:
            raise LabError(f"the relay of {self.name} has ended: {problem.strerror}") from problem
        try:
            os.write(commands, f"{command}\n".encode())
        finally:
            os.close(commands)

    def stop(self) -> None:
        """End it, everything that runs in it, and its relay. What it had written is gone."""
        record = self.describe()
        for pid in (record["relay_pid"], record["pid"]):
            self._end(pid)
        shutil.rmtree(self.folder, ignore_errors=True)
        _write_ssh_config()

    def _end(self, pid: int | None) -> None:
        if pid is not None and self._is_ours(pid):
            os.kill(pid, signal.SIGKILL)  # --kill-child passes it on to the device's process 1, which ends all its processes
            self._wait_until_gone(pid)

    def _record(self, **fields: Any) -> None:
        aside = self.folder / "device.json.new"
        aside.write_text(json.dumps(fields))
        aside.replace(self.folder / "device.json")

    def _is_ours(self, pid: int) -> bool:
        """Whether that process is still the one that was recorded: numbers are used again."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(self.folder) in words or os.fsencode(_PARTS / "relay.py") in words

    def _wait_until_gone(self, pid: int) -> None:
        end = time.monotonic() + _END_S
        while self._is_ours(pid) and time.monotonic() < end:
            time.sleep(0.05)


def all_devices() -> list[Device]:
    return [Device(path.parent.name) for path in sorted((lab_folder() / "run").glob("*/device.json"))]


def free_port() -> int:
    """The first port from 2222 on that nothing listens on."""
    for port in range(FIRST_PORT, FIRST_PORT + 200):
        if _is_free(port):
            return port
    raise LabError("no free port from 2222 on")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _write_ssh_config() -> None:
    """Sections for ~/.ssh/config, one a device, and the list of their host keys."""
    key = " ".join(rootfs.host_key().with_suffix(".pub").read_text().split()[:2])
    known_hosts = lab_folder() / "known_hosts"
    records = [device.describe() for device in all_devices()]
    sections = [
        f"Host edgekit-{record['name']}\n  HostName 127.0.0.1\n  Port {record['port']}\n  User {record['user']}\n"
        f"  IdentityFile {rootfs.client_key()}\n  UserKnownHostsFile {known_hosts}\n"
        for record in records
    ]
    known_hosts.write_text("".join(f"[127.0.0.1]:{record['port']} {key}\n" for record in records))
    (lab_folder() / "ssh_config").write_text("".join(sections))


def _cpuinfo(cpu: str) -> str:
    model = CPUS[cpu]
    core = (
        "processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        "CPU variant\t: 0x4\nCPU part\t: {part}\nCPU revision\t: 1\n\n"
    )
    cores = "".join(core.format(number=number, features=model.features, part=model.part) for number in range(CORES))
    return f"{cores}Model\t\t: edgekit emulated device ({cpu}, QEMU)\n"
