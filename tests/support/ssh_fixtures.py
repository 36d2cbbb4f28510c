"""Fixtures for tests that go through a real SSH server on loopback; a conftest or a test module imports them by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.devices import Transport
from edgekit.devices.ssh import ssh_transport

from .ssh_servers import Client, Server


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(tmp_path_factory.mktemp("client") / "home")


@pytest.fixture(autouse=True)
def ssh_home(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """No SSH file and no agent of the user's takes part."""
    monkeypatch.setenv("HOME", str(client.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    yield client
    for name in ("known_hosts", "config"):
        (client.ssh / name).unlink(missing_ok=True)


@pytest.fixture
def server(client: Client, tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "server", client) as server:
        yield server


def transport_to(server: Server, *, port: int | None = None, python: str = sys.executable) -> Transport:
    """``port``: of a relay before it."""
    if port is not None:
        server.client.trust(port, server.host_key)
    return ssh_transport(f"ssh://127.0.0.1:{port or server.port}", python=python)
