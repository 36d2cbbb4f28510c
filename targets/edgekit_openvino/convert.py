"""From ONNX to OpenVINO's own format (IR), with names that are the same in every process.

The conversion numbers what it makes itself with a counter of the process ("Constant_10222"), so the same model gets other names
each time, and NNCF refers to operations by name. So a model is converted once, written with canonical names, and read back;
everything else works on that.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from edgekit.errors import ModelError, OutputError
from edgekit.frontends.graph import SMALL_TENSOR_BYTES, node_id, without_weights
from edgekit.state import work_folder, write_file
from edgekit.types import TensorMap

from . import vendor
from .half_precision import keep_in_float

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model


@dataclass(frozen=True)
class Converted:
    """``ir``: the ``openvino.Model`` in full precision. ``io``: how the model's tensors are named in it. ``graph``: the normalised
    ONNX that it was made from, without large weights.
    """

    ir: Any
    io: tuple[TensorMap, ...]
    graph: onnx.GraphProto


def convert(model: Model) -> Converted:
    """The model in OpenVINO's own format.

    Raises:
        ModelError: OpenVINO cannot convert it; names the operators.
    """
    from edgekit.frontends import onnx_frontend

    proto = normalised(model)
    names = {value.name for values in (proto.graph.node, proto.graph.initializer, proto.graph.input) for value in values}
    io = _describe(model, proto)
    with work_folder() as work:
        source = work / "model.onnx"
        onnx_frontend.save(proto, source)
        with vendor.quiet(), vendor.as_model_errors("OpenVINO cannot convert this model"):
            converted = vendor.openvino().convert_model(source)
        _check_ports(converted, io)
        path = work / "model.xml"
        write(converted, path, names)  # in full precision: OpenVINO's default halves the weights
        return Converted(read(path), io, without_weights(proto, over_bytes=SMALL_TENSOR_BYTES)[0].graph)


def normalised(model: Model) -> onnx.ModelProto:
    """The normalised ONNX, whose NodeIds candidates refer to; the model in its own opset where it cannot be raised.

    Nodes are named by their NodeIds, so that operations are too. Every output is a tensor of its own: one that is an input as well
    gets another name.
    """
    from edgekit.frontends import onnx_frontend

    try:
        proto = onnx_frontend.read_raised(model)
    except ModelError:
        proto = onnx_frontend.read_clean(model)
    inputs = {value.name for value in proto.graph.input}
    taken = {name for node in proto.graph.node for name in (*node.input, *node.output)} | inputs
    for output in proto.graph.output:
        if output.name in inputs:
            name = output.name
            while name in taken:
                name += "_output"
            taken.add(name)
            proto.graph.node.add(op_type="Identity", name=name, input=[output.name], output=[name])
            output.name = name
    for node in proto.graph.node:
        node.name = node_id(node)
    return proto


def read(path: Path) -> Any:
    """An IR from disk, held in memory: the files may go."""
    ov = vendor.openvino()
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})
    with vendor.as_model_errors("OpenVINO cannot read the model that was written"):
        return core.read_model(path)


def check(path: Path) -> None:
    """Load what was written once, so that a file that does not load never leaves the build.

    Raises:
        ModelError: with what the runtime says.
    """
    with vendor.quiet(), vendor.as_model_errors("OpenVINO does not accept the model that was built"):
        core = vendor.openvino().Core()
        core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})


def write(ir: Any, path: Path, known: Collection[str], *, half_weights: bool = False, in_float: Collection[str] = ()) -> list[Path]:
    """Save ``ir`` as ``path`` (``.xml``) and the weights beside it (``.bin``), with canonical names.

    Args:
        known: names that stay; so do names made from them ("conv1/fq_weights_1"). All others become "Type.index", by position.
        half_weights: store float32 weights as float16.
        in_float: operations that no precision hint changes.

    Returns:
        The two files.

    Raises:
        OutputError: no space or no permission.
    """
    ov = vendor.openvino()
    try:
        with vendor.quiet():
            ov.save_model(ir, path, compress_to_fp16=half_weights)
    except RuntimeError as problem:  # the library has no other class, and fails here only when it cannot write
        raise OutputError(f"cannot write {path.name}", why=str(problem).strip().splitlines()[-1][:300]) from problem
    write_file(path, _canonical(path, known, in_float))
    return [path, path.with_suffix(".bin")]


def _canonical(path: Path, known: Collection[str], in_float: Collection[str]) -> bytes:
    """The text of an IR without what differs between processes: names from a counter, versions, options of the conversion."""
    tree = ElementTree.parse(path)  # noqa: S314 - written by OpenVINO a moment ago
    root = tree.getroot()
    root.set("name", "model")
    for about in root.findall("rt_info"):
        root.remove(about)
    keep_in_float(root, in_float)
    taken = set(known)
    for index, layer in enumerate(root.iter("layer")):
        name = layer.get("name", "")
        if not _is_known(name, known):
            name = f"{layer.get('type')}.{index}"
            while name in taken:
                name += "_"
            layer.set("name", name)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _is_known(name: str, known: Collection[str]) -> bool:
    if name in known:
        return True
    return any(name[: found.start()] in known for found in re.finditer("/", name))


def _describe(model: Model, proto: onnx.ModelProto) -> tuple[TensorMap, ...]:
    outputs = [replace(spec, name=value.name) for spec, value in zip(model.outputs, proto.graph.output, strict=True)]
    return (
        *(TensorMap("input", spec, spec) for spec in model.inputs),
        *(TensorMap("output", spec, other) for spec, other in zip(model.outputs, outputs, strict=True)),
    )


def _check_ports(ir: Any, io: tuple[TensorMap, ...]) -> None:
    """What was converted has the tensors that the model has, by name and type.

    Raises:
        ModelError: one is missing or has another type.
    """
    from .device import DTYPES

    for role, ports in (("input", ir.inputs), ("output", ir.outputs)):
        want = {(m.artifact.name, m.artifact.dtype) for m in io if m.role == role}
        got = {(name, DTYPES.get(p.get_element_type().get_type_name(), "?")) for p in ports for name in p.get_names()}
        if len(ports) != len(want) or not want <= got:
            raise ModelError(
                f"OpenVINO changes the {role}s of this model", why=f"{sorted(want)} became {sorted(got)}", hint="use another target"
            )
