"""A toy runner for the agent: doubles its input, and misbehaves when its options say so. And what is left of processes."""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.types import Runner

TOY = """
import os, signal, sys, time
import numpy as np

def fingerprint():
    return {"runtime": "toy", "pid": os.getpid(), "parent": os.getppid(), "agent": sys.modules["agent"].__file__,
            "self": __file__, "modules": sorted(name for name in sys.modules if name.split(".")[0] == "edgekit")}

def misbehave(how):
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(23)
    elif how == "sys-exit":
        sys.exit(3)
    elif how == "raise":
        raise ValueError("no such \\x1b[31moperator")
    elif how == "memory":
        raise MemoryError("tensor of 9 TB")
    elif how == "hang":
        time.sleep(600)
    elif how == "eat-memory":
        eaten = []
        while True:
            eaten.append(bytearray(os.urandom(1 << 20)) * 16)
    elif how == "missing":
        import no_such_runtime_anywhere
    elif how == "edgekit":
        import edgekit

class Session:
    def __init__(self, files, options):
        self.files, self.options, self.runs = files, options, 0
        self.effective = {"threads": options.get("threads", 1)}
        print("printed by the runtime on standard output")
        sys.stdout.flush()
        misbehave(options.get("at_load"))

    def run(self, feeds):
        self.runs += 1
        if self.runs > self.options.get("good_runs", 0):
            misbehave(self.options.get("at_run"))
        time.sleep(self.options.get("delay_s", 0.0002))
        if "text" in self.options:
            return {"read": np.frombuffer(open(self.files[self.options["text"]], "rb").read(), np.uint8)}
        return {name: value * 2 for name, value in feeds.items()}

    def layers(self):
        return [{"name": "double", "n": self.runs}]

    def close(self):
        if "farewell" in self.options:
            open(self.options["farewell"], "w").close()

def prepare(files, options, workdir, emit):
    emit("preparing")
    misbehave(options.get("at_prepare"))
    with open(os.path.join(workdir, "built.txt"), "w") as stream:
        stream.write("built here")
"""


@dataclass
class Toy:
    """A runner and its artifact on disk."""

    folder: Path
    files: dict[str, str] = field(default_factory=dict)

    def add_file(self, name: str, content: bytes) -> None:
        path = self.folder / "artifact" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.files[name] = hashlib.sha256(content).hexdigest()

    @property
    def artifact(self) -> Path:
        return self.folder / "artifact"

    def runner(self, **options: object) -> Runner:
        code = self.folder / "toy_device.py"
        if not code.exists():
            code.write_text(TOY)
        return Runner(code=(code,), entry="toy_device", requires=(), files=tuple(self.files), options=options)


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than a zombie that its new parent has yet to collect."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def wait_until_gone(pid: int, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while is_running(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Running direct children of a process."""
    text = ""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            text += path.read_text()
    return [int(child) for child in text.split() if is_running(int(child))]
