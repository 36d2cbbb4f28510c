"""Devices: transports under one agent, the session that the host holds with it, and what it may ask."""

from __future__ import annotations

from .inventory import Device, open_device, open_devices
from .plan import BenchPlan, Opened, Timeouts
from .session import AgentSession, WorkerFailedError
from .transport import LocalTransport, Pipes, Transport, local_transport

__all__ = [
    "AgentSession", "BenchPlan", "Device", "LocalTransport", "Opened", "Pipes", "Timeouts", "Transport", "WorkerFailedError",
    "local_transport", "open_device", "open_devices",
]  # fmt: skip
