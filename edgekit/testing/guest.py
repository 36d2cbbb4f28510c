"""Checks that device-side code is a guest: self-contained, old enough a Python, and able to run where edgekit is not."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.types import Array, Artifact, Feed, Runner

OLDEST_PYTHON = (3, 8)
_GENERIC_SINCE_3_9 = ("dict", "frozenset", "list", "set", "tuple", "type")

#: Runs in an isolated interpreter: blocks edgekit, runs one feed, writes what came out.
_ALONE = """
import json, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].startswith("edgekit"):
            raise ImportError("blocked: " + name, name=name)
sys.meta_path.insert(0, Block())
request = json.load(sys.stdin)
sys.path[:0] = [request["code"]]
sys.path += request["packages"]
import importlib
import numpy as np
module = importlib.import_module(request["entry"])
session = module.Session(request["files"], request["options"])
with np.load(request["feed"], allow_pickle=False) as feed:
    outputs = session.run({name: feed[name] for name in feed.files})
np.savez(request["outputs"], **outputs)
session.layers()
effective = session.effective
session.close()
print(json.dumps({"fingerprint": module.fingerprint(), "effective": effective}))
"""


@dataclass(frozen=True)
class FoundAlone:
    outputs: dict[str, Array]
    fingerprint: dict[str, Any]
    effective: dict[str, Any]


def problems(path: Path, *, allowed: Collection[str]) -> list[str]:
    """What keeps the file at ``path`` from being shipped on its own, one sentence each.

    Args:
        allowed: top-level modules beside the standard library and numpy.
    """
    source = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(source, str(path), feature_version=OLDEST_PYTHON)
    except SyntaxError as problem:
        return [f"line {problem.lineno}: not Python {'.'.join(map(str, OLDEST_PYTHON))}: {problem.msg}"]
    found = _newer_annotations(tree)
    known = {*sys.stdlib_module_names, "numpy", *allowed}
    for node in _that_run(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            if node.level:
                found.append(f"line {node.lineno}: relative import")
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            top = name.split(".")[0]
            if top and top not in known:
                found.append(f"line {getattr(node, 'lineno', 0)}: imports {top}")
    return found


def _that_run(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node but those under ``if TYPE_CHECKING:``, which only type checkers read."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _newer_annotations(tree: ast.Module) -> list[str]:
    """``list[int]`` and ``int | None`` fail when Python 3.8 evaluates them, which the future import prevents."""
    if any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body):
        return []
    annotations = [getattr(node, name, None) for node in ast.walk(tree) for name in ("annotation", "returns")]
    return [
        f"line {part.lineno}: not Python 3.8: this annotation needs `from __future__ import annotations`"
        for annotation in annotations
        if annotation is not None
        for part in ast.walk(annotation)
        if (isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitOr))
        or (isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id in _GENERIC_SINCE_3_9)
    ]


def run_alone(runner: Runner, artifact: Artifact, folder: Path, feed: Feed, scratch: Path) -> FoundAlone:
    """One inference in a fresh interpreter, from copies of the runner's code and the artifact's files, edgekit blocked.

    Raises:
        AssertionError: with what the interpreter wrote to stderr.
    """
    code, files = scratch / "alone-code", scratch / "alone-files"
    code.mkdir()
    for path in runner.code:
        shutil.copy(path, code / path.name)
    for name in runner.files:
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, files / name)
    feed_path, output_path = scratch / "alone-feed.npz", scratch / "alone-outputs.npz"
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in feed.items()}
    np.savez(feed_path, **arrays)
    assert set(runner.files) <= set(artifact.files)
    request = {
        "code": str(code),
        "packages": sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}),
        "entry": runner.entry,
        "files": {name: str(files / name) for name in runner.files},
        "options": dict(runner.options),
        "feed": str(feed_path),
        "outputs": str(output_path),
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _ALONE],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=scratch,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    with np.load(output_path, allow_pickle=False) as outputs:
        return FoundAlone({name: outputs[name] for name in outputs.files}, said["fingerprint"], said["effective"])
