"""The sessions of one run: with this machine's agent, and with the device's when it is another machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .judge import Judge

if TYPE_CHECKING:
    from .devices.session import AgentSession
    from .preparation import Run
    from .progress import WithinStep
    from .search import Budget
    from .types import Runner


@contextmanager
def sessions_of(run: Run, runners: Mapping[str, Runner], scratch: Path, budget: Budget, progress: WithinStep) -> Iterator[Judge]:
    """Connects, and closes everything at the end, also on Ctrl-C.

    The lease of this machine is held from the start when it is the device. A device elsewhere is connected and leased when it is
    first needed, so that others may use it while candidates are built and judged here. The governor that was asked for is set with
    the lease. That judging measures nothing and takes no
    lease of this machine's. Time spent waiting for a lease is not counted against ``budget``.

    Raises:
        DeviceUnavailableError: a device cannot be reached, or somebody else holds it longer than we wait.
    """
    from .devices.session import AgentSession
    from .devices.transport import LocalTransport

    on_device = run.request.eval_on == "device"
    with ExitStack() as stack:

        def leased(session: AgentSession) -> AgentSession:
            stack.enter_context(session)
            waiting_since = time.monotonic()
            stack.enter_context(session.lease(wait_s=run.timeouts.lease_s, on_wait=progress.note))
            stack.enter_context(session.governor(run.request.governor))
            budget.forgive(time.monotonic() - waiting_since)
            return session

        if run.device.transport.shares_files:
            session = leased(AgentSession(run.device.transport, runners, timeouts=run.timeouts, become=run.device.become))
            yield Judge(session, None, on_device=on_device, progress=progress)
            return
        lease_folder = scratch / "lease"
        lease_folder.mkdir(mode=0o700)
        host = stack.enter_context(AgentSession(LocalTransport(lease_folder=lease_folder), runners, timeouts=run.timeouts))
        connected: list[AgentSession] = []

        def connect() -> AgentSession:
            if not connected:
                session = AgentSession(run.device.transport, runners, timeouts=run.timeouts, become=run.device.become)
                connected.append(leased(session))
            return connected[0]

        yield Judge(host, connect, on_device=on_device, progress=progress)
