"""What can go wrong on a board whose network is fine: others who want it, no memory, a home that cannot be written, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.guests import Toy, wait_until_gone
from support.requirements import missing
from support.ssh_fixtures import client, server, ssh_home, transport_to  # noqa: F401 - fixtures
from support.ssh_servers import Client, Server

from edgekit.devices import AgentSession, BenchPlan, Opened, WorkerFailedError
from edgekit.errors import DeviceUnavailableError
from edgekit.types import Measurement

X = np.ones((2, 3), np.float32)
RACES = 50
TINY = BenchPlan(rounds=1, round_s=0.002, window_s=0.002, warm_up_max_s=0.005)


def test_of_two_hosts_exactly_one_measures(server: Server, toy: Toy) -> None:  # noqa: F811
    """Fifty times both ask at once. The one that gets it measures while it holds it; the other is told who has it."""
    together = threading.Barrier(2, timeout=60)
    outcomes: list[list[str]] = [[], []]

    def host(number: int) -> None:
        with AgentSession(transport_to(server), {"toy": toy.runner()}) as session:
            session.push(toy.artifact, toy.files)
            assert isinstance(session.open("one", "toy", toy.runner(), toy.files), Opened)
            for _ in range(RACES):
                together.wait()
                try:
                    with session.lease(purpose=f"host {number}"):
                        together.wait()  # both have their answer
                        found = session.bench(["one"], {"one": {"x": X}}, TINY)["one"]
                        outcomes[number].append("measured" if isinstance(found, Measurement) else str(found))
                except DeviceUnavailableError as busy:
                    together.wait()
                    outcomes[number].append(busy.why)
                together.wait()  # it is free again

    threads = [threading.Thread(target=host, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [len(told) for told in outcomes] == [RACES, RACES]
    for race in zip(*outcomes, strict=True):
        assert sorted(text == "measured" for text in race) == [False, True], race
        told = next(text for text in race if text != "measured")
        assert "held by" in told
        assert f"for host {race.index('measured')}" in told


@pytest.fixture
def memory_limit() -> Iterator[Path]:
    """A control group of the kernel's with 300 MB; yields the file that takes process numbers."""
    if os.geteuid() != 0:
        missing("only root can make a memory control group")
    root = Path("/sys/fs/cgroup")
    old = (root / "memory" / "memory.limit_in_bytes").exists()
    if not old:
        (root / "cgroup.subtree_control").write_text("+memory")
    group = (root / "memory" if old else root) / f"edgekit-test-{os.getpid()}"
    group.mkdir()
    (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(300 << 20))
    yield group / "cgroup.procs"
    for _ in range(50):
        try:
            group.rmdir()
        except OSError:  # its last process is still ending
            time.sleep(0.1)
        else:
            return


@pytest.mark.needs_root
def test_out_of_memory_is_a_candidates_result(client: Client, tmp_path: Path, toy: Toy, memory_limit: Path) -> None:  # noqa: F811
    """The kernel really kills the worker; the guardian says why, and the session and the other candidate go on."""
    wrapper = f'echo $$ > {memory_limit}; exec sh -c "$SSH_ORIGINAL_COMMAND"'
    with (
        Server(tmp_path / "server", client, wrapper=wrapper) as server,  # noqa: F811
        AgentSession(transport_to(server), {"toy": toy.runner()}) as session,
    ):
        session.push(toy.artifact, toy.files)
        session.open("good", "toy", toy.runner(), toy.files)
        session.open("hungry", "toy", toy.runner(at_run="eat-memory"), toy.files)
        with pytest.raises(WorkerFailedError) as caught:
            session.infer("hungry", {"x": X})
        assert caught.value.failure.kind == "out-of-memory"
        assert "SIGKILL" in caught.value.failure.message
        np.testing.assert_array_equal(session.infer("good", {"x": X})["x"], X * 2)


@pytest.mark.needs_root
def test_a_home_that_cannot_be_written(client: Client, tmp_path: Path, toy: Toy) -> None:  # noqa: F811
    """Files go to a private folder beside the temporary files, are found again there, and the log says so."""
    if os.geteuid() != 0:
        missing("only root can mount a read-only file system")
    home, temporary = tmp_path / "home", tmp_path / "var-tmp"
    home.mkdir()
    temporary.mkdir()
    temporary.chmod(0o1777)
    inside = f'mount -t tmpfs -o ro tmpfs {home}; mount --bind {temporary} /var/tmp; exec sh -c \\"\\$SSH_ORIGINAL_COMMAND\\"'
    wrapper = f'exec unshare --mount sh -c "{inside}"'
    environment = {"HOME": str(home), "EDGEKIT_GUEST_HOME": ""}
    with Server(tmp_path / "server", client, wrapper=wrapper, environment=environment) as server:  # noqa: F811
        for _ in range(2):
            with AgentSession(transport_to(server), {"toy": toy.runner()}) as session:
                session.push(toy.artifact, toy.files)
                assert isinstance(session.open("one", "toy", toy.runner(text="model.bin"), toy.files), Opened)
                assert session.infer("one", {"x": X})["read"].tobytes() == b"weights"
                said = session.log_text
    [place] = temporary.iterdir()
    assert place.name == f"edgekit-{os.getuid()}"
    assert place.stat().st_mode & 0o777 == 0o700
    assert len(list((place / "blobs").iterdir())) == 1
    assert f"edgekit keeps its files in /var/tmp/{place.name}" in said
    assert "Read-only file system" in said


def test_ctrl_c_while_measuring_leaves_nothing(server: Server, toy: Toy, signals_as_in_a_terminal: None) -> None:  # noqa: F811
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import numpy as np
from pathlib import Path
from support.guests import Toy
from edgekit.devices import AgentSession, BenchPlan
from edgekit.devices.ssh import ssh_transport
toy = Toy(Path({str(toy.folder)!r}), {toy.files!r})
with AgentSession(ssh_transport({server.address!r}, python={sys.executable!r}), {{"toy": toy.runner()}}) as session:
    session.push(toy.artifact, toy.files)
    opened = session.open("one", "toy", toy.runner(), toy.files)
    print(opened.fingerprint["parent"], opened.fingerprint["pid"], flush=True)
    plan = BenchPlan(rounds=1000, round_s=1.0)
    session.bench(["one"], {{"one": {{"x": np.ones(3)}}}}, plan, lambda *step: print("step", flush=True))
"""
    host = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert host.stdout is not None
        guardian, worker = map(int, host.stdout.readline().split())
        assert host.stdout.readline() == "step\n"
        began = time.monotonic()
        host.send_signal(signal.SIGINT)
        _, said = host.communicate(timeout=30)
    finally:
        host.kill()
        host.wait()
    assert host.returncode == -signal.SIGINT, said
    assert "KeyboardInterrupt" in said
    wait_until_gone(guardian, 10)
    wait_until_gone(worker, 1)
    assert time.monotonic() - began < 15
    assert list((server.guest_home / "sessions").iterdir()) == []
    with AgentSession(transport_to(server), {}) as session, session.lease():
        pass
