"""The session that the host holds with a device's agent: a context manager that leaves nothing behind on the device.

What it may ask for in more than a few lines has a module of its own: files (``push``), settings (``settings``), measurements
(``measuring``); how the agent is started and asked is ``connection``.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..agent.frames import Frame
from ..agent.tensors import TensorError, decode
from ..errors import DeviceRunError, UsageError
from ..types import JSON, DeviceFacts, Feed, Measurement, RunFailure, Runner, Sustained
from . import measuring, settings
from .answers import failure_from, opened_from
from .connection import MARGIN_S, Connection, Progress
from .facts import facts_from_probe
from .feeds import encode_feed
from .plan import BenchPlan, EnergyPlan, Opened, SustainPlan
from .push import push
from .text import clean, clean_json

if TYPE_CHECKING:
    from ..types import Array
    from .channel import OnEvent

_PLAN = BenchPlan()


class WorkerFailedError(DeviceRunError):
    """A candidate failed while it was asked for an inference; ``failure`` is its result."""

    def __init__(self, key: str, failure: RunFailure) -> None:
        super().__init__(f"{key} failed on the device", why=f"{failure.kind}: {failure.message}")
        self.failure = failure


class AgentSession(Connection):
    """A connected agent, and what is open there; made with the arguments of :class:`edgekit.devices.connection.Connection`."""

    last_orders: measuring.Orders = ()  # the order of candidates in each round of the last bench

    @cached_property
    def _opened(self) -> dict[str, Opened]:
        """By key, the candidates that are open, or were and failed."""
        return {}

    # ------------------------------------------------------------ the device
    def probe(self) -> DeviceFacts:
        """What the device is, read anew."""
        return facts_from_probe(self.ask("probe", {}, silence_s=self.timeouts.probe_s).fields.get("facts"))

    def meters(self) -> Mapping[str, Any]:
        """What the agent says of the energy meters there, as it came: :mod:`edgekit.devices.meters` reads it."""
        return self.ask("meters", {}, silence_s=self.timeouts.probe_s).fields

    def push(self, folder: Path, files: Mapping[str, str], progress: Progress | None = None) -> None:
        """Bring files to the device's store; what is there already is not sent again, what was begun is resumed.

        Args:
            folder: where the files lie on this machine.
            files: ``{path relative to folder: sha256}``.

        Raises:
            IntegrityError: a file is missing here or does not have its hash.
            DeviceRunError: the device cannot store it.
        """
        push(self, folder, files, progress)

    # ------------------------------------------------------------ settings
    def governor(self, name: str | None) -> AbstractContextManager[None]:
        """The governor ``name`` on all CPUs of the device while the block runs; ``None`` changes nothing. Holds the lease.

        The agent puts back what was set before at every end: of the block, of the connection, and, when it is killed itself, at
        the next connect.

        Raises:
            UnknownNameError: the device has no such governor.
            DeviceRunError: it has none at all, or may not be told; nothing has been changed then.
        """
        return contextlib.nullcontext() if name is None else settings.changed(self, settings.GOVERNOR, name)

    def power_mode(self, name: str | None) -> AbstractContextManager[None]:
        """The power mode ``name`` of a Jetson while the block runs, as :meth:`governor` does; ``None`` changes nothing.

        Raises:
            UnknownNameError: the device has no such mode.
            DeviceRunError: it has none at all, may not be told, or would have to be restarted; nothing has been changed then.
        """
        return contextlib.nullcontext() if name is None else settings.changed(self, settings.POWER_MODE, name)

    def locked_clocks(self, wanted: bool) -> AbstractContextManager[None]:
        """A Jetson's clocks locked at their highest while the block runs, as :meth:`governor` does; False changes nothing.

        Raises:
            DeviceRunError: it has no jetson_clocks, or may not run it; nothing has been changed then.
        """
        return settings.changed(self, settings.CLOCKS) if wanted else contextlib.nullcontext()

    # ------------------------------------------------------------ candidates
    def prepare(
        self, key: str, target: str, runner: Runner, files: Mapping[str, str], progress: Progress | None = None
    ) -> RunFailure | None:
        """Let the runner build on the device what must be built there; ``open`` of the same key finds its files as well.

        Raises:
            DeviceRunError: this runner has nothing to prepare.
        """
        request = {**self._candidate(key, target, runner, files), "timeout_s": self.timeouts.prepare_s}

        def on_event(event: Frame) -> None:
            if progress is not None:
                progress(0, 0, clean(event.fields.get("message"), 200))

        with self.lease():
            answer = self.ask("prepare", request, silence_s=self.timeouts.prepare_s + MARGIN_S, on_event=on_event)
        return failure_from(answer.fields.get("failure"))

    def open(self, key: str, target: str, runner: Runner, files: Mapping[str, str]) -> Opened | RunFailure:
        """Load a candidate in a worker of its own. Its files must have been pushed.

        Args:
            key: a name for it in this session.
            files: ``{relative path: sha256}``; the runner gets those in ``runner.files``, or all when that is empty.

        Raises:
            IntegrityError: a file is not on the device, or its path leaves the folder.
        """
        if key in self._opened:
            raise UsageError(f"{key} is open already")
        request = {**self._candidate(key, target, runner, files), "timeout_s": self.timeouts.load_s}
        answer = self.ask("open", request, silence_s=self.timeouts.load_s + MARGIN_S)
        failure = failure_from(answer.fields.get("failure"))
        if failure is not None:
            self._opened[key] = Opened(key, math.nan, None, dict(runner.options), {}, None)
            return failure
        self._opened[key] = opened = opened_from(key, runner, answer.fields)
        return opened

    def close_worker(self, key: str) -> None:
        """End a candidate's worker and forget it; nothing when the agent is gone or interrupted, which ends them all."""
        self._opened.pop(key, None)
        if self.usable:
            self.ask("close", {"key": key}, silence_s=self.timeouts.connect_s)

    def _candidate(self, key: str, target: str, runner: Runner, files: Mapping[str, str]) -> dict[str, Any]:
        if target not in self._runners:
            raise UsageError(f"no runner of target {target!r} was given to this session")
        names = runner.files or tuple(files)
        missing = [name for name in names if name not in files]
        if missing:
            raise UsageError(f"the runner of {key} names a file that its artifact does not have", why=", ".join(missing))
        chosen = {name: files[name] for name in names}
        return {"key": key, "target": target, "entry": runner.entry, "files": chosen, "options": dict(runner.options)}

    # ------------------------------------------------------------ inference
    def infer(self, key: str, feed: Feed) -> dict[str, Array]:
        """One inference.

        Returns:
            The runner's outputs by name.

        Raises:
            WorkerFailedError: the candidate failed; ``failure`` says how.
            DataError: the feed holds a dtype that cannot be sent.
        """
        answer = self._infer(key, feed, {})
        try:
            return decode(answer.fields.get("tensors"), answer.payload)
        except TensorError as problem:
            raise DeviceRunError(f"the outputs of {key} cannot be read", why=str(problem)) from problem

    def layers(self, key: str, feed: Feed, *, runs: int = 20) -> JSON:
        """What the runner tells of its layers after ``runs`` inferences; ``None`` when it does not know them.

        Raises:
            WorkerFailedError: the candidate failed.
        """
        answer = self._infer(key, feed, {"layers_of_runs": runs})
        try:
            return clean_json(json.loads(answer.payload))
        except (ValueError, RecursionError) as problem:
            raise DeviceRunError(f"the layers of {key} cannot be read", why=str(problem)) from problem

    def _infer(self, key: str, feed: Feed, fields: Mapping[str, Any]) -> Frame:
        entries, payload = encode_feed(key, feed)
        load_s, round_s = self.timeouts.load_s, self.timeouts.round_s
        request = {"key": key, "tensors": entries, "timeout_s": round_s, "load_timeout_s": load_s, **fields}
        with self.lease():
            answer = self.ask("infer", request, payload, silence_s=load_s + round_s + MARGIN_S)
        failure = failure_from(answer.fields.get("failure"))
        if failure is not None:
            raise WorkerFailedError(key, failure)
        return answer

    # ------------------------------------------------------------ measurements
    def bench(
        self, keys: Sequence[str], feeds: Mapping[str, Feed], plan: BenchPlan = _PLAN, progress: Progress | None = None
    ) -> dict[str, Measurement | RunFailure]:  # fmt: skip
        """Measure opened candidates side by side. A candidate that fails drops out; the others go on.

        Args:
            feeds: one feed a key; equal ones are sent once.

        Returns:
            A result for every key, in the order of ``keys``. All samples are kept, in seconds.
        """
        unknown = [key for key in keys if key not in self._opened]
        if unknown or len(set(keys)) != len(keys):
            raise UsageError("bench needs different candidates that are open", why=", ".join(unknown) or "one is named twice")
        requested = {key: self._opened[key].requested for key in keys}
        results, self.last_orders = measuring.bench(self, requested, feeds, plan, progress)
        return results

    def sustain(
        self, keys: Sequence[str], feeds: Mapping[str, Feed], plan: SustainPlan, progress: Progress | None = None
    ) -> dict[str, Sustained | RunFailure]:
        """Let opened candidates run in turn for ``plan.duration_s``. One that fails drops out; the others go on.

        Returns:
            A result for every key, in the order of ``keys``.
        """
        return measuring.sustain(self, keys, feeds, plan, progress)

    def energy(
        self, keys: Sequence[str], feeds: Mapping[str, Feed], meter: str | None, plan: EnergyPlan, on_event: OnEvent
    ) -> dict[str, RunFailure]:
        """Let opened candidates work in turn, with idling between them, while a meter is read.

        Args:
            meter: the name of one of the agent's; None when this machine reads one.
            on_event: gets a "progress" before each window and a "sample" after it, as :mod:`edgekit.agent.energy` sends them.

        Returns:
            What failed, by key.

        Raises:
            DeviceRunError: the meter cannot be read.
        """
        return measuring.energy(self, keys, feeds, meter, plan, on_event)
