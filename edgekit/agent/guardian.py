"""The guardian: answers the host, one operation after another, and leaves nothing behind when the host is gone."""

from __future__ import annotations

import functools
import os
import platform
import secrets
import sys
from typing import Callable, Dict, List

from .become import checked_prefix
from .bench import Bench, Plan
from .candidates import Candidates
from .energy import EnergyPlan, EnergyRun
from .errors import AgentError, RunError, Stop
from .frames import PROTOCOL, Frame, FrameError
from .hold import Hold
from .host import Answer, Host
from .meters import MeterError, discover, meter_root
from .probe import probe
from .stdio import idle
from .storage import Storage
from .sustain import Sustain, SustainPlan
from .tensors import TensorError


class Guardian:
    """One session with one host.

    Args:
        zipapp: the file that this program runs from.
        allow_paths: the host runs on this machine, and ``put`` may name its files instead of sending them.
    """

    def __init__(self, zipapp: str, input_fd: int, output_fd: int, *, allow_paths: bool) -> None:
        self._zipapp = zipapp
        self._nonce = secrets.token_hex(16)
        self._host = Host(input_fd, output_fd, hung=self._free_device)
        self._hold = Hold(self._nonce)
        self._storage = Storage(self._nonce, allow_paths=allow_paths)
        self._candidates = Candidates(zipapp, self._host, self._hold, self._storage)
        hold, storage, candidates = self._hold, self._storage, self._candidates
        self._operations: Dict[str, Callable[[Frame], Answer]] = {
            "hello": self._hello, "probe": self._probe, "need": storage.need, "put": storage.put, "lease": hold.lease,
            "prepare": candidates.prepare, "open": candidates.open, "infer": candidates.infer, "close": candidates.close,
            "bench": self._bench, "sustain": self._sustain, "meters": self._meters, "energy": self._energy,
            "governor": hold.set_governor, "power-mode": hold.set_power_mode, "lock-clocks": hold.lock_clocks,
            "install": storage.install, "rollback": storage.rollback, "bye": self._bye,
        }  # fmt: skip

    # ------------------------------------------------------------ life
    def serve(self) -> int:
        """Serve until ``bye``, the end of standard input, or a signal. Returns the exit status."""
        self._host.listen(b"\n%s %s\n" % (PROTOCOL.encode(), self._nonce.encode()))
        try:
            return self._serve()
        except (Stop, BrokenPipeError):
            return 0
        finally:
            self._free_device()
            self._storage.close()
            self._hold.release()
            self._host.finish()

    def _serve(self) -> int:
        try:
            for frame in self._host.requests():
                self._answer(frame)
                if frame.op == "bye":
                    break
        except FrameError as problem:
            self._host.emit("error", {"kind": "protocol", "message": str(problem)})
            return 1
        return 0

    def _free_device(self) -> None:
        """Nothing works there any more, and it is set as it was; where the main thread hangs, the reader calls this."""
        self._candidates.kill()
        self._hold.restore()

    def _answer(self, frame: Frame) -> None:
        emit = self._host.emit
        try:
            if frame.op not in self._operations:
                raise AgentError("protocol", "no operation %r" % frame.op)
            fields, payload = self._operations[frame.op](frame)
            emit("result", fields, payload)
        except RunError as failure:
            emit("result", {"failure": failure.to_json()})
        except AgentError as problem:
            emit("error", {"kind": problem.kind, "message": str(problem)})
        except (KeyError, TypeError, ValueError, TensorError, FrameError) as problem:
            emit("error", {"kind": "protocol", "message": "%s: %s: %s" % (frame.op, type(problem).__name__, problem)})
        except BrokenPipeError:  # the host has gone
            raise
        except OSError as problem:
            emit("error", {"kind": "disk", "message": "%s: %s" % (frame.op, problem)})

    # ------------------------------------------------------------ operations
    def _hello(self, frame: Frame) -> Answer:
        """The nonce comes back, so that the host knows that it speaks with the process that printed it."""
        if frame.fields.get("nonce") != self._nonce:
            raise AgentError("protocol", "hello must carry the nonce of the banner")
        silence_s = frame.fields.get("silence_s")
        self._host.silence_s = None if silence_s is None else float(silence_s)
        repaired = self._hold.may_run(checked_prefix(frame.fields.get("become", [])))
        said = {"protocol": PROTOCOL, "pid": os.getpid(), "python": platform.python_version(), "zipapp": self._zipapp}
        return {**said, "repaired": repaired}, b""

    def _probe(self, _: Frame) -> Answer:
        return {"facts": probe(self._hold.become)}, b""

    def _bench(self, frame: Frame) -> Answer:
        slots, feeds = self._candidates.to_measure(frame)
        return Bench(slots, feeds, Plan(**frame.fields["plan"]), self._host.emit).run(), b""

    def _sustain(self, frame: Frame) -> Answer:
        slots, feeds = self._candidates.to_measure(frame)
        plan, sustain = Plan(**frame.fields["plan"]), SustainPlan(**frame.fields["sustain"])
        return Sustain(slots, feeds, plan, sustain, self._host.emit).run(), b""

    def _meters(self, _: Frame) -> Answer:
        root = meter_root()
        return {"meters": [meter.describe() for meter in discover(root)], "root": root}, b""

    def _energy(self, frame: Frame) -> Answer:
        slots, feeds = self._candidates.to_measure(frame)
        wanted = frame.fields["meter"]
        found = discover(meter_root(), str(wanted)) if wanted is not None else []
        if wanted is not None and (not found or found[0].reason):
            raise AgentError("unsupported", found[0].reason if found else "there is no meter %.60r" % (wanted,))
        pause = functools.partial(idle, stop_fd=self._host.stop_fd)
        plan = EnergyPlan(**frame.fields["plan"])
        try:
            return EnergyRun(slots, feeds, plan, found[0] if found else None, self._host.emit, pause).run(), b""
        except MeterError as problem:
            raise AgentError("unsupported", str(problem)) from problem

    def _bye(self, _: Frame) -> Answer:
        self._candidates.unload()
        return {}, b""


def main(arguments: List[str], zipapp: str, input_fd: int, output_fd: int) -> int:
    """Run a guardian. ``--allow-paths`` among ``arguments``: the host is on this machine."""
    if set(arguments) - {"--allow-paths"}:
        print("edgekit agent: unknown arguments", file=sys.stderr)
        return 2
    return Guardian(zipapp, input_fd, output_fd, allow_paths="--allow-paths" in arguments).serve()
