"""Number formats: what a strongly typed network may mix, and which GPU has which format."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from edgekit.targets import RuleFinding

from .findings import error, warning
from .graph_view import FLOATS, GraphView
from .limits import LEAST_OPSET, Limits, dotted

_T = onnx.TensorProto
#: Operators whose floating-point inputs must be of one type.
_SAME_TYPE = frozenset(
    ["Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "PRelu", "Concat", "Min", "Max", "Sum", "Where"]
)
_FP8 = {_T.FLOAT8E4M3FN, _T.FLOAT8E5M2, _T.FLOAT8E4M3FNUZ, _T.FLOAT8E5M2FNUZ}
_MOST_DIMENSIONS = 8


def mixed_types(view: GraphView, node: onnx.NodeProto) -> Iterator[RuleFinding]:
    if node.op_type not in _SAME_TYPE:
        return
    kinds = {kind for name in node.input if name and (kind := view.type_of(name)) in FLOATS}
    if len(kinds) > 1:
        names = " and ".join(sorted(_T.DataType.Name(kind).lower() for kind in kinds if kind is not None))
        yield error("mixed-types", node, f"its inputs are {names}", "cast them to one type")


def formats(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    """Formats that the device's GPU does not have. Nothing is said where the GPU is not known."""
    kinds = {view.type_of(name) for name in (*node.input, *node.output) if name}
    gpu = dotted(limits.capability)
    if _T.DOUBLE in kinds:
        yield warning("double", node, "TensorRT computes float64 in float32", "export the model in float32")
    if limits.capability is None:
        return
    if kinds & _FP8 and limits.capability < (8, 9):
        yield error("fp8-hardware", node, f"float8 needs compute capability 8.9, and the device has {gpu}", "int8")
    if _T.BFLOAT16 in kinds and limits.capability < (8, 0):
        yield error("bfloat16-hardware", node, f"bfloat16 needs compute capability 8.0, and the device has {gpu}", "float16")
    if _T.INT4 in kinds and limits.capability < (8, 0):
        yield error("int4-hardware", node, f"int4 weights need compute capability 8.0, and the device has {gpu}", "int8")
    if _T.INT8 in kinds and node.op_type == "DequantizeLinear" and not limits.has_int8:
        yield error("int8-hardware", node, f"a GPU of compute capability {gpu} has no int8 arithmetic", "float16")


def dimensions(view: GraphView, node: onnx.NodeProto) -> Iterator[RuleFinding]:
    for name in node.output:
        shape = view.shape_of(name) if name else None
        if shape is not None and len(shape) > _MOST_DIMENSIONS:
            yield error(
                "rank", node, f"{name} has {len(shape)} dimensions, at most {_MOST_DIMENSIONS} are there", "fold some together"
            )


def whole_file(view: GraphView, limits: Limits) -> Iterator[RuleFinding]:
    """Opset, and types of what goes in and out."""
    opset = next((entry.version for entry in view.model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < LEAST_OPSET:
        yield error("opset", None, f"it has opset {opset}, and TensorRT reads from {LEAST_OPSET} on", "export it again")
    elif opset > limits.max_opset and limits.release is not None:
        what = f"it has opset {opset}, and TensorRT {dotted(limits.release)} on the device reads up to {limits.max_opset}"
        yield error("opset", None, what, f"export with opset {limits.max_opset}")
    elif opset > limits.max_opset:
        what = f"it has opset {opset}, and older releases of TensorRT read up to {limits.max_opset}"
        yield warning("opset", None, what, "check with the device at hand, or export with that opset")
    for value in (*view.graph.input, *view.graph.output):
        kind = value.type.tensor_type.elem_type
        if kind in (_T.STRING, _T.COMPLEX64, _T.COMPLEX128):
            name = _T.DataType.Name(kind).lower()
            yield error("type", None, f"{value.name} is {name}, which TensorRT does not have", "do that part outside the model")
