"""The same work on several devices at once: one thread a device, one result a device, and one that fails stops nobody.

Built artifacts are shared through the cache, where the first that wants one builds it. A device that is this machine has its turn
last, alone: measured beside the others' builds it would say nothing.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import EdgekitError
from .types import JSON
from .values import to_json

if TYPE_CHECKING:
    from .devices.inventory import Device
    from .progress import Progress

R = TypeVar("R")
FLEET_SCHEMA = "edgekit.fleet/1"
_JOIN_S = 0.2
_STOP_S = 15.0  # how long an interrupted fleet waits for its threads; what they left is removed by the next run
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeviceRun(Generic[R]):
    """What became of one device: a report, or the error that ended its run."""

    device: str
    report: R | None
    error: EdgekitError | None = None


@dataclass(frozen=True)
class FleetReport(Generic[R]):
    """One run a device, in the order in which the devices were named (``edgekit.fleet/1``)."""

    runs: tuple[DeviceRun[R], ...]

    @property
    def exit_code(self) -> int:
        """0 when all went well, otherwise that of the first device in order that failed."""
        return next((run.error.exit_code for run in self.runs if run.error is not None), 0)


def fleet_document(fleet: FleetReport[Any]) -> dict[str, JSON]:
    """The document: each run's own, or the error's with the device's name."""
    return {"schema": FLEET_SCHEMA, "runs": [_run_document(run) for run in fleet.runs]}


def _run_document(run: DeviceRun[Any]) -> dict[str, JSON]:
    if run.error is not None:
        return {**run.error.to_json(), "device": run.device}
    document: dict[str, JSON] = to_json(run.report)
    return document


def is_fleet(spec: str | None) -> bool:
    """Whether what stands after ``--device`` may mean several devices; a label does, also where one device has it."""
    return spec is not None and ("," in spec or spec.startswith("label:"))


def folder_names(devices: Sequence[Device]) -> dict[str, str]:
    """A folder's name for each device, by the device's name: like it, each another."""
    names: dict[str, str] = {}
    for device in devices:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", device.name).strip("._") or "device"
        taken = {name.lower() for name in names.values()}
        numbered = (f"{plain}-{n}" for n in count(2))
        names[device.name] = plain if plain.lower() not in taken else next(name for name in numbered if name.lower() not in taken)
    return names


def run_on_all(devices: Sequence[Device], work: Callable[[Device, Progress], R], progress: Progress) -> FleetReport[R]:
    """Calls ``work(device, progress)`` for every device, all at once, each in a thread of its own.

    Args:
        progress: told what every device does, its name in front; called by one thread at a time.

    Raises:
        KeyboardInterrupt: everything was stopped.
    """
    runs: dict[str, DeviceRun[R]] = {}
    stopped, speaking = threading.Event(), threading.Lock()

    def run(device: Device) -> None:
        try:
            report = work(device, _OneOfMany(progress, device.name, speaking, stopped))
            runs[device.name] = DeviceRun(device.name, report)
        except EdgekitError as problem:
            runs[device.name] = DeviceRun(device.name, None, problem)
        except KeyboardInterrupt:
            return  # from our own progress: the fleet was stopped
        except Exception as problem:  # noqa: BLE001 - a bug must not take the other devices' results along
            _log.exception("the run on %s failed", device.name)
            what = EdgekitError(
                "this is a bug in edgekit",
                why=f"{type(problem).__name__}: {problem}",
                hint="please report it; the log has the traceback",
            )
            runs[device.name] = DeviceRun(device.name, None, what)

    elsewhere = [device for device in devices if not device.transport.shares_files]
    here = [device for device in devices if device.transport.shares_files]
    _in_threads([partial(run, device) for device in elsewhere], stopped)
    for device in here:
        _in_threads([partial(run, device)], stopped)
    return FleetReport(tuple(runs[device.name] for device in devices))


def _in_threads(calls: Sequence[Callable[[], None]], stopped: threading.Event) -> None:
    """Waits for all of ``calls``; an interrupt stops them, and is passed on when they have ended."""
    from .devices.channel import interrupt_all

    threads = [threading.Thread(target=call, name=f"edgekit-fleet-{n}", daemon=True) for n, call in enumerate(calls)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(_JOIN_S)  # a signal that another thread received is noticed between two of these
    except BaseException:
        stopped.set()
        end = time.monotonic() + _STOP_S
        while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
            interrupt_all()  # again and again: one of them may have been connecting
            time.sleep(0.1)
        raise


class _OneOfMany:
    """Progress of one device, and where its thread notices that the fleet was stopped."""

    def __init__(self, shown: Progress, name: str, speaking: threading.Lock, stopped: threading.Event) -> None:
        self._shown = shown
        self._name = name
        self._speaking = speaking
        self._stopped = stopped

    def stage(self, text: str) -> None:
        with self._turn():
            self._shown.stage(f"{self._name}: {text}")

    def advance(self, done: int, total: int, text: str) -> None:
        with self._turn():
            self._shown.advance(done, total, f"{self._name}: {text}")

    def note(self, text: str) -> None:
        with self._turn():
            self._shown.note(f"{self._name}: {text}")

    def _turn(self) -> threading.Lock:
        if self._stopped.is_set():
            raise KeyboardInterrupt
        return self._speaking
