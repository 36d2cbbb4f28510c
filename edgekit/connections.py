"""The sessions of one run: with this machine's agent, and with the device's when it is another machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import DeviceUnavailableError
from .judge import Elsewhere, Judge

if TYPE_CHECKING:
    from .budget import Budget
    from .devices.session import AgentSession
    from .preparation import Run
    from .progress import WithinStep
    from .types import Runner


@contextmanager
def sessions_of(run: Run, runners: Mapping[str, Runner], scratch: Path, budget: Budget, progress: WithinStep) -> Iterator[Judge]:
    """Connects, and closes everything at the end, also on Ctrl-C.

    The lease of this machine is held from the start when it is the device. A device elsewhere is connected and leased when it is
    first needed and let go as soon as it is not needed any more, so that others may use it while candidates are built and judged
    here. That judging measures nothing and takes no lease of this machine's. The governor, the power mode and the clocks that were
    asked for are set with the lease.
    Time spent waiting for a lease is not counted against ``budget``.

    Raises:
        DeviceUnavailableError: a device cannot be reached, or somebody else holds it longer than we wait.
    """
    from .devices.session import AgentSession
    from .devices.transport import LocalTransport

    on_device = run.request.eval_on == "device"
    with ExitStack() as stack:
        on_the_device = stack.enter_context(ExitStack())

        def leased(session: AgentSession) -> AgentSession:
            on_the_device.enter_context(session)
            waiting_since = time.monotonic()
            on_the_device.enter_context(session.lease(wait_s=run.timeouts.lease_s, on_wait=progress.note))
            on_the_device.enter_context(session.power_mode(run.request.power_mode))
            on_the_device.enter_context(session.locked_clocks(run.request.lock_clocks))  # of the mode that is in force by now
            on_the_device.enter_context(session.governor(run.request.governor))
            budget.forgive(time.monotonic() - waiting_since)
            return session

        def leave() -> None:
            """What was found there is complete: losing the device now ends nothing."""
            try:
                on_the_device.close()
            except DeviceUnavailableError as problem:
                progress.note(f"{run.device.name} was lost after it was measured: {problem.why or problem.what}")

        if run.device.transport.shares_files:
            session = leased(AgentSession(run.device.transport, runners, timeouts=run.timeouts, become=run.device.become))
            yield Judge(session, on_device=on_device, progress=progress)
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

        yield Judge(host, Elsewhere(connect, leave), on_device=on_device, progress=progress)
        leave()
