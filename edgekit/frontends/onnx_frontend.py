"""The ONNX frontend: what ``load_model`` learns of an ``.onnx`` file, and the model as the rest of edgekit sees it.

Two forms: *clean* (its own opset, exporters' quirks removed) is what runs; *raised* (clean at opset 17 or later) is the normalised
ONNX, whose NodeIds candidates refer to and which quantizers work on. The user's file is only ever read.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from ..errors import ModelError
from ..types import TensorSpec
from .external_data import check_external_data, load_external_data
from .fingerprint import fingerprint, tensor_digests
from .graph import note_on_bodies, note_on_half_precision, opset_of
from .onnx_clean import clean
from .onnx_file import parse
from .onnx_interface import drop_stale_shapes, forget_shapes, read_inputs, read_outputs, set_shapes
from .onnx_raise import raise_opset
from .onnx_save import save
from .onnx_session import quiet_session, trial_runs
from .quantized import quantized_by

if TYPE_CHECKING:
    from ..model import Model

__all__ = ["OnnxFacts", "read_clean", "read_facts", "read_raised", "save"]

_VALUES = "or leave --shape out where what an input means decides what may be run: samples (--calib) then give the sizes"
_last_raised: dict[str, onnx.ModelProto] = {}  # the last one, by fingerprint: callers ask for it once a candidate
_last_raised_lock = threading.Lock()


@dataclass(frozen=True)
class OnnxFacts:
    """What an ``.onnx`` file says of itself; the fields of :class:`edgekit.model.Model`."""

    fingerprint: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    size_bytes: int
    quantized: str | None
    notes: tuple[str, ...]


def read_facts(path: Path, shape: Mapping[str, tuple[int, ...]]) -> OnnxFacts:
    """Read and check ``path`` and load it once in ONNX Runtime. External weights are streamed, never held.

    Raises:
        ModelError: the file is broken, unsafe, or not supported, or does not work at the overridden shape.
        UsageError: ``shape`` does not fit the inputs.
    """
    proto = parse(path)
    external_bytes = check_external_data(proto, path.parent)
    digests = tensor_digests(proto, path.parent)
    identity = fingerprint(proto, digests, shape)
    opset = opset_of(proto)
    assert opset is not None, "parse() refuses models without an opset"
    quantized = quantized_by(proto)
    in_bodies = note_on_bodies(proto)
    notes = clean(proto, dict(digests))
    in_half = note_on_half_precision(proto) if quantized is None else ""
    inputs = read_inputs(proto.graph, shape)
    set_shapes(proto.graph, inputs)
    declared = onnx.GraphProto(output=proto.graph.output, value_info=proto.graph.value_info)
    forget_shapes(proto.graph)
    session = quiet_session(proto, path.parent)
    if shape:
        _check_runs(session, inputs, shape)
    outputs, wrong = read_outputs(declared, inputs, session)
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(declared.value_info)
    stale = drop_stale_shapes(proto, is_overridden=bool(shape))
    return OnnxFacts(
        fingerprint=identity,
        inputs=inputs,
        outputs=outputs,
        opset=opset,
        size_bytes=path.stat().st_size + sum(external_bytes.values()),
        quantized=quantized,
        notes=tuple(note for note in (*notes, stale, *wrong, in_bodies, in_half) if note),
    )


def _check_runs(session: object, inputs: tuple[TensorSpec, ...], shape: Mapping[str, tuple[int, ...]]) -> None:
    """At an overridden shape the model must not only load but run: a graph that needs the old size fails no earlier."""
    failures: list[ModelError] = []
    if next(trial_runs(session, inputs, failures), None) is not None:
        return
    given = ", ".join(f"{name}={'x'.join(map(str, sizes))}" for name, sizes in shape.items())
    raise ModelError(
        f"the model does not work at --shape {given}",
        why=failures[0].why,
        hint=f"give a shape that the model was made for; {_VALUES}",
    ) from failures[0]


def read_clean(model: Model) -> onnx.ModelProto:
    """The model as it computes, without the quirks of its exporter: weights loaded, as initializers that are not inputs, equal ones
    shared, shapes those of ``model.inputs`` and ``model.outputs``, every node named. Its opset is untouched.

    The result is the caller's own.

    Raises:
        ModelError: the file has changed since ``load_model``, or cannot be read any more.
    """  # fmt: skip
    folder = model.onnx_path.parent
    proto = parse(model.onnx_path)
    check_external_data(proto, folder)
    digests = tensor_digests(proto, folder)
    if fingerprint(proto, digests, model.shape) != model.fingerprint:
        raise ModelError(
            f"{model.path.name} has changed while edgekit was working with it", hint="run again when nothing writes to it"
        )
    load_external_data(proto, folder)
    clean(proto, dict(digests))
    set_shapes(proto.graph, model.inputs)
    drop_stale_shapes(proto, is_overridden=bool(model.shape))
    set_shapes(proto.graph, model.outputs)
    return proto


def read_raised(model: Model) -> onnx.ModelProto:
    """The normalised ONNX: :func:`read_clean` at opset 17 or later, compared with it in ONNX Runtime.

    The last result is kept; the caller gets a copy of its own.

    Raises:
        ModelError: an operator cannot be raised; names it.
    """
    with _last_raised_lock:
        if model.fingerprint not in _last_raised:
            raised = raise_opset(read_clean(model), model.inputs)
            _last_raised.clear()
            _last_raised[model.fingerprint] = raised
        copy = onnx.ModelProto()
        copy.CopyFrom(_last_raised[model.fingerprint])
        return copy
