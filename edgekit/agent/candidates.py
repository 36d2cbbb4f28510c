"""The candidates of a session: what is built here for them, who is loaded, and asking one of them for an inference."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from .bench import TensorPayload
from .built import BuiltStore, build_key, runner_sha256
from .errors import AgentError
from .files import check_relpath, guest_home
from .frames import Frame
from .hold import Hold
from .host import Answer, Host
from .slots import Slot, hold_too_much
from .storage import Storage
from .tensors import describe
from .workers import Worker

_MAX_SLOTS = 64


class Candidates:
    """Those that the host has opened, by the key that it gave each.

    Args:
        zipapp: the file that this program runs from, and its workers do.
    """

    def __init__(self, zipapp: str, host: Host, hold: Hold, storage: Storage) -> None:
        self._zipapp = zipapp
        self._host = host
        self._hold = hold
        self._storage = storage
        self._slots: Dict[str, Slot] = {}
        self._prepared: Dict[str, Dict[str, str]] = {}

    def kill(self) -> None:
        """End every worker at once, from any thread."""
        for slot in list(self._slots.values()):
            slot.kill()

    def unload(self) -> None:
        """Let every worker end."""
        for slot in self._slots.values():
            slot.unload()

    def to_measure(self, frame: Frame) -> Tuple[List[Slot], Dict[str, TensorPayload]]:
        """The candidates that a request names and the feed of each; all others are unloaded."""
        self._hold.need()
        slots = [self._slot(key) for key in frame.fields["keys"]]
        feeds: List[TensorPayload] = []
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

    # ------------------------------------------------------------ operations
    def prepare(self, frame: Frame) -> Answer:
        """Let the runner build what must be built on this device, unless it has been; ``open`` of the same key finds it as well."""
        self._hold.need()
        fields = frame.fields
        start = self._starter(fields)
        name = "prepare-%d" % frame.id
        placed = self._storage.lay_out(name, dict(fields["files"]))
        worker = start()
        try:
            found, was_there = self._find_or_build(worker, fields, placed, os.path.join(self._storage.path, name + "-out"))
        finally:
            worker.kill()
        if found is None:
            raise AgentError("integrity", "what was built has changed on the disk before it was used")
        self._prepared[str(fields["key"])] = found
        return {"files": sorted(found), "was_there": was_there}, b""

    def open(self, frame: Frame) -> Answer:
        fields = frame.fields
        key = str(fields["key"])
        if key in self._slots:
            raise AgentError("protocol", "%r is open already" % key)
        if len(self._slots) >= _MAX_SLOTS:
            raise AgentError("protocol", "over %d candidates are open" % _MAX_SLOTS)
        placed = {**self._storage.lay_out("open-%d" % frame.id, dict(fields["files"])), **self._prepared.get(key, {})}
        slot = Slot(key, self._starter(fields), placed, dict(fields["options"]))
        self._slots[key] = slot
        slot.load(float(fields["timeout_s"]))
        self._unload_others(slot)
        return dict(slot.info), b""

    def infer(self, frame: Frame) -> Answer:
        self._hold.need()
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

    def close(self, frame: Frame) -> Answer:
        slot = self._slots.pop(str(frame.fields["key"]), None)
        if slot is not None:
            slot.unload()
        return {}, b""

    # ------------------------------------------------------------ parts
    def _slot(self, key: object) -> Slot:
        slot = self._slots.get(str(key))
        if slot is None:
            raise AgentError("protocol", "%.200r is not open" % (key,))
        return slot

    def _starter(self, fields: Dict[str, Any]) -> Callable[[], Worker]:
        key, target, entry = str(fields["key"]), str(fields["target"]), str(fields["entry"])
        if not entry.isidentifier() or check_relpath(target) != os.path.basename(target):
            raise AgentError("protocol", "not a runner: %r of %r" % (entry, target))

        def log(text: str) -> None:
            with contextlib.suppress(BrokenPipeError):  # the main thread notices that the host is gone
                self._host.emit("log", {"key": key, "text": text})

        return lambda: Worker(self._zipapp, target, entry, log=log, stop_fd=self._host.stop_fd)

    def _find_or_build(
        self, worker: Worker, fields: Dict[str, Any], placed: Dict[str, str], folder: str
    ) -> Tuple[Optional[Dict[str, str]], bool]:
        """What ``worker`` builds from ``placed``, laid out in ``folder``, and whether it was there; None when it has changed."""
        key, target = str(fields["key"]), str(fields["target"])
        options, timeout_s = dict(fields["options"]), float(fields["timeout_s"])
        asked = worker.call("fingerprint", {}, timeout_s=timeout_s).fields
        if not asked["supported"]:
            raise AgentError("unsupported", "not supported by this runner")
        store = BuiltStore(guest_home())
        build = build_key(target, dict(fields["files"]), options, asked["fingerprint"], runner_sha256(self._zipapp, target))
        found = store.lay_out(build, folder)
        if found is not None:
            return found, True
        kept_folder = store.kept_folder(target, asked["fingerprint"])
        part = store.begin(build)
        try:
            worker.call(
                "prepare",
                {"files": placed, "options": {**options, "kept_folder": kept_folder}, "workdir": part},
                timeout_s=timeout_s,
                on_progress=lambda event: self._host.emit("progress", {"step": "prepare", "key": key, **event.fields}),
            )
            store.keep(build, part)
        finally:
            store.abandon(part)
        return store.lay_out(build, folder), False

    def _unload_others(self, keep: Slot) -> None:
        """When the loaded workers hold too much memory, all but one are ended; they load again when they are used."""
        if hold_too_much(self._slots.values()):
            for slot in self._slots.values():
                if slot is not keep:
                    slot.unload()
