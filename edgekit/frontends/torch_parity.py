"""Whether an exported ONNX says what PyTorch said: ONNX Runtime on the same inputs, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from ..errors import ModelError
from ..types import Array
from .onnx_session import quiet_session, run

#: The largest difference that is allowed, as a fraction of the output's largest magnitude. Different kernels differ by 1e-6.
TOLERANCE = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-4}


def check_parity(path: Path, cases: Iterable[tuple[Mapping[str, Array], Sequence[Array]]], name: str) -> float:
    """Compare ``path`` in ONNX Runtime with what PyTorch answered.

    Args:
        cases: ({input: array}, PyTorch's outputs in order); at least one.
        name: what the model is called in an error.

    Returns:
        The largest difference found, as a fraction of the largest magnitude of its output.

    Raises:
        ModelError: another number of outputs, another shape, or a difference above the tolerance; says by how much.
    """
    session = quiet_session(onnx.load(path, load_external_data=False), path.parent)
    inputs = [value.name for value in session.get_inputs()]
    worst = 0.0
    for feed, expected in cases:
        missing = [each for each in inputs if each not in feed]
        if missing:
            raise _unequal(name, f"the ONNX has an input {missing[0]!r} that the program does not have")
        outputs = run(session, {each: feed[each] for each in inputs})
        if len(outputs) != len(expected):
            raise _unequal(name, f"PyTorch returns {len(expected)} tensors, the ONNX {len(outputs)}")
        for (output, found), wanted in zip(outputs.items(), expected, strict=True):
            if found.shape != wanted.shape:
                raise _unequal(name, f"output {output!r} is {list(wanted.shape)} in PyTorch and {list(found.shape)} in the ONNX")
            difference = relative_difference(found, wanted)
            if difference > TOLERANCE.get(str(found.dtype), 0.0):
                shapes = ", ".join(f"{key} {list(array.shape)}" for key, array in feed.items())
                raise _unequal(name, f"output {output!r} differs by {difference:.2g} of its largest value, on {shapes}")
            worst = max(worst, difference)
    return worst


def relative_difference(found: Array, wanted: Array) -> float:
    """The largest difference as a fraction of ``wanted``'s largest magnitude; infinite where only one of them is a number."""
    if not found.size:
        return 0.0
    left, right = found.astype(np.float64), wanted.astype(np.float64)
    finite = np.isfinite(right)
    if not np.array_equal(finite, np.isfinite(left)) or not np.array_equal(left[~finite], right[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    peak = float(np.abs(right[finite]).max())
    return float(np.abs(left[finite] - right[finite]).max()) / max(peak, 1e-6)


def _unequal(name: str, why: str) -> ModelError:
    return ModelError(
        f"the ONNX that PyTorch exported from {name} does not say what PyTorch says",
        why=why,
        hint="a dropout or a random operator may be active (call model.eval() before the export), or the exporter has a fault: "
        "export with another version of torch, or give an .onnx that you have checked",
    )
