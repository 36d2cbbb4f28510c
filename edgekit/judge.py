"""Where a candidate's outputs are taken: on this machine where it can run the artifact, otherwise on the device.

Quality is a property of the artifact and its runtime, so it is judged where that is quick, and the device is asked for a few
outputs to show that it says the same (:mod:`edgekit.device_check`). Speed is measured on the device alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from .progress import shown_push
from .types import JSON, Feed, RunFailure

if TYPE_CHECKING:
    from .building import Built
    from .devices.session import AgentSession
    from .progress import WithinStep
    from .types import Array


def start_worker(session: AgentSession, key: str, built: Built, progress: WithinStep | None = None) -> RunFailure | None:
    """Sends the artifact's files, has built there what must be, and starts its worker; the failure when one of these fails."""
    sending = shown_push(progress, lambda: session.sent_bytes) if progress is not None else None
    session.push(built.folder, built.artifact.files, sending)
    if built.artifact.needs_device_build and not built.runner.options.get("simulate"):
        failure = _build_there(session, key, built, progress)
        if failure is not None:
            return failure
    opened = session.open(key, built.planned.target.name, built.runner, built.artifact.files)
    return opened if isinstance(opened, RunFailure) else None


def _build_there(session: AgentSession, key: str, built: Built, progress: WithinStep | None) -> RunFailure | None:
    """Lets the device build what the artifact needs there; what it says meanwhile is shown."""

    def told(done: int, total: int, text: str) -> None:  # noqa: ARG001 - how far a build is, nobody can say
        if progress is not None:
            progress.within(text)

    return session.prepare(key, built.planned.target.name, built.runner, built.artifact.files, told)


def _as_the_device_computes(built: Built) -> Built:
    runner = built.runner
    return replace(built, runner=replace(runner, options={**runner.options, **runner.host_options}))


@dataclass(frozen=True)
class Elsewhere:
    """A device that is not this machine.

    ``connect`` gives its session, the same one each time, connected and leased; ``leave`` ends that for good.
    """

    connect: Callable[[], AgentSession]
    leave: Callable[[], None]


class Judge:
    """The sessions of a run, and which of them answers for each candidate (by key).

    Args:
        host: the session with this machine's agent.
        elsewhere: the device, unless it is this machine.
        on_device: the user wants the device's outputs judged (``--eval-on device``).
        progress: told how far files have been sent.
    """

    def __init__(self, host: AgentSession, elsewhere: Elsewhere | None = None, *, on_device: bool, progress: WithinStep) -> None:
        self.host = host
        self._elsewhere = elsewhere
        self._on_device = on_device
        self._progress = progress
        self._open_on_device: set[str] = set()
        self._judged_there: set[str] = set()
        self._simulated: set[str] = set()

    @property
    def is_remote(self) -> bool:
        return self._elsewhere is not None

    @property
    def device(self) -> AgentSession:
        """The session that measures; the first use connects and waits for the lease, which is then held to the end."""
        return self._elsewhere.connect() if self._elsewhere is not None else self.host

    def leave_device(self, keys: Iterable[str]) -> None:
        """Everything that was to be measured elsewhere has been: the device is let go, unless one of ``keys`` is judged there."""
        if self._elsewhere is not None and self._judged_there.isdisjoint(keys):
            self._elsewhere.leave()
            self._open_on_device.clear()

    @property
    def judges_all_there(self) -> bool:
        """Whether the user wants the outputs of a remote device judged, float's too."""
        return self.is_remote and self._on_device

    def is_judged_there(self, key: str) -> bool:
        """Whether ``key``'s outputs come from a device that is not this machine."""
        return key in self._judged_there

    def judged_on(self, key: str) -> Literal["host", "device", "simulation"]:
        """For the report. On one machine both are the same, and it is called what the user called it."""
        if key in self._simulated:
            return "simulation"
        return "device" if key in self._judged_there or (not self.is_remote and self._on_device) else "host"

    def open_worker(self, key: str, built: Built) -> RunFailure | None:
        """Opens a candidate where it will be judged. What this machine cannot load, the device is asked for: its word counts."""
        if self.is_remote and (self._on_device or built.artifact.needs_device_build):
            return self.judge_on_device(key, built)
        if built.artifact.needs_device_build and built.planned.site.device is None:  # no device at hand to build on
            self._simulated.add(key)
            return start_worker(self.host, key, _as_the_device_computes(built))
        failure = start_worker(self.host, key, _as_the_device_computes(built) if self.is_remote else built)
        return self.judge_on_device(key, built) if failure is not None and self.is_remote else failure

    def judge_on_device(self, key: str, built: Built) -> RunFailure | None:
        """From here on ``key``'s outputs come from the device."""
        self._judged_there.add(key)
        return self.open_on_device(key, built)

    def open_on_device(self, key: str, built: Built) -> RunFailure | None:
        """Opens a candidate on a remote device, unless it is open there; where it is judged does not change."""
        if key in self._open_on_device:
            return None
        failure = start_worker(self.device, key, built, self._progress)
        if failure is None:
            self._open_on_device.add(key)
        return failure

    # ------------------------------------------------------------ as of a session
    def infer(self, key: str, feed: Feed) -> dict[str, Array]:
        """See :meth:`edgekit.devices.session.AgentSession.infer`."""
        return self._of(key).infer(key, feed)

    def layers(self, key: str, feed: Feed, *, runs: int = 20) -> JSON:
        """See :meth:`edgekit.devices.session.AgentSession.layers`."""
        return self._of(key).layers(key, feed, runs=runs)

    def close_worker(self, key: str) -> None:
        """Ends a candidate's workers, wherever there are any."""
        self.host.close_worker(key)
        if key in self._judged_there or key in self._open_on_device:
            self.device.close_worker(key)
        self._judged_there.discard(key)
        self._open_on_device.discard(key)

    def _of(self, key: str) -> AgentSession:
        return self.device if key in self._judged_there else self.host
