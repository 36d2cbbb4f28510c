"""The governor of the CPUs' clock: set on request, put back at every end of a session.

Every policy of the device is set, not only those of the timing CPUs: clusters share memory and heat.
"""

from __future__ import annotations

import glob
import os
import threading
from typing import Any, Dict, List, Sequence

from .become import GOVERNOR_FILE, GOVERNOR_NAME, write_governor
from .journal import Journal, has_leftovers, repair
from .memory import read_text

_LOCK_WAIT_S = 7.0


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """Why something was not set. ``kind``: unknown (no value of that name), denied (no permission), none (nothing to set)."""

    def __init__(self, kind: str, message: str, available: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.available = list(available)

    def to_json(self) -> Dict[str, Any]:
        return {"kind": self.kind, "message": str(self), "available": self.available}


class Governor:
    """The governors of this device for one session.

    Args:
        home: the guest's home, for the restore journal.
        name: of the session.
        become: prefix for what this user may not do; empty: then it is refused.
        root: where ``/`` is; with another one nothing is run behind ``become``.
    """

    def __init__(self, home: str, name: str, become: Sequence[str] = (), root: str = "/") -> None:
        self._home = home
        self._become = list(become)
        self._root = root
        self._journal = Journal(home, name)
        self._lock = threading.Lock()  # the thread that ends a hanging session restores, too

    def set(self, name: str) -> Dict[str, str]:
        """Set ``name`` on every policy. Returns ``{file: what stood in it before}``.

        Raises:
            Refusal: nothing has been changed then.
            AgentError: ``disk``: the journal cannot be written, so nothing was changed.
        """
        files = governor_files(self._root)
        if not files:
            raise Refusal("none", "this device has no CPU frequency governor (no cpufreq)")
        available = self._available(files)
        if not GOVERNOR_NAME.match(name) or (available and name not in available):
            raise Refusal("unknown", "this device has no governor %.40r" % name, available)
        before = {path: read_governor(path) for path in files}
        with self._lock:
            for path, old in before.items():
                if old == name:
                    continue
                self._journal.note(path, old, name)
                problem = self._write(path, name)
                if problem:
                    self._journal.undo(self._read, self._write)
                    raise Refusal("denied", problem, available)
        return before

    def restore(self) -> List[str]:
        """Put back what :meth:`set` changed; may be called again, and from another thread. Returns what could not be."""
        if not self._lock.acquire(timeout=_LOCK_WAIT_S):
            return ["the governor could not be put back: its file does not answer"]
        try:
            return self._journal.undo(self._read, self._write)
        finally:
            self._lock.release()

    @property
    def has_leftovers(self) -> bool:
        return has_leftovers(self._home)

    def repair(self) -> List[str]:
        """Put back what killed sessions have left; needs the lease. Returns a line for each change that was found."""
        return repair(self._home, self._is_ours, self._read, self._write)

    def _is_ours(self, path: str) -> bool:
        return _is_governor_file(path, self._root)

    def _read(self, path: str) -> str:
        return read_governor(path)

    def _available(self, files: Sequence[str]) -> List[str]:
        """Governors that every policy knows; empty where the kernel does not list them."""
        lists = [read_text(os.path.join(os.path.dirname(path), "scaling_available_governors"), 1024).split()[:32] for path in files]
        return [name for name in lists[0] if all(name in each for each in lists)]

    def _write(self, path: str, name: str) -> str:
        """Returns why it failed; empty when the kernel has taken it."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_TRUNC)
            try:
                os.write(fd, name.encode())
            finally:
                os.close(fd)
        except OSError as problem:
            if not self._become or self._root != "/":
                return "%s: %s" % (path, problem.strerror)
            why = write_governor(self._become, path, name)
            if why:
                return why
        found = read_governor(path)
        return "" if found == name else "%s says %.40r after %s was written to it" % (path, found, name)


def governor_files(root: str = "/") -> List[str]:
    """The governor's file of each policy. Kernels before 4.3 have no ``policy`` folders, only each core's own."""
    cpu = os.path.join(glob.escape(root), "sys/devices/system/cpu")
    found = glob.glob(os.path.join(cpu, "cpufreq/policy[0-9]*/scaling_governor"))
    found = found or glob.glob(os.path.join(cpu, "cpu[0-9]*/cpufreq/scaling_governor"))
    return sorted(path for path in found if _is_governor_file(path, root))[:256]


def read_governor(path: str) -> str:
    return read_text(path, 64).strip()


def _is_governor_file(path: str, root: str) -> bool:
    inside = os.path.join("/", os.path.relpath(path, root))
    return GOVERNOR_FILE.match(inside) is not None and ".." not in inside
