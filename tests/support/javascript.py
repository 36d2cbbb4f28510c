"""Node.js, the npm packages that the tests of packages need, TypeScript's compiler, and a headless Chromium on loopback."""

from __future__ import annotations

import base64
import contextlib
import importlib.machinery
import importlib.util
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from support.cpus import all_cpus
from support.requirements import ROOT, missing

FOLDER = ROOT / "tests" / "packaging" / "npm"
BROWSER_TIMEOUT_S = 300  # five pages on a machine that does much else
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
Array = Any


@cache
def node() -> str:
    """Node.js; a test that needs it is skipped without it (required in CI)."""
    found = shutil.which("node")
    if found is None:
        missing("Node.js is not installed")
    return found


@cache
def chromium() -> str:
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        missing("Chromium is not installed (apt-get install chromium)")
    return found


@cache
def compiler() -> ModuleType:
    """``scripts/compile_javascript`` as a module."""
    loader = importlib.machinery.SourceFileLoader("compile_javascript", str(ROOT / "scripts" / "compile_javascript"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@cache
def packages() -> Path:
    """A folder with the pinned npm packages in ``node_modules``; without them a test is skipped (required in CI)."""
    try:
        place = compiler().packages()
    except compiler().CompileError as problem:
        missing(str(problem))
    assert isinstance(place, Path)
    return place


def run_node(script: Path, *args: str | Path, stdin: str = "", timeout_s: float = 60) -> str:
    """What a script prints; fails the test with its complaints where it fails."""
    done = subprocess.run(
        [node(), str(script), *map(str, args)], input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tsc(project: Path) -> str:
    """Compiles the folder of a ``tsconfig.json``; returns the compiler's complaints, nothing when there are none."""
    done = subprocess.run(
        [packages() / "node_modules" / ".bin" / "tsc", "-p", "."],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode == 0) == (not done.stdout.strip()), done.stderr
    return done.stdout.strip()


@contextlib.contextmanager
def served(package: Path) -> Iterator[str]:
    """The package's own server, on a port of its choice on loopback; yields the address of the demo page."""
    command = [node(), str(package / "demo" / "serve.mjs"), "0"]
    process = subprocess.Popen(command, cwd=packages(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, line
        yield line[line.index("http://") :].strip()
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def in_browser(visits: Mapping[Path, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Runs packages in one Chromium: {folder: visit}; see ``tests/packaging/npm/in_browser.mjs`` for a visit and its answer."""
    executable = chromium()
    with contextlib.ExitStack() as servers:
        made = [{**visit, "url": servers.enter_context(served(package))} for package, visit in visits.items()]
        with all_cpus():  # a page asks how many threads it may have
            process = subprocess.Popen(
                [node(), str(FOLDER / "in_browser.mjs")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        job = {"executable": executable, "packages": str(packages()), "visits": made}
        try:
            stdout, stderr = process.communicate(json.dumps(job), timeout=BROWSER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.terminate()  # it closes its browser
            try:
                stdout, stderr = process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, stderr = process.communicate()
                _end_browser(stderr)
            raise AssertionError(f"the browser was not done after {BROWSER_TIMEOUT_S} s: {stderr}") from None
    assert process.returncode == 0, stderr
    answers = json.loads(stdout)
    assert isinstance(answers, list)
    return answers


def _end_browser(stderr: str) -> None:
    for line in stderr.splitlines():
        word, _, number = line.partition(" ")
        if word == "browser" and number.isdigit():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(number), signal.SIGKILL)  # playwright starts it in a group of its own


def base64_of(array: Array) -> str:
    """An array's numbers, little-endian and in C order."""
    array = np.ascontiguousarray(array)
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def tensors(feed: Mapping[str, Array]) -> dict[str, Any]:
    return {key: {"data": base64_of(array), "dims": list(array.shape)} for key, array in feed.items()}


def arrays(outputs: Sequence[Mapping[str, Any]], key: str, dtype: str = "<f4") -> list[Array]:
    """One output of every run, as arrays."""
    found = []
    for output in outputs:
        data = np.frombuffer(base64.b64decode(output[key]["data"]), dtype)
        found.append(data.reshape(output[key]["dims"]))
    return found
