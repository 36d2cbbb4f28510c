"""Agents over real SSH servers on loopback: the same session as on this machine, and what is said when there can be none."""

# ruff: noqa: F811 - fixtures are imported, and asked for by name

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.guests import Toy, wait_until_gone
from support.ssh_fixtures import client, server, ssh_home, transport_to  # noqa: F401 - fixtures
from support.ssh_servers import Client, Server, make_key

from edgekit.devices import AgentSession, BenchPlan, Opened, Transport
from edgekit.devices import ssh as ssh_module
from edgekit.devices.ssh import ssh_transport
from edgekit.errors import DeviceUnavailableError, EdgekitError, IntegrityError, UsageError
from edgekit.types import Measurement

X = np.ones((2, 3), np.float32)


def refusal(transport: Transport) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught, AgentSession(transport, {}):
        pass
    return caught.value


# ---------------------------------------------------------------- what works
def test_a_session_is_the_same_as_on_this_machine(server: Server, toy: Toy) -> None:
    big = np.arange(700_000, dtype=np.float64)
    with AgentSession(transport_to(server), {"toy": toy.runner()}) as session:
        assert session.probe().cores >= 1
        session.push(toy.artifact, toy.files)
        opened = session.open("one", "toy", toy.runner(text="model.bin"), toy.files)
        assert isinstance(opened, Opened)
        assert session.infer("one", {"x": X})["read"].tobytes() == b"weights"
        assert isinstance(session.open("two", "toy", toy.runner(), toy.files), Opened)
        np.testing.assert_array_equal(session.infer("two", {"x": big})["x"], big * 2, "5.6 MB go there and come back")
        plan = BenchPlan(rounds=3, round_s=0.01, window_s=0.01, warm_up_max_s=0.05)
        assert isinstance(session.bench(["two"], {"two": {"x": X}}, plan)["two"], Measurement)
        guardian = opened.fingerprint["parent"]
    wait_until_gone(guardian, 5)
    wait_until_gone(opened.fingerprint["pid"], 5)
    assert list((server.guest_home / "sessions").iterdir()) == []


def test_the_agent_is_kept_verified_and_sent_again_only_when_it_is_damaged(server: Server) -> None:
    for attempt in range(4):
        with AgentSession(transport_to(server), {}) as session:
            assert session.probe().system
        [agent] = (server.guest_home / "agents").iterdir()
        assert agent.stat().st_mode & 0o777 == 0o600
        assert agent.parent.stat().st_mode & 0o777 == 0o700
        if attempt == 0:
            first = agent.stat().st_ino
        elif attempt == 1:
            assert agent.stat().st_ino == first, "it was sent a second time"
            agent.write_bytes(b"print('not what was sent')")
        elif attempt == 2:
            assert agent.stat().st_ino != first
            agent.unlink()
            agent.symlink_to("/etc/passwd")
        else:
            assert not agent.is_symlink()


def test_what_login_scripts_print_is_skipped(client: Client, tmp_path: Path) -> None:
    wrapper = """echo 'Welcome to board 7'; echo 'edgekit-agent/1 0'; printf 'no line end'; exec sh -c "$SSH_ORIGINAL_COMMAND" """
    with Server(tmp_path / "server", client, wrapper=wrapper) as server, AgentSession(transport_to(server), {}) as session:
        assert session.probe().cores >= 1


def test_an_alias_through_a_jump_host(client: Client, server: Server, tmp_path: Path) -> None:
    with Server(tmp_path / "jump", client) as jump:
        moved = client.key.rename(client.ssh / "board_key")
        moved_public = client.key.with_suffix(".pub").rename(moved.with_suffix(".pub"))
        try:
            (client.ssh / "config").write_text(
                f"Host board\n  HostName 127.0.0.1\n  Port {server.port}\n  ProxyJump gate\n"
                f"Host gate\n  HostName 127.0.0.1\n  Port {jump.port}\n"
                f"Host *\n  IdentityFile {client.ssh}/missing\n  IdentityFile {moved}\n"
            )
            with AgentSession(ssh_transport("ssh://board", python=sys.executable), {}) as session:
                assert session.probe().cores >= 1
            assert "Accepted publickey" in (tmp_path / "jump" / "log").read_text()
            client.known_hosts.write_text(client.known_hosts.read_text().replace(f":{jump.port} ", ":1 "))
            problem = refusal(ssh_transport("ssh://board", python=sys.executable))
        finally:
            moved.rename(client.key)
            moved_public.rename(client.key.with_suffix(".pub"))
    assert f"[127.0.0.1]:{jump.port} is not known" in problem.what
    assert "ssh gate exit" in problem.hint


