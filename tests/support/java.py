"""A JDK for tests: the wrapper of a package compiled with runtimes that answer from Python, and run on the Java machine."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from support.requirements import ROOT, missing

JAVA = ROOT / "tests" / "packaging" / "java"
BRIDGE = JAVA / "bridge.py"
TIMEOUT_S = 120
Array = Any


def need_jdk() -> None:
    for tool in ("javac", "java"):
        if shutil.which(tool) is None:
            missing(f"{tool} is not there: install a JDK, 11 or newer")


def compile_java(out: Path, sources: Sequence[Path], *, source_path: Sequence[Path] = ()) -> None:
    """Compile ``sources`` as Java 8 to ``out``, with what they need from ``source_path``; a warning is an error."""
    out.mkdir(parents=True, exist_ok=True)
    path = ":".join(map(str, source_path)) or str(out)
    run(
        ["javac", "-J-XX:TieredStopAtLevel=1", "--release", "8", "-encoding", "UTF-8", "-proc:none", "-Xlint:all,-options,-serial",
         "-Werror", "-sourcepath", path, "-cp", str(out), "-d", str(out), *map(str, sources)]
    )  # fmt: skip


def run_java(classes: Path, main: str, *arguments: str, heap: str = "256m") -> str:
    """What ``main`` prints; its exit code must be 0."""
    bridge = [f"-Dbridge.python={sys.executable}", f"-Dbridge.script={BRIDGE}"]
    return run(["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", f"-Xmx{heap}", *bridge, "-cp", str(classes), main, *arguments])


def run(command: Sequence[str]) -> str:
    done = subprocess.run(list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def with_package(folder: Path, name: str, package: str) -> Path:
    """A driver of ``tests/packaging/java/drivers`` in the wrapper's own package, where it sees what the wrapper keeps to itself."""
    text = (JAVA / "drivers" / f"{name}.java").read_text("utf-8")
    path = folder / f"{name}.java"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"package {package};\n\n{text}", encoding="utf-8")
    return path


class Numbers:
    """The binary files of tests and drivers: big-endian, as Java's DataInput has them; arrays are raw little-endian bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def put(self, *values: int) -> None:
        self.stream.write(struct.pack(f">{len(values)}i", *values))

    def put_text(self, text: str) -> None:
        data = text.encode()
        self.stream.write(struct.pack(">H", len(data)) + data)

    def put_doubles(self, values: Sequence[float]) -> None:
        self.put(len(values))
        self.stream.write(struct.pack(f">{len(values)}d", *values))

    def put_array(self, array: Array) -> None:
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        self.put(len(data))
        self.stream.write(data)

    def get(self) -> int:
        (value,) = struct.unpack(">i", self.stream.read(4))
        return int(value)

    def get_array(self, dtype: str) -> Array:
        return np.frombuffer(self.stream.read(self.get()), np.dtype(dtype).newbyteorder("<")).astype(dtype)
