"""Models that carry a state from call to call: an input that the next call takes from an output of the last one.

ONNX has no sign for it, so it is told by form and name: ``state`` and ``stateN``, ``h`` and ``hn``, ``past_key`` and
``present_key``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .types import TensorSpec

if TYPE_CHECKING:
    from .model import Model

_AS_INPUT = re.compile(r"(^|[._/])(past|prev|previous|init|initial|in|input|cur|old)(?=$|[._/])")
_AS_OUTPUT = re.compile(r"(^|[._/])(present|next|new|final|out|output|cur|updated)(?=$|[._/])")
#: What exporters call any input: ``input_1`` and ``output_1`` are two signals.
_NO_STATE = re.compile(r"(in|input)[._/]?\d*")


def state_pairs(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> dict[str, str]:
    """``{input: output}`` of what looks like a state: one dtype and shape, names that differ by a word for "before" or "after".

    A model with nothing but a state is none: there must be an input and an output besides.
    """
    pairs: dict[str, str] = {}
    for spec in inputs:
        for other in outputs:
            if other.name not in pairs.values() and _same_form(spec, other) and _same_stem(spec.name, other.name):
                pairs[spec.name] = other.name
                break
    return pairs if len(pairs) < len(inputs) and len(pairs) < len(outputs) else {}


def notes_on_inputs(model: Model, *, calibrated: bool, evaluated: bool) -> tuple[str, ...]:
    """What a user should know of a verdict on a model with a state, or with a setting among its inputs."""
    pairs = state_pairs(model.inputs, model.outputs)
    notes = []
    if pairs and not evaluated:
        shown = ", ".join(f"{name} -> {other}" for name, other in pairs.items())
        why = f"the model carries a state ({shown}): agreement is of single steps"
        notes.append(f"{why}; give --eval a function that runs whole sequences")
    settings = [s.name for s in model.inputs if s.dtype.startswith(("int", "uint")) and all(size == 1 for size in s.shape)]
    if settings and not calibrated:
        notes.append(f"what {', '.join(settings)} means is not known, so arbitrary numbers are given: give samples with --calib")
    return tuple(notes)


def _same_form(a: TensorSpec, b: TensorSpec) -> bool:
    if a.dtype != b.dtype or len(a.shape) != len(b.shape) or not a.shape:
        return False
    return all(x == y or isinstance(x, str) or isinstance(y, str) for x, y in zip(a.shape, b.shape, strict=True))


def _same_stem(name: str, other: str) -> bool:
    stem, after = name.lower(), other.lower()
    if re.fullmatch(re.escape(stem) + r"[._]?(n|out|output|next|new)", after):
        return True
    if _NO_STATE.fullmatch(stem):
        return False
    return stem != after and _AS_INPUT.sub(r"\1", stem) == _AS_OUTPUT.sub(r"\1", after)