def test_the_end_of_the_connection_is_the_end_of_the_agent(server: Server, toy: Toy) -> None:
    with AgentSession(transport_to(server), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        opened = session.open("one", "toy", toy.runner(), toy.files)
        assert isinstance(opened, Opened)
        session._live._pipes.kill()
        with pytest.raises(DeviceUnavailableError):
            session.infer("one", {"x": X})
        wait_until_gone(opened.fingerprint["parent"], 10)
        wait_until_gone(opened.fingerprint["pid"], 1)


# ---------------------------------------------------------------- host keys
def test_an_unknown_host_key_is_refused_with_what_to_do(client: Client, tmp_path: Path) -> None:
    with Server(tmp_path / "server", client, trusted=False) as server:
        problem = refusal(transport_to(server))
        shown = subprocess.run(["ssh-keygen", "-lf", server.host_key], capture_output=True, text=True, check=True).stdout.split()[1]
    assert problem.exit_code == 6
    assert f"[127.0.0.1]:{server.port} is not known" in problem.what
    assert shown in problem.why
    assert f"ssh -p {server.port} 127.0.0.1 exit" in problem.hint


@pytest.mark.parametrize("old_kind", ["ed25519", "ecdsa"])
def test_a_changed_host_key_is_refused_until_the_command_in_the_hint_was_run(client: Client, tmp_path: Path, old_kind: str) -> None:
    make_key(tmp_path / "old_key", old_kind)
    with Server(tmp_path / "server", client, trusted=False) as server:
        client.trust(server.port, tmp_path / "old_key")
        problem = refusal(transport_to(server))
        assert problem.exit_code == 6
        assert "has changed" in problem.what, problem
        assert str(client.known_hosts) in problem.why
        command = problem.hint.partition("forget the old key: ")[2].partition("; then:")[0]
        subprocess.run(command, shell=True, check=True, capture_output=True)
        assert "is not known" in refusal(transport_to(server)).what
        client.trust(server.port, server.host_key)
        with AgentSession(transport_to(server), {}):
            pass


def test_settings_that_switch_the_check_off_are_not_followed(client: Client, tmp_path: Path) -> None:
    with Server(tmp_path / "server", client, trusted=False) as server:
        for lines in ("UserKnownHostsFile none\nStrictHostKeyChecking no\n", "UserKnownHostsFile /dev/null\n"):
            (client.ssh / "config").write_text(lines)
            assert "is not known" in refusal(transport_to(server)).what


# ---------------------------------------------------------------- no connection
def test_refused(client: Client, server: Server) -> None:
    server.process.terminate()
    server.process.wait()
    problem = refusal(transport_to(server))
    assert (problem.exit_code, "refuses connections" in problem.what) == (6, True)
    assert "ssh://127.0.0.1:PORT" in problem.hint


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_module, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        problem = refusal(ssh_transport(f"ssh://127.0.0.1:{port}"))
    assert problem.exit_code == 6
    assert f"127.0.0.1:{port} did not answer within 0.5 s" in problem.what
    assert f"ssh -p {port} 127.0.0.1 true" in problem.hint


def test_another_service_on_that_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]

        def serve() -> None:
            connection, _ = service.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        problem = refusal(ssh_transport(f"ssh://127.0.0.1:{port}"))
        thread.join()
    assert problem.exit_code == 6
    assert "no SSH connection" in problem.what


def test_no_key_accepted(client: Client, server: Server) -> None:
    (server.folder / "authorized_keys").write_text("")
    problem = refusal(ssh_transport(f"ssh://somebody@127.0.0.1:{server.port}"))
    assert problem.exit_code == 6
    assert "'somebody'" in problem.what
    assert f"ssh-copy-id -p {server.port} somebody@127.0.0.1" in problem.hint


