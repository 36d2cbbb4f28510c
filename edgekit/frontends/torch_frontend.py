"""The PyTorch frontend: a ``.pt2`` becomes ONNX once, in a process of its own; from there on the model is that ONNX.

The archive is examined and rewritten here, without torch (``torch_archive.py``). A subprocess loads the result, exports it and
notes what PyTorch answers to made-up inputs; this process compares that with ONNX Runtime and puts the ONNX into the cache.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO

import numpy as np
import onnx

from .. import __version__, cache
from ..errors import EdgekitError, MissingExtraError, ModelError, error_from_json
from ..state import work_folder
from ..types import JSON, Array, Artifact, sha256_file
from ..values import canonical
from .graph import all_graphs, all_nodes
from .torch_archive import open_archive, write_checked
from .torch_convert import OPSET
from .torch_parity import check_parity

_WORKER = Path(__file__).with_name("torch_worker.py")
_ROOT = str(Path(__file__).resolve().parents[2])
ONNX_NAME = "model.onnx"


@dataclass(frozen=True)
class Limits:
    """What the process that loads a ``.pt2`` may use. torch itself maps 1 GiB (CPU) to about 6 GiB (with CUDA) of address space."""

    memory_bytes: int = 12 << 30
    memory_per_file_byte: int = 8
    time_s: float = 900.0


@dataclass(frozen=True)
class Exported:
    """An ONNX in edgekit's cache, and what is to be said of it."""

    onnx_path: Path
    notes: tuple[str, ...]


def export_archive(path: Path, *, trusted: bool = False, limits: Limits | None = None) -> Exported:
    """The ONNX of a ``.pt2`` file: from the cache, or exported, compared with PyTorch and put there.

    Args:
        path: what ``torch.export.save`` wrote.
        trusted: the user says that this file may be loaded as code.
        limits: of the process that loads it.

    Raises:
        ModelError: not a program, refused as code, not loadable, not expressible in ONNX, too slow or too large, or its ONNX does
            not say what PyTorch says.
        MissingExtraError: torch or onnxscript is not installed.
        OutputError: the cache cannot be written.
    """
    limits = limits or Limits()
    with open_archive(path):
        pass  # what is no program is said before anything else, with or without torch
    key = {**export_key(), "file": sha256_file(path), "trusted": trusted}

    def build(files: Path) -> Artifact:
        with work_folder() as scratch:
            checked = scratch / "checked.pt2"
            write_checked(path, checked, trusted=trusted)
            require_torch(f"reading {path.name}")
            _run_worker(checked, scratch, path, limits, trusted=trusted)
            difference = check_parity(scratch / ONNX_NAME, _cases(scratch / "cases"), path.name)
            return keep(scratch / ONNX_NAME, files, difference)

    artifact, folder, _ = cache.get_or_build(key, build)
    return Exported(folder / artifact.entry, (note(artifact),))


def require_torch(purpose: str) -> None:
    """Raises:
    MissingExtraError: torch or onnxscript (which torch.onnx needs) is not installed.
    """
    for package in ("torch", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "torch", purpose)


def export_key() -> dict[str, JSON]:
    """What an export depends on besides the program."""
    versions: dict[str, JSON] = {}
    for package in ("torch", "onnxscript"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {"format": "edgekit-torch-export/1", "edgekit": __version__, "opset": OPSET, **versions}


def keep(source: Path, files: Path, difference: float, *, name: str = ONNX_NAME) -> Artifact:
    """Moves an exported ONNX into ``files``, without the exporter's remarks: they name folders and lines of its author's machine.

    Args:
        source: the exporter's file; large weights lie beside it.
        difference: from PyTorch, as :func:`torch_parity.check_parity` found it.
        name: of the file in ``files``.
    """
    proto = onnx.load(source, load_external_data=False)
    for remarked in (proto, *proto.functions, *all_nodes(proto)):
        remarked.ClearField("metadata_props")
        remarked.ClearField("doc_string")
    for graph in all_graphs(proto):  # bodies of branches, too
        for remarked in (graph, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
            remarked.ClearField("metadata_props")
            remarked.ClearField("doc_string")
    (files / name).write_bytes(proto.SerializeToString())
    data = source.with_name(source.name + ".data")
    if data.exists():
        data.rename(files / data.name)
    names = sorted(entry.name for entry in files.iterdir())
    provenance: dict[str, JSON] = {"difference": difference, "torch": metadata.version("torch")}
    return Artifact({each: sha256_file(files / each) for each in names}, name, (), provenance=provenance)


def note(artifact: Artifact) -> str:
    """One sentence on where the ONNX comes from and how close it is."""
    found = artifact.provenance
    return (
        f"exported from PyTorch {found['torch']} to ONNX opset {OPSET}; on synthetic inputs its outputs lie within "
        f"{found['difference']:.1g} of PyTorch's, as a fraction of the largest value"
    )


def _run_worker(archive: Path, scratch: Path, path: Path, limits: Limits, *, trusted: bool) -> None:
    job = {
        "archive": str(archive),
        "out": str(scratch),
        "root": _ROOT,
        "memory_bytes": limits.memory_bytes + limits.memory_per_file_byte * path.stat().st_size,
        "cpu_s": int(limits.time_s * max(os.cpu_count() or 1, 1)) + 1,
        "trusted": trusted,
    }
    command = [sys.executable, "-I", "-B", str(_WORKER), canonical(job).decode()]
    with (scratch / "stderr").open("w+b") as log:
        child = subprocess.Popen(
            command,
            env=_environment(scratch, trusted=trusted),
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            code = child.wait(limits.time_s)
        except subprocess.TimeoutExpired as problem:
            raise ModelError(
                f"PyTorch did not export {path.name} within {limits.time_s:g} s", hint="export it to .onnx yourself, and give that"
            ) from problem
        finally:  # also on Ctrl-C; the session, because what is trusted may have started more
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        if code != 0:
            raise _failure(scratch, path, code, log)


def _environment(scratch: Path, *, trusted: bool) -> dict[str, str]:
    """Nothing of the user's but where libraries are; caches that torch may write go away with the scratch folder."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    own = {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "USER": "edgekit",
        "LC_ALL": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "2",
        "MALLOC_ARENA_MAX": "2",
    }
    if not trusted:
        own["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # torch.export.load falls back to a full unpickling otherwise
    return kept | own


def _failure(scratch: Path, path: Path, code: int, log: IO[bytes]) -> EdgekitError:
    """What the process said before it ended; its last words on stderr where it left no document."""
    document = scratch / "error.json"
    if document.is_file():
        said = error_from_json(json.loads(document.read_text()))
        return ModelError(f"{path.name}: {said.what}", why=said.why, hint=said.hint)
    log.seek(max(log.seek(0, os.SEEK_END) - 4096, 0))
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    last = "".join(character for character in (lines[-1] if lines else "") if character.isprintable())[:300]
    ended = f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"
    return ModelError(
        f"the process that loaded {path.name} in PyTorch failed",
        why=": ".join(filter(None, (ended, last))),
        hint="it may need more memory than it may use; export it to .onnx yourself, and give that",
    )


def _cases(folder: Path) -> Iterator[tuple[dict[str, Array], list[Array]]]:
    for file in sorted(folder.iterdir()):
        with np.load(file, allow_pickle=False) as arrays:
            outputs = sorted((int(name[4:]), name) for name in arrays.files if name.startswith("out:"))
            feed = {name[3:]: arrays[name] for name in arrays.files if name.startswith("in:")}
            yield feed, [arrays[name] for _, name in outputs]
