"""ONNX Runtime with chosen tensors of a model as its outputs, in memory that does not grow with feeds.

What a session puts out stays allocated until the run ends, asked for or not; so tensors that are too large together are put out by
different sessions. Large weights stand in a file that all sessions map.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..errors import DataError, ModelError
from ..frontends.graph import weights_as_inputs
from ..frontends.onnx_save import save
from ..frontends.onnx_session import plain_reason
from ..frontends.tensors import declared_bytes
from ..state import work_folder
from ..types import Array, Feed

MAX_OUTPUT_BYTES = 128_000_000
_INLINE_BYTES = 32_000_000  # of weights: above, a file that is mapped costs less than the copies that handing them over makes
_UNKNOWN_BYTES = 16_000_000  # what a tensor is taken to weigh where no shape can be inferred
#: A model, or what makes it: then nothing but the file holds its large weights while feeds are run.
ModelSource = onnx.ModelProto | Callable[[], onnx.ModelProto]
_Shapes = tuple[tuple[str, tuple[int, ...]], ...]


class ExposedModel:
    """Runs a model and hands out its tensors. Made by :func:`expose`."""

    def __init__(self, graph: onnx.ModelProto, folder: Path | None, tensors: Sequence[str], max_bytes: int) -> None:
        self._graph = graph
        self._folder = folder
        self._tensors = tuple(tensors)
        self._max_bytes = max_bytes
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._groups: dict[_Shapes, list[tuple[str, ...]]] = {}
        self._fits_whole = -1  # input elements up to which all tensors go into one group

    def run(self, feed: Feed) -> Iterator[dict[str, Array]]:
        """Every tensor asked for and its value, in groups of at most ``max_bytes``. The caller drops one before it takes the next.

        Raises:
            DataError: the model cannot take this feed.
            ModelError: ONNX Runtime does not load the model with these outputs.
        """
        for names in self._groups_for(feed):
            if names not in self._sessions:
                self._sessions[names] = self._open(names)
            yield _run(self._sessions[names], names, feed)

    def _groups_for(self, feed: Feed) -> list[tuple[str, ...]]:
        size = sum(array.size for array in feed.values())
        if self._tensors and size <= self._fits_whole:  # where every feed has a shape of its own, inferring each would take long
            return [self._tensors]
        shapes = tuple(sorted((name, array.shape) for name, array in feed.items()))
        if shapes not in self._groups:
            self._groups[shapes] = group(tensor_bytes(self._graph, shapes, self._tensors), self._max_bytes)
        if len(self._groups[shapes]) == 1:
            self._fits_whole = size
        return self._groups[shapes]

    def _open(self, names: Sequence[str]) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = n_cores()
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # counting needs the core that would wait
        options.add_session_config_entry("session.disable_quant_qdq", "1")  # an integer kernel has no float tensors to look at
        if self._folder is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self._folder))
        own = [*self._graph.graph.output]
        del self._graph.graph.output[:]
        known = {output.name: output for output in own}
        self._graph.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in names)
        content = self._graph.SerializeToString()
        del self._graph.graph.output[:]
        self._graph.graph.output.extend(own)
        try:
            return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # onnxruntime's exceptions have no common base class
            raise ModelError("ONNX Runtime does not put out the tensors to calibrate", why=plain_reason(problem)) from problem


@contextlib.contextmanager
def expose(source: ModelSource, tensors: Sequence[str], *, max_bytes: int = MAX_OUTPUT_BYTES) -> Iterator[ExposedModel]:
    """``source`` (weights loaded, any size; not changed) with ``tensors``, outputs of its main graph's nodes, put out.

    Raises:
        ModelError: the model has no such tensor.
        OutputError: large weights cannot be written to the folder for scratch files.
    """
    model = source() if callable(source) else source
    made = {name for node in model.graph.node for name in node.output if name}
    inputs = {value.name for value in model.graph.input}
    tensors = [name for name in tensors if name not in inputs]  # those are known before it runs
    missing = [name for name in tensors if name not in made]
    if missing:
        raise ModelError(
            f"the model computes no tensor {missing[0]!r}", why="only inputs and outputs of the main graph's operators have ranges"
        )
    with contextlib.ExitStack() as stack:
        folder = None
        if sum(declared_bytes(tensor) for tensor in model.graph.initializer) > _INLINE_BYTES:
            folder = stack.enter_context(work_folder())
            path = save(model, folder / "model.onnx", external_over_bytes=0)[0]
            graph = onnx.load(path, load_external_data=False)
        else:
            graph = onnx.ModelProto()
            graph.CopyFrom(model)
        del model
        yield ExposedModel(graph, folder, tensors, max_bytes)


def _run(session: Any, names: Sequence[str], feed: Feed) -> dict[str, Array]:
    try:
        return dict(zip(names, session.run(list(names), dict(feed)), strict=True))
    except Exception as problem:  # onnxruntime's exceptions have no common base class
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feed.items())
        raise DataError(f"the model cannot be calibrated on {shapes}", why=plain_reason(problem)) from problem


def group(sizes_bytes: Mapping[str, int], max_bytes: int) -> list[tuple[str, ...]]:
    """The tensors in their order, cut where a group would exceed ``max_bytes``; one that does so alone has a group of its own."""
    groups: list[list[str]] = []
    used = 0
    for name, size in sizes_bytes.items():
        if not groups or used + size > max_bytes:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += size
    return [tuple(names) for names in groups]


def tensor_bytes(graph: onnx.ModelProto, shapes: _Shapes, tensors: Sequence[str]) -> dict[str, int]:
    """{tensor: its size at these input shapes}, by shape inference; a guess where that does not know."""
    light, _ = weights_as_inputs(graph)
    given = dict(shapes)
    for value in light.graph.input:
        if value.name in given and value.type.HasField("tensor_type"):
            dims = [onnx.TensorShapeProto.Dimension(dim_value=size) for size in given[value.name]]
            value.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto(dim=dims))
    for values in (light.graph.value_info, light.graph.output):
        for value in values:
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")  # those of other inputs
    try:
        light = onnx.shape_inference.infer_shapes(light, data_prop=True)
    except onnx.shape_inference.InferenceError:  # only the sizes are wanted, and the guess will do
        return dict.fromkeys(tensors, _UNKNOWN_BYTES)
    found = {value.name: _size_bytes(value) for value in (*light.graph.value_info, *light.graph.output)}
    return {name: found.get(name) or _UNKNOWN_BYTES for name in tensors}


def _size_bytes(value: onnx.ValueInfoProto) -> int | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    item = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).itemsize
    return item * int(np.prod([dim.dim_value for dim in tensor.shape.dim], dtype=np.int64))


def n_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
