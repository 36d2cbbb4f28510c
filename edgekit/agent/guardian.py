"""The guardian: answers the host, holds the lease, starts workers, and leaves nothing behind when the host is gone.

Three threads: the main one serves one operation after another; one reads the host's frames, because the end of standard input
must be noticed at once; one sends a heartbeat.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import queue
import secrets
import select
import signal
import sys
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

from .become import checked_prefix
from .bench import Bench, Plan
from .blobs import BlobStore
from .board import facts_root
from .built import PREFIX, BuiltStore, build_key, runner_sha256
from .energy import EnergyPlan, EnergyRun
from .errors import AgentError, RunError, Stop
from .files import SessionFolder, check_relpath, check_sha256, guest_home
from .frames import PROTOCOL, Frame, FrameError, FrameReader, encode_header
from .governor import Refusal
from .install import install, install_root, rollback
from .lease import Lease
from .memory import available_bytes
from .meters import MeterError, discover, meter_root
from .power_mode import Controls
from .probe import probe
from .slots import RESIDENT_FRACTION, Slot
from .stdio import idle, write_all
from .sustain import Sustain, SustainPlan
from .tensors import TensorError, describe
from .workers import Worker

HEARTBEAT_S = 2.0
_STOP_WAIT_S = 5.0
_IDLE_FACTOR = 12  # between two requests the host may be busy with its own work for longer than it may be silent during one
_MAX_SLOTS = 64


class Guardian:
    """One session with one host.

    Args:
        zipapp: the file that this program runs from.
        allow_paths: the host runs on this machine, and ``put`` may name its files instead of sending them.
    """

    def __init__(self, zipapp: str, input_fd: int, output_fd: int, *, allow_paths: bool) -> None:
        self._zipapp = zipapp
        self._input_fd = input_fd
        self._output_fd = output_fd
        self._allow_paths = allow_paths
        self._nonce = secrets.token_hex(16)
        self._write_lock = threading.Lock()
        self._inbox: "queue.Queue[Union[Frame, FrameError, None]]" = queue.Queue(maxsize=16)
        self._stop_fd, self._stop_writer = os.pipe()
        self._finished = threading.Event()
        self._lease = Lease()
        self._governor: Optional[Controls] = None
        self._become: List[str] = []
        self._host_silence_s: Optional[float] = None
        self._answering = False
        self._slots: Dict[str, Slot] = {}
        self._prepared: Dict[str, Dict[str, str]] = {}
        self._storage: Optional[Tuple[BlobStore, SessionFolder]] = None
        self._request_id = 0

    # ------------------------------------------------------------ life
    def serve(self) -> int:
        """Serve until ``bye``, the end of standard input, or a signal. Returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        write_all(self._output_fd, [b"\n%s %s\n" % (PROTOCOL.encode(), self._nonce.encode())])
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        try:
            while True:
                frame = self._inbox.get()
                if frame is None:
                    return 0
                if isinstance(frame, FrameError):
                    self._emit("error", {"kind": "protocol", "message": str(frame)})
                    return 1
                self._request_id = frame.id
                self._answering = True
                self._answer(frame)
                self._answering = False
                if frame.op == "bye":
                    return 0
        except (Stop, BrokenPipeError):
            return 0
        finally:
            self._clean_up()
            self._finished.set()

    def _clean_up(self) -> None:
        for slot in self._slots.values():
            slot.kill()
        self._restore_governor()
        if self._storage is not None:
            blobs, folder = self._storage
            folder.remove()
            blobs.close()
        self._lease.release()

    def _restore_governor(self) -> None:
        """What cannot be put back stays in the journal, for the next guardian."""
        if self._governor is None:
            return
        for problem in self._governor.restore():
            print("edgekit agent: not restored: %s" % problem, file=sys.stderr)

    def _stop(self) -> None:
        os.write(self._stop_writer, b"x")

    def _read(self) -> None:
        def read_some(size: int) -> bytes:
            for _ in self._ticks_until_silent():
                readable, _, _ = select.select([self._input_fd, self._stop_fd], [], [], 1.0)
                if readable:
                    return b"" if self._stop_fd in readable else os.read(self._input_fd, size)
            return b""  # as if it had closed the connection: a pulled cable does not say so

        reader = FrameReader(read_some)
        last: Optional[FrameError] = None
        try:
            while True:
                frame = reader.frame()
                if frame is None:
                    break
                if frame.op != "heartbeat":
                    self._inbox.put(frame)
        except FrameError as problem:
            last = problem
        self._stop()
        with contextlib.suppress(queue.Full):
            self._inbox.put(last, timeout=_STOP_WAIT_S)
        if not self._finished.wait(_STOP_WAIT_S):
            for slot in list(self._slots.values()):
                slot.kill()
            self._restore_governor()
            os._exit(1)  # the main thread hangs in the kernel; without its workers and descriptors the device is free

    def _ticks_until_silent(self) -> Iterator[None]:
        """One a second, until the host has been silent for too long. Ticks and not clock time: a device that was suspended or
        starved has not heard the host, which proves nothing.
        """
        ticks = 0
        while True:
            limit_s = self._host_silence_s
            if limit_s is not None and ticks >= limit_s * (1 if self._answering else _IDLE_FACTOR):
                return
            ticks += 1
            yield

    def _beat(self) -> None:
        while not self._finished.wait(HEARTBEAT_S):
            try:
                self._emit("heartbeat", {}, request_id=0)
            except OSError:
                return

    def _emit(self, op: str, fields: Dict[str, Any], payload: bytes = b"", *, request_id: Optional[int] = None) -> None:
        header = encode_header(self._request_id if request_id is None else request_id, op, fields, len(payload))
        with self._write_lock:
            write_all(self._output_fd, [header, payload])

    # ------------------------------------------------------------ operations
    def _answer(self, frame: Frame) -> None:
        operations: Dict[str, Callable[[Frame], Tuple[Dict[str, Any], bytes]]] = {
            "hello": self._hello, "probe": self._probe, "need": self._need, "put": self._put, "lease": self._take_lease,
            "prepare": self._prepare, "open": self._open, "infer": self._infer, "bench": self._bench, "close": self._close,
            "meters": self._meters, "energy": self._energy, "sustain": self._sustain, "governor": self._set_governor,
            "power-mode": self._set_power_mode, "lock-clocks": self._lock_clocks,
            "install": self._install, "rollback": self._rollback, "bye": self._bye,
        }  # fmt: skip
        try:
            if frame.op not in operations:
                raise AgentError("protocol", "no operation %r" % frame.op)
            fields, payload = operations[frame.op](frame)
            self._emit("result", fields, payload)
        except RunError as failure:
            self._emit("result", {"failure": failure.to_json()})
        except AgentError as problem:
            self._emit("error", {"kind": problem.kind, "message": str(problem)})
        except (KeyError, TypeError, ValueError, TensorError, FrameError) as problem:
            self._emit("error", {"kind": "protocol", "message": "%s: %s: %s" % (frame.op, type(problem).__name__, problem)})

    def _hello(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        """The nonce comes back, so that the host knows that it speaks with the process that printed it."""
        if frame.fields.get("nonce") != self._nonce:
            raise AgentError("protocol", "hello must carry the nonce of the banner")
        silence_s = frame.fields.get("silence_s")
        self._host_silence_s = None if silence_s is None else float(silence_s)
        self._become = checked_prefix(frame.fields.get("become", []))
        self._governor = Controls(guest_home(), self._nonce, self._become, facts_root())
        said = {"protocol": PROTOCOL, "pid": os.getpid(), "python": platform.python_version(), "zipapp": self._zipapp}
        return {**said, "repaired": self._repair()}, b""

    def _repair(self) -> List[str]:
        """Put back what killed guardians have left changed; later, when the lease is taken, if somebody measures now."""
        assert self._governor is not None
        if not self._governor.has_leftovers:
            return []
        was_held = self._lease.held
        try:
            self._lease.acquire("putting back what a broken-off session had changed")
        except AgentError:
            return []
        try:
            said = self._governor.repair()
        except AgentError as problem:  # the journal's folder is not what it should be: no reason not to serve
            said = [str(problem)]
        finally:
            if not was_held:
                self._lease.release()
        for line in said:
            print("edgekit agent: %s" % line, file=sys.stderr)
        return said

    def _probe(self, _: Frame) -> Tuple[Dict[str, Any], bytes]:
        return {"facts": probe(self._become)}, b""

    def _files(self) -> Tuple[BlobStore, SessionFolder]:
        if self._storage is None:
            home = guest_home()
            folder = SessionFolder(home, self._nonce)
            self._storage = BlobStore(home, folder.path), folder
        return self._storage

    def _need(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        sizes = {check_sha256(sha256): int(size) for sha256, size in dict(frame.fields["sizes"]).items()}
        return {"missing": self._files()[0].need(sizes)}, b""

    def _put(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        blobs, sha256 = self._files()[0], frame.fields["sha256"]
        if "path" in frame.fields:
            if not self._allow_paths:
                raise AgentError("protocol", "this agent takes no paths: send the bytes")
            blobs.put_path(sha256, str(frame.fields["path"]))
            return {"complete": True}, b""
        complete = blobs.put(sha256, int(frame.fields["offset"]), int(frame.fields["size"]), frame.payload)
        return {"complete": complete}, b""

    def _install(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        files = {str(name): str(sha256) for name, sha256 in dict(frame.fields["files"]).items()}
        return install(install_root(frame.fields["path"]), str(frame.fields["version"]), files, self._files()[0]), b""

    def _rollback(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        return rollback(install_root(frame.fields["path"])), b""

    def _take_lease(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        if frame.fields["hold"]:
            self._lease.acquire(str(frame.fields.get("purpose", "")))
            if self._governor is not None:
                self._repair()
        else:
            self._restore_governor()
            self._lease.release()
        return {"held": self._lease.held}, b""

    def _need_lease(self) -> None:
        if not self._lease.held:
            raise AgentError("no-lease", "take the lease first")

    def _starter(self, fields: Dict[str, Any]) -> Callable[[], Worker]:
        key, target, entry = str(fields["key"]), str(fields["target"]), str(fields["entry"])
        if not entry.isidentifier() or check_relpath(target) != os.path.basename(target):
            raise AgentError("protocol", "not a runner: %r of %r" % (entry, target))

        def log(text: str) -> None:
            with contextlib.suppress(BrokenPipeError):  # the main thread notices that the host is gone
                self._emit("log", {"key": key, "text": text})

        return lambda: Worker(self._zipapp, target, entry, log=log, stop_fd=self._stop_fd)

    def _place(self, fields: Dict[str, Any], folder_name: str) -> Dict[str, str]:
        blobs, folder = self._files()
        if any(str(name).startswith(PREFIX) for name in fields["files"]):
            raise AgentError(
                "integrity", "an artifact may not hold files under %s: what is built here never comes from elsewhere" % PREFIX
            )
        return folder.lay_out(folder_name, dict(fields["files"]), blobs)

    def _prepare(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        """Let the runner build what must be built on this device, unless it has been; ``open`` of the same key finds it as well."""
        self._need_lease()
        fields = frame.fields
        key, options = str(fields["key"]), dict(fields["options"])
        start = self._starter(fields)
        name = "prepare-%d" % len(self._prepared)
        placed = self._place(fields, name)
        store, folder = BuiltStore(guest_home()), os.path.join(self._files()[1].path, name + "-out")
        worker = start()
        try:
            timeout_s = float(fields["timeout_s"])
            asked = worker.call("fingerprint", {}, timeout_s=timeout_s).fields
            if not asked["supported"]:
                raise AgentError("unsupported", "not supported by this runner")
            code = runner_sha256(self._zipapp, str(fields["target"]))
            build = build_key(str(fields["target"]), dict(fields["files"]), options, asked["fingerprint"], code)
            found = store.lay_out(build, folder)
            was_there = found is not None
            if found is None:
                kept_folder = store.kept_folder(str(fields["target"]), asked["fingerprint"])
                part = store.begin(build)
                try:
                    worker.call(
                        "prepare",
                        {"files": placed, "options": {**options, "kept_folder": kept_folder}, "workdir": part},
                        timeout_s=timeout_s,
                        on_progress=lambda event: self._emit("progress", {"step": "prepare", "key": key, **event.fields}),
                    )
                    store.keep(build, part)
                finally:
                    store.abandon(part)
                found = store.lay_out(build, folder)
        finally:
            worker.kill()
        if found is None:
            raise AgentError("integrity", "what was built has changed on the disk before it was used")
        self._prepared[key] = found
        return {"files": sorted(found), "was_there": was_there}, b""

    def _open(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        fields = frame.fields
        key = str(fields["key"])
        if key in self._slots:
            raise AgentError("protocol", "%r is open already" % key)
        if len(self._slots) >= _MAX_SLOTS:
            raise AgentError("protocol", "over %d candidates are open" % _MAX_SLOTS)
        placed = {**self._place(fields, "open-%d" % frame.id), **self._prepared.get(key, {})}
        slot = Slot(key, self._starter(fields), placed, dict(fields["options"]))
        self._slots[key] = slot
        slot.load(float(fields["timeout_s"]))
        self._unload_others(slot)
        return dict(slot.info), b""

    def _unload_others(self, keep: Slot) -> None:
        """When the loaded workers hold too much memory, all but one are ended; they load again when they are used."""
        available = available_bytes()
        held = sum(slot.worker.rss_bytes() for slot in self._slots.values() if slot.worker is not None)
        if available is not None and held >= RESIDENT_FRACTION * available:
            for slot in self._slots.values():
                if slot is not keep:
                    slot.unload()

    def _slot(self, key: object) -> Slot:
        slot = self._slots.get(str(key))
        if slot is None:
            raise AgentError("protocol", "%.200r is not open" % (key,))
        return slot

    def _infer(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        self._need_lease()
        slot = self._slot(frame.fields["key"])
        describe(frame.fields["tensors"], len(frame.payload))
        if slot.worker is None:
            slot.load(float(frame.fields["load_timeout_s"]))
            self._unload_others(slot)
        timeout_s = float(frame.fields["timeout_s"])
        request = {"tensors": frame.fields["tensors"]}
        if "layers_of_runs" in frame.fields:
            request["runs"] = int(frame.fields["layers_of_runs"])
            return {}, bytes(slot.call("layers", request, frame.payload, timeout_s=timeout_s).payload)
        reply = slot.call("infer", request, frame.payload, timeout_s=timeout_s)
        return {"tensors": reply.fields["tensors"]}, bytes(reply.payload)

    def _to_measure(self, frame: Frame) -> Tuple[List[Slot], Dict[str, Tuple[List[Dict[str, Any]], bytes]]]:
        """The candidates that a request names and the feed of each; all others are unloaded."""
        self._need_lease()
        slots = [self._slot(key) for key in frame.fields["keys"]]
        feeds: List[Tuple[List[Dict[str, Any]], bytes]] = []
        offset = 0
        for entries, size in frame.fields["feeds"]:
            describe(entries, size)
            feeds.append((entries, bytes(frame.payload[offset : offset + size])))
            offset += size
        of_key = {slot.key: feeds[index] for slot, index in zip(slots, frame.fields["feed_of"])}  # noqa: B905 - Python 3.8
        for other in self._slots.values():
            if other not in slots:
                other.unload()
        return slots, of_key

    def _bench(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        slots, of_key = self._to_measure(frame)
        return Bench(slots, of_key, Plan(**frame.fields["plan"]), self._emit).run(), b""

    def _sustain(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        slots, of_key = self._to_measure(frame)
        plan, sustain = Plan(**frame.fields["plan"]), SustainPlan(**frame.fields["sustain"])
        return Sustain(slots, of_key, plan, sustain, self._emit).run(), b""

    def _set_governor(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        """Set the governor until the lease is released, whichever way that happens; ``null`` puts it back now."""
        self._need_lease()
        name = frame.fields["name"]
        if self._governor is None:
            raise AgentError("protocol", "say hello first")
        if name is None:
            return {"problems": self._governor.restore()}, b""
        try:
            return {"before": self._governor.set(str(name))}, b""
        except Refusal as refusal:
            return {"refused": refusal.to_json()}, b""

    def _set_power_mode(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        """Set the power mode until the lease is released, whichever way that happens."""
        self._need_lease()
        if self._governor is None:
            raise AgentError("protocol", "say hello first")
        try:
            return self._governor.set_power_mode(str(frame.fields["name"])), b""
        except Refusal as refusal:
            return {"refused": refusal.to_json()}, b""

    def _lock_clocks(self, _: Frame) -> Tuple[Dict[str, Any], bytes]:
        """Lock a Jetson's clocks until the lease is released, whichever way that happens."""
        self._need_lease()
        if self._governor is None:
            raise AgentError("protocol", "say hello first")
        try:
            return self._governor.lock_clocks(), b""
        except Refusal as refusal:
            return {"refused": refusal.to_json()}, b""

    def _meters(self, _: Frame) -> Tuple[Dict[str, Any], bytes]:
        root = meter_root()
        return {"meters": [meter.describe() for meter in discover(root)], "root": root}, b""

    def _energy(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        slots, of_key = self._to_measure(frame)
        wanted = frame.fields["meter"]
        found = discover(meter_root(), str(wanted)) if wanted is not None else []
        if wanted is not None and (not found or found[0].reason):
            raise AgentError("unsupported", found[0].reason if found else "there is no meter %.60r" % (wanted,))
        pause = functools.partial(idle, stop_fd=self._stop_fd)
        plan = EnergyPlan(**frame.fields["plan"])
        try:
            return EnergyRun(slots, of_key, plan, found[0] if found else None, self._emit, pause).run(), b""
        except MeterError as problem:
            raise AgentError("unsupported", str(problem)) from problem

    def _close(self, frame: Frame) -> Tuple[Dict[str, Any], bytes]:
        slot = self._slots.pop(str(frame.fields["key"]), None)
        if slot is not None:
            slot.unload()
        return {}, b""

    def _bye(self, _: Frame) -> Tuple[Dict[str, Any], bytes]:
        for slot in self._slots.values():
            slot.unload()
        return {}, b""


def main(arguments: List[str], zipapp: str, input_fd: int, output_fd: int) -> int:
    """Run a guardian. ``--allow-paths`` among ``arguments``: the host is on this machine."""
    if set(arguments) - {"--allow-paths"}:
        print("edgekit agent: unknown arguments", file=sys.stderr)
        return 2
    return Guardian(zipapp, input_fd, output_fd, allow_paths="--allow-paths" in arguments).serve()
