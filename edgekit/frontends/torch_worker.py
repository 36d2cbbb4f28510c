"""The process that loads a ``.pt2``: bounded, cut off, and gone afterwards. Run as a script; nothing imports it.

One argument: a JSON object {"archive", "out", "root", "memory_bytes", "cpu_s", "trusted"}. It writes ``model.onnx`` and
``cases/<n>.npz`` ("in:<name>", "out:<index>") into ``out``, or ``error.json`` with what the user is to be told.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> int:
    """Loads, exports and answers; returns the exit code."""
    _bound(job["memory_bytes"], job["cpu_s"])
    if job["root"] not in sys.path:
        sys.path.append(job["root"])  # edgekit itself, where it is not installed but lies on somebody's PYTHONPATH
    from edgekit.errors import ModelError

    out = Path(job["out"])
    try:
        _export(Path(job["archive"]), out, trusted=job["trusted"])
    except MemoryError:
        problem = ModelError("PyTorch ran out of memory", why=f"this file may use {job['memory_bytes'] >> 20} MiB")
    except ModelError as refused:
        problem = refused
    else:
        return 0
    (out / "error.json").write_text(json.dumps(problem.to_json()))
    return 1


def _bound(memory_bytes: int, cpu_s: int) -> None:
    """Limits that the kernel holds; a parent that is killed does not leave this process running for ever."""
    for limit, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CPU, cpu_s), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def _export(archive: Path, out: Path, *, trusted: bool) -> None:
    import numpy as np

    from edgekit.frontends import torch_convert

    torch_convert.preload()  # imports look around on this machine; the door is shut after them
    sys.addaudithook(_refuse_network if trusted else _refuse_any)
    program = torch_convert.load_program(archive)
    with torch_convert.quiet():
        torch_convert.check_inference(program)
        torch_convert.write_onnx(program, out / "model.onnx")  # first: what has no ONNX is never run
        cases = torch_convert.parity_cases(program)
    (out / "cases").mkdir()
    for index, (feed, outputs) in enumerate(cases):
        arrays = {f"in:{name}": array for name, array in feed.items()}
        arrays |= {f"out:{position}": array for position, array in enumerate(outputs)}
        np.savez(out / "cases" / f"{index}.npz", **arrays)  # type: ignore[arg-type]  # arrays only, by name


def _refuse_network(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        raise PermissionError(f"{event} is not allowed while a model is read")


def _refuse_any(event: str, arguments: tuple[Any, ...]) -> None:
    """A second line behind the examination of the archive: no other program, no network, no object by its name from a pickle."""
    _refuse_network(event, arguments)
    if event.startswith(("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile", "pickle.find_class")):
        raise PermissionError(f"{event} is not allowed while a model is read")


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
