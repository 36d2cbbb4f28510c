"""Programs that are watched while they run: how long they take, and how much memory they hold with all that they start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 0.1
GRACE_S = 20.0


@dataclass(frozen=True)
class Finished:
    """``peak_bytes``: of the resident sets of the process and its descendants together, sampled; pages that they share count twice.
    None where the system has no /proc. ``stopped``: why it was ended from here, else empty.
    """

    wall_s: float
    peak_bytes: int | None
    returncode: int
    stdout: str
    stderr: str
    stopped: str = ""


def watch(
    command: Sequence[object],
    *,
    timeout_s: float,
    limit_bytes: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Runs ``command`` to its end, or until it holds more than ``limit_bytes`` or takes longer than ``timeout_s``.

    A limit on the address space would stop runtimes that reserve more than they use, so what is held is looked at.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started, peak, stopped = time.monotonic(), 0, ""
        family = Family()
        with subprocess.Popen(
            [str(part) for part in command], stdout=out, stderr=err, env=dict(environment or os.environ)
        ) as process:
            try:
                while process.poll() is None:
                    held = family.held_bytes(process.pid)
                    peak = max(peak, held)
                    if limit_bytes is not None and held > limit_bytes:
                        stopped = f"stopped when it held more than {limit_bytes / 1e9:.1f} GB"
                    elif time.monotonic() - started > timeout_s:
                        stopped = f"not finished after {timeout_s / 60:.0f} minutes"
                    if stopped:
                        break
                    time.sleep(EVERY_S)
            finally:
                _end(process)
        elapsed_s = time.monotonic() - started
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return Finished(elapsed_s, peak or None, process.returncode, texts[0], texts[1], stopped)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Gives it time to clear up what it has started."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


class Family:
    """A process and all that descend from it, also those whose parent has gone since they were first seen."""

    def __init__(self) -> None:
        self._seen: dict[int, str] = {}  # process id: when it started, since ids are used again

    def held_bytes(self, root: int) -> int:
        parents, started, held = {}, {}, {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            pid = int(folder.name)
            parents[pid], started[pid], held[pid] = int(fields[1]), fields[19], int(fields[21])
        members = {pid for pid, start in self._seen.items() if started.get(pid) == start} | ({root} & parents.keys())
        while True:
            more = {pid for pid, parent in parents.items() if parent in members} - members
            if not more:
                break
            members |= more
        self._seen = {pid: started[pid] for pid in members}
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(held[pid] for pid in members) * page


def own_peak_bytes() -> int:
    """The largest resident set of this program so far.

    Not ``ru_maxrss`` where there is a choice: on Linux that starts at what the process that started this one held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
