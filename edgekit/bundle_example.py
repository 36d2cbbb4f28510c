"""Runs this bundle's artifact on its golden input and compares the result with the golden output.

Needs Python 3.8+, numpy and the runtime that `edgekit.json` names under runner.requires; edgekit itself is not needed.
To run your own data, replace `golden_inputs` by arrays under the same names: they are those of the original model.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent


def to_artifact(array: Any, tensor: dict[str, Any]) -> Any:
    """The original model's layout and dtype -> the artifact's."""
    if tensor["permutation"] is not None:
        array = array.transpose(tensor["permutation"])
    dtype = np.dtype(tensor["artifact"]["dtype"])
    if tensor["scale"] is not None:
        limits = np.iinfo(dtype)
        array = np.clip(np.rint(array / tensor["scale"]) + (tensor["zero_point"] or 0), limits.min, limits.max)
    return np.asarray(array, dtype=dtype, order="C")


def to_original(array: Any, tensor: dict[str, Any]) -> Any:
    """The artifact's layout and dtype -> the original model's."""
    if tensor["scale"] is not None:
        array = (array.astype(np.float64) - (tensor["zero_point"] or 0)) * tensor["scale"]
    if tensor["permutation"] is not None:
        array = array.transpose(np.argsort(tensor["permutation"]))
    return np.asarray(array, dtype=tensor["original"]["dtype"], order="C")


def is_close(output: Any, want: Any, tolerance: float) -> bool:
    """Within ``tolerance`` of the largest finite magnitude; what is not finite must be the same on both sides."""
    if output.shape != want.shape:
        return False
    if output.dtype.kind not in "fiu":
        return bool((output == want).all())
    output, want = output.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(want)
    odd, wanted_odd = output[~finite], want[~finite]
    if not ((odd == wanted_odd) | (np.isnan(odd) & np.isnan(wanted_odd))).all():
        return False
    error = np.abs(output[finite] - want[finite]).max(initial=0.0)
    return bool(error <= tolerance * max(np.abs(want[finite]).max(initial=0.0), 1e-12))


def main() -> int:
    """Load, run, compare; returns the exit code."""
    manifest = json.loads((HERE / "edgekit.json").read_text(encoding="utf-8"))
    artifact, runner, golden = manifest["artifact"], manifest["runner"], manifest["golden"]

    sys.dont_write_bytecode = True  # a bundle holds only the files that it lists
    sys.path.insert(0, str(HERE / "runner"))
    device = importlib.import_module(runner["entry"])

    session = device.Session({name: str(HERE / "artifact" / name) for name in runner["files"]}, runner["options"])
    golden_inputs = np.load(str(HERE / golden["inputs"]), allow_pickle=False)
    feeds = {
        t["artifact"]["name"]: to_artifact(golden_inputs[t["original"]["name"]], t) for t in artifact["io"] if t["role"] == "input"
    }
    raw = session.run(feeds)
    session.close()
    outputs = {t["original"]["name"]: to_original(raw[t["artifact"]["name"]], t) for t in artifact["io"] if t["role"] == "output"}

    expected = np.load(str(HERE / golden["outputs"]), allow_pickle=False)
    agrees = True
    for name, output in outputs.items():
        want = expected[name]
        same = is_close(output, want, golden["tolerance"])
        agrees = agrees and same
        sys.stdout.write(
            f"{name}: {output.dtype} {list(output.shape)}, {'agrees with' if same else 'DIFFERS FROM'} the golden output\n"
        )
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