def test_a_broken_configuration_file(client: Client) -> None:
    (client.ssh / "config").write_text("Port many\n")
    problem = refusal(ssh_transport("ssh://board"))
    assert problem.exit_code == 6
    assert "line 1" in problem.why


# ---------------------------------------------------------------- no agent
def test_no_python(server: Server) -> None:
    problem = refusal(transport_to(server, python="python9.9"))
    assert problem.exit_code == 6
    assert "there is no python9.9" in problem.what
    assert f"ssh -p {server.port} 127.0.0.1 sudo apt-get install -y python3" in problem.hint


def test_a_python_that_is_too_old(client: Client, server: Server, tmp_path: Path) -> None:
    """The interpreter says that it is 2.7 and then runs what it is given."""
    old = tmp_path / "python2"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import sys; sys.version_info = (2, 7, 18); exec(sys.argv[1])' \"$2\"\n")
    old.chmod(0o755)
    problem = refusal(transport_to(server, python=str(old)))
    assert problem.exit_code == 6
    assert "is Python 2.7" in problem.what
    assert "apt-get install -y python3.8" in problem.hint


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_a_real_python_that_is_too_old(server: Server, version: str) -> None:
    found = sorted(Path(sys.base_prefix).parent.glob(f"{version}.*/bin/python{version}"))
    if not found:
        pytest.skip(f"no Python {version} beside this one")
    assert f"is Python {version}" in refusal(transport_to(server, python=str(found[0]))).what


def test_a_login_that_runs_nothing(client: Client, tmp_path: Path) -> None:
    with Server(tmp_path / "server", client, wrapper="echo This account is currently not available.; exit 1") as server:
        problem = refusal(transport_to(server))
    assert problem.exit_code == 6
    assert "currently not available" in problem.why


def test_a_command_that_never_answers(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(tmp_path / "server", client, wrapper="exec sleep 30") as server:
        monkeypatch.setattr(ssh_module, "CONNECT_S", 2.0)
        problem = refusal(transport_to(server))
    assert problem.exit_code == 6
    assert "gives no sign" in problem.why


def test_a_folder_that_is_not_private(client: Client, server: Server, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    server.guest_home.symlink_to(tmp_path / "elsewhere")
    problem = refusal(transport_to(server))
    assert isinstance(problem, IntegrityError)
    assert str(server.guest_home) in problem.why


# ---------------------------------------------------------------- addresses
@pytest.mark.parametrize(
    ("address", "command"),
    [
        ("ssh://board", "ssh board true"),
        ("ssh://edge@board.local:2222/", "ssh -p 2222 edge@board.local true"),
        ("ssh://[::1]:22", "ssh -p 22 ::1 true"),
        ("ssh://Board_7", "ssh Board_7 true"),
    ],
)
def test_addresses(address: str, command: str) -> None:
    assert ssh_transport(address).destination.command("true") == command


@pytest.mark.parametrize(
    "address",
    [
        "board", "ssh:board", "ssh://", "http://board", "ssh://board:port", "ssh://board:99999", "ssh://board/x", "ssh://board?x",
        "ssh://-oProxyCommand=x", "ssh://a b", "ssh://a;b", "ssh://-l@board", "ssh://u ser@board", "ssh://@board",
    ],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError):
        ssh_transport(address)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        ssh_transport("ssh://edge:secret@board")
    assert "secret" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_address_is_a_transport_or_a_usage_error(text: str) -> None:
    for address in (text, "ssh://" + text):
        try:
            destination = ssh_transport(address).destination
        except UsageError:
            continue
        assert not destination.name.startswith("-")
        assert all(character.isprintable() and character not in " ;&|'\"`" for character in destination.name)


@pytest.mark.parametrize("python", ["python3; id", "python3 -c", "$(id)", "", "a\nb"])
def test_an_interpreter_is_a_name_or_a_path(python: str) -> None:
    with pytest.raises(UsageError):
        ssh_transport("ssh://board", python=python)
