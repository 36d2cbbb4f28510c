"""Real SSH servers on loopback, each with an account's keys and a guest home of its own, and a client's home that knows them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from .requirements import missing

_START_S = 20.0


def sshd_program() -> str:
    """The server's path; the test is skipped where there is none."""
    found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
    if found is None or shutil.which("ssh-keygen") is None:
        missing("needs an SSH server: apt-get install openssh-server")
    return found


@dataclass
class Client:
    """A home folder with ``.ssh``: one key, and lists and settings that tests write."""

    home: Path

    def __post_init__(self) -> None:
        self.ssh.mkdir(mode=0o700, parents=True)
        make_key(self.key)

    @property
    def ssh(self) -> Path:
        return self.home / ".ssh"

    @property
    def key(self) -> Path:
        return self.ssh / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.ssh / "known_hosts"

    def trust(self, port: int, host_key: Path, name: str = "127.0.0.1") -> None:
        kind, text = host_key.with_suffix(".pub").read_text().split()[:2]
        with self.known_hosts.open("a") as stream:
            stream.write(f"[{name}]:{port} {kind} {text}\n")


def make_key(path: Path, kind: str = "ed25519") -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)], check=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Server:
    """One server. Ends with the block, and only this one: by its own process id.

    Args:
        folder: for its files; the agent's files go to ``folder/guest``.
        client: whose key is let in, and whose list of known hosts gets this one unless ``trusted`` is false.
        wrapper: a shell command that runs in place of what the client asked for, which it finds in ``$SSH_ORIGINAL_COMMAND``.
        environment: of what it runs.
    """

    folder: Path
    client: Client
    wrapper: str | None = None
    trusted: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0

    def __enter__(self) -> Server:
        program = sshd_program()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host_key = self.folder / "host_key"
        if not self.host_key.exists():
            make_key(self.host_key)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        (self.folder / "authorized_keys").write_text(self.client.key.with_suffix(".pub").read_text())
        self.port = self.port or free_port()
        self._write_config()
        self._log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(self.folder / "sshd_config")], stdout=self._log, stderr=self._log
        )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        if self.trusted:
            self.client.trust(self.port, self.host_key)
        return self

    @property
    def guest_home(self) -> Path:
        return self.folder / "guest"

    @property
    def address(self) -> str:
        return f"ssh://127.0.0.1:{self.port}"

    def _write_config(self) -> None:
        lease = os.environ.get("EDGEKIT_LEASE_DIR", "")
        variables = {"EDGEKIT_GUEST_HOME": str(self.guest_home), "EDGEKIT_LEASE_DIR": lease, **self.environment}
        lines = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}", "PidFile none", "UsePAM no", "UseDNS no",
            "StrictModes no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}", "PrintMotd no", "MaxStartups 100",
            "SetEnv " + " ".join(f"{name}={value}" for name, value in variables.items()),
        ]  # fmt: skip
        if self.wrapper is not None:
            lines.append(f"ForceCommand {self.wrapper}")
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def _wait_until_it_listens(self) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    if connection.recv(4) == b"SSH-":
                        return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"sshd does not listen: {(self.folder / 'log').read_text()[-2000:]}")

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
