"""Reading an ``.onnx`` file: is it whole, is it ONNX, is there anything in it that cannot be worked with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from ..errors import ModelError
from .graph import all_nodes, opset_of
from .onnx_session import unknown_operators

OLDEST_OPSET = 9
_LARGEST_FILE_BYTES = (1 << 31) - 1  # protobuf's limit for one message
_STANDARD_DOMAINS = ("", "ai.onnx.ml")  # the domains that the onnx package describes
_RUNTIME_DOMAINS = ("com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc", "ai.onnx.preview.training")


def parse(path: Path) -> onnx.ModelProto:
    """The model in ``path``; external data are not touched.

    Raises:
        ModelError: not readable, cut off, not ONNX, an opset before 9, or operators that ONNX Runtime does not know.
    """
    proto = _decode(path)
    if not _is_text(proto):
        raise ModelError(f"{path.name} is damaged", why="a name in it is not text", hint="copy or export it again")
    if not proto.graph.node and proto.graph.input and proto.graph.output:
        raise ModelError(
            f"the graph of {path.name} has no operators",
            why="its outputs are its inputs or constants",
            hint="there is nothing to make faster; export the model with its layers",
        )
    if not proto.HasField("graph") or not proto.graph.node:
        raise ModelError(f"{path.name} holds no graph", why="it is empty, cut off, or not an ONNX model")
    if not proto.graph.output:
        raise ModelError(f"{path.name} has no outputs", why="it is cut off, or not a model for inference")
    _check_opset(proto, path)
    _check_operators(proto)
    return proto


def _decode(path: Path) -> onnx.ModelProto:
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise ModelError(
                f"{path.name} is over 2 GiB", why="an ONNX file cannot be", hint="export it with its weights as external data"
            )
        data = path.read_bytes()
    except OSError as problem:
        raise ModelError(f"cannot read {path}", why=problem.strerror or str(problem)) from problem
    if data.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{path.name} is a Git LFS pointer, not the model", why="the file itself was not fetched", hint="run `git lfs pull`"
        )
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as problem:
        raise ModelError(
            f"{path.name} is not a whole ONNX file",
            why="it is empty, cut off, or in another format" if data else "it is empty",
            hint="copy or export it again",
        ) from problem
    return proto


def _is_text(message: Any) -> bool:
    """Whether all names in ``message`` are text: protobuf hands out bytes, or raises, where one is not UTF-8."""
    if isinstance(message, onnx.TensorProto):  # its values are not looked at: they may be large
        return isinstance(message.name, str) and all(_is_text(entry) for entry in message.external_data)
    try:
        fields = message.ListFields()
    except UnicodeDecodeError:
        return False
    for field, value in fields:
        values = [value] if isinstance(value, (str, bytes)) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING and not all(isinstance(text, str) for text in values):
            return False
        if field.type == field.TYPE_MESSAGE and not all(_is_text(inner) for inner in values):
            return False
    return True


def _check_opset(proto: onnx.ModelProto, path: Path) -> None:
    if len({entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")}) > 1:
        raise ModelError(f"{path.name} declares two opsets for the standard operators", hint="export the model again")
    opset = opset_of(proto)
    if opset is None:
        raise ModelError(
            f"{path.name} does not say which opset it is written for",
            why="the file is cut off, or older than ONNX 1.0",
            hint="copy or export it again",
        )
    if opset < OLDEST_OPSET:
        raise ModelError(
            f"{path.name} is written for opset {opset}",
            why=f"opsets before {OLDEST_OPSET} are not supported",
            hint="export it again with opset 17",
        )


def _check_operators(proto: onnx.ModelProto) -> None:
    functions = {(function.domain, function.name) for function in proto.functions}
    imported = {entry.domain or "ai.onnx" for entry in proto.opset_import} | {"ai.onnx"}
    unknown: dict[str, None] = {}  # a set that keeps the order
    for node in all_nodes(proto):
        if not any(node.output):
            raise ModelError(f"a {node.op_type} node has no outputs", why="the file is damaged", hint="copy or export it again")
        domain = "" if node.domain == "ai.onnx" else node.domain
        if (node.domain, node.op_type) in functions:
            continue
        known = domain in _RUNTIME_DOMAINS or (domain in _STANDARD_DOMAINS and onnx.defs.has(node.op_type, domain))
        if not known or (domain or "ai.onnx") not in imported:
            unknown[f"{domain or 'ai.onnx'}.{node.op_type}"] = None
    if unknown:
        shown = [*unknown][:8]
        if len(unknown) > len(shown):
            shown.append(f"and {len(unknown) - len(shown)} more")
        raise unknown_operators(shown)
