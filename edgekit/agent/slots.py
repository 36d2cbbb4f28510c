"""A slot is one candidate that the host has opened: what to load, and the worker that has it loaded, if one has."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Optional, Union

from .errors import RunError
from .frames import Frame
from .memory import available_bytes
from .workers import Worker

RESIDENT_FRACTION = 0.5  # workers stay loaded while together they use less than this part of the memory that is available


def hold_too_much(slots: Iterable[Slot], fraction: float = RESIDENT_FRACTION) -> bool:
    """Whether the loaded workers of ``slots`` hold more than ``fraction`` of the memory that is available."""
    available = available_bytes()
    held = sum(slot.worker.rss_bytes() for slot in slots if slot.worker is not None)
    return available is not None and held >= fraction * available


class Slot:
    """One candidate.

    Args:
        start: starts a worker process for it.
        files: ``{relative path: absolute path}`` on this device.
    """

    def __init__(self, key: str, start: Callable[[], Worker], files: Dict[str, str], options: Dict[str, Any]) -> None:
        self.key = key
        self.files = files
        self.options = options
        self.failure: Optional[RunError] = None
        self.info: Dict[str, Any] = {}
        self.worker: Optional[Worker] = None
        self._start = start

    def load(self, timeout_s: float) -> None:
        """Start a worker and load the candidate in it; nothing happens when one has it loaded.

        Raises:
            RunError: it could not be loaded, or has failed before.
        """
        if self.failure is not None:
            raise self.failure
        if self.worker is not None:
            return
        self.worker = self._start()
        self.call("open", {"files": self.files, "options": self.options}, timeout_s=timeout_s, fatal=True)

    def call(
        self, op: str, fields: Dict[str, Any], payload: Union[bytes, bytearray] = b"", *, timeout_s: float, fatal: bool = False
    ) -> Frame:
        """Ask the worker.

        Args:
            fatal: an error that the worker survives ends the candidate all the same.

        Raises:
            RunError: as :meth:`Worker.call`; when the worker is gone, this slot has failed for good.
        """
        if self.worker is None:
            raise self.failure or RunError("error", "the candidate is not loaded")
        try:
            reply = self.worker.call(op, fields, payload, timeout_s=timeout_s)
        except RunError as problem:
            if fatal or self.worker.failure is not None:
                self.fail(problem)
            raise
        self._note(reply.fields)
        return reply

    def _note(self, fields: Dict[str, Any]) -> None:
        """Keep what later answers repeat: the first load and first inference, the highest memory."""
        peaks = [value for value in (self.info.get("peak_memory_bytes"), fields.get("peak_memory_bytes")) if value is not None]
        for name in ("load_s", "first_inference_s", "effective", "fingerprint", "pausable", "loop"):
            if fields.get(name) is not None:
                self.info.setdefault(name, fields[name])
        if fields.get("details"):
            self.info["details"] = fields["details"]
        self.info["peak_memory_bytes"] = max(peaks) if peaks else None

    def fail(self, problem: RunError) -> None:
        self.failure = problem
        worker = self.worker  # two threads may end a session: each waits until the process is gone
        if worker is not None:
            worker.kill()
        self.worker = None

    def unload(self) -> None:
        """End the worker; the candidate can be loaded again."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def pause(self) -> None:
        """Stop an idle worker, where the kernel would still end it with the guardian."""
        if self.worker is not None and self.info.get("pausable"):
            self.worker.pause()

    def resume(self) -> None:
        if self.worker is not None:
            self.worker.resume()

    def kill(self) -> None:
        worker = self.worker  # two threads may end a session: each waits until the process is gone
        if worker is not None:
            worker.kill()
        self.worker = None
