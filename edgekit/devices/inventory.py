"""From what the user writes after ``--device`` to a way there."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import DependencyError, UnknownNameError
from ..types import DeviceFacts
from .transport import Transport, local_transport


@dataclass(frozen=True)
class Device:
    """A device by name, and the transport to it."""

    name: str
    address: str
    transport: Transport


def open_device(spec: str | None) -> Device:
    """The device called ``spec``; ``None`` and ``"local"`` are this machine. No connection is made yet.

    Raises:
        DependencyError: a kind of address that this version cannot reach.
        UnknownNameError: no device of that name.
    """
    if spec in (None, "local", "local://"):
        transport = local_transport()
        return Device("local", transport.address, transport)
    assert spec is not None
    scheme = spec.partition(":")[0]
    if scheme in ("ssh", "adb"):
        raise DependencyError(
            f"devices over {scheme} are not supported by this version of edgekit",
            why=f"{spec} needs a transport that does not exist yet",
            hint="run edgekit on the device itself with --device local, or leave --device out to build only",
        )
    raise UnknownNameError("device", spec, ["local"])


def probe_device(spec: str | None = None) -> DeviceFacts:
    """What the device called ``spec`` is, read now; this machine unless said.

    Raises:
        UnknownNameError, DependencyError: as for :func:`open_device`.
        DeviceUnavailableError: it does not answer.
    """
    from .session import AgentSession

    with AgentSession(open_device(spec).transport, {}) as session:
        return session.probe()
