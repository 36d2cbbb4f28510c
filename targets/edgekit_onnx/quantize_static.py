"""Static int8 (Q/DQ) by ``onnxruntime.quantization.quantize_static``, with its known traps closed.

- Only convolutions and products with constant weights are quantized. Softmax, LayerNorm, element-wise operators and products of two
  activations stay float: quantizing a final Softmax alone costs 17 dB. Depthwise convolutions stay float too: on a text recogniser
  that was both faster (1.43 instead of 1.23 times float) and closer to float (16.2 instead of 11.7 dB).
- A ReLU that directly follows is absorbed into the output range of the product, as an integer kernel does.
- Asymmetric uint8 activations, int8 weights with one scale a channel: what ONNX Runtime's CPU kernels take.
- A weight that a float node reads too, or that two nodes need along different axes, is given one copy for each use first; the tool
  would dequantize it for all.
- Ranges are minimum and maximum over all calibration feeds: each feed leaves two numbers a tensor, so memory hardly grows with the
  data. (The tool's histogram methods keep every activation of every feed, 61 MB a sample on a ResNet50, and are not used.)
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import EdgekitError, ModelError
from edgekit.frontends.graph import subgraphs
from edgekit.state import writing

from . import graph as graphs
from .content import STATIC_OPERATORS

if TYPE_CHECKING:
    import onnx

    from edgekit.types import Feed, Feeds

ABSORBED = ("Relu", "Clip")
PROTOBUF_SAFE_BYTES = 1_500_000_000  # a protobuf message ends at 2 GiB; beyond this the weights go into a file beside it


def quantize_static(
    model: onnx.ModelProto, fit: Feeds, work: Path, *, keep_float: Collection[str] = (), weight_bits: int = 8
) -> tuple[onnx.ModelProto, Counter[str]]:
    """A quantized copy of ``model`` (opset 13 or later) and how many nodes of each type were quantized.

    Args:
        fit: calibration feeds; each is read once.
        work: an empty scratch folder; everything the tool writes stays in it.
        weight_bits: 7 for processors without VNNI.

    Raises:
        ModelError: the tool cannot quantize this model, or ``keep_float`` names a node that is not there.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as vendor_quantize_static

    prepared = onnx.ModelProto()
    prepared.CopyFrom(model)
    chosen = _choose(prepared.graph, keep_float)
    if not chosen:
        return prepared, Counter()
    done = Counter(node.op_type for node in chosen)
    graphs.name_nodes(prepared.graph)
    _separate_uses(prepared.graph, chosen)
    names = [node.name for node in [*chosen, *_absorbed(prepared.graph, chosen, keep_float)]]

    source, result = work / "float.onnx", work / "int8.onnx"
    large = prepared.ByteSize() > PROTOBUF_SAFE_BYTES
    with writing(work), _contained(work):
        onnx.save(prepared, source, save_as_external_data=large)
        try:
            vendor_quantize_static(
                str(source),
                str(result),
                _Reader(fit, {value.name for value in prepared.graph.input}),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=[*STATIC_OPERATORS, *ABSORBED],
                nodes_to_quantize=names,
                per_channel=True,
                reduce_range=weight_bits == 7,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                use_external_data_format=large,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"ActivationSymmetric": False, "WeightSymmetric": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        except (EdgekitError, MemoryError, OSError):  # of a calibration feed, or of this machine
            raise
        except Exception as problem:  # the tool raises bare ValueError, RuntimeError, AssertionError and the runtime's own classes
            raise ModelError(
                "onnxruntime.quantization cannot quantize this model", why=f"{type(problem).__name__}: {problem}"
            ) from problem
    quantized = onnx.load(result)
    quantized.graph.name = model.graph.name
    quantized.producer_name, quantized.producer_version = model.producer_name, model.producer_version
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(model.metadata_props)
    _declare_as(quantized.graph, model.graph)
    _spare_float_readers(quantized.graph, {node.name for node in chosen})
    graphs.sort_nodes(quantized.graph)
    return quantized, done


def _choose(graph: onnx.GraphProto, keep_float: Collection[str]) -> list[onnx.NodeProto]:
    """Depthwise convolutions are left out, and weights with batch axes: the kernels take one scale a column only for a matrix."""
    constants = graphs.float_initializers(graph)

    def suits(node: onnx.NodeProto) -> bool:
        if node.op_type == "Conv":
            return not graphs.is_depthwise(node, constants)
        # the tool forgets a beta when it makes the bias an integer
        plain = not graphs.attribute(node, "transA", 0) and graphs.attribute(node, "beta", 1) == 1
        return plain and len(constants[node.input[1]].dims) == 2

    return [node for node in graphs.select(graph, STATIC_OPERATORS, keep_float) if suits(node)]


def _absorbed(graph: onnx.GraphProto, chosen: list[onnx.NodeProto], keep_float: Collection[str]) -> list[onnx.NodeProto]:
    """Activations behind a chosen node that nothing else reads, and that keep zero (a uint8 range always includes it)."""
    counts = graphs.consumed_names(graph)
    produced = {node.output[0] for node in chosen}
    return [
        node
        for node in graph.node
        if node.op_type in ABSORBED
        and graphs.node_id(node) not in keep_float
        and node.input[0] in produced
        and counts[node.input[0]] == 1
        and (node.op_type == "Relu" or _keeps_zero(graph, node))
    ]


def _keeps_zero(graph: onnx.GraphProto, clip: onnx.NodeProto) -> bool:
    from onnx import numpy_helper

    constants = graphs.float_initializers(graph)
    bounds = [*clip.input[1:], "", ""][:2]
    for bound, sign in zip(bounds, (1, -1), strict=True):
        if bound and (bound not in constants or sign * float(numpy_helper.to_array(constants[bound]).item()) > 0):
            return False
    return True


def _separate_uses(graph: onnx.GraphProto, chosen: list[onnx.NodeProto]) -> None:
    """Leave each weight of a chosen node with chosen readers along one axis only; others get a name of their own."""
    counts = graphs.consumed_names(graph)
    constants = graphs.float_initializers(graph)
    fresh = graphs.FreshNames(graph)
    uses: dict[tuple[str, int], list[onnx.NodeProto]] = {}
    for node in chosen:
        axis = 0 if node.op_type == "Conv" or graphs.attribute(node, "transB", 0) else 1
        uses.setdefault((node.input[1], axis), []).append(node)
    for (name, axis), nodes in uses.items():
        if counts[name] == len(nodes):
            continue
        copy = graph.initializer.add()
        copy.CopyFrom(constants[name])
        copy.name = fresh(f"{name}_axis{axis}")
        for node in nodes:
            node.input[1] = copy.name
    graphs.drop_unused(graph)


def _spare_float_readers(graph: onnx.GraphProto, chosen: Collection[str]) -> None:
    """Let float nodes read the float result of another float node, where the tool made them read its rounded form.

    The tool puts Q/DQ on the tensor, so that all its readers see it: a residual that one product reads would be rounded for the
    addition as well. What an integer kernel puts out is rounded for everybody, and stays as it is.
    """
    producer = {name: node for node in graph.node for name in node.output}
    pairs = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in producer:
            quantize = producer[node.input[0]]
            source = producer.get(quantize.input[0])
            if source is None or source.name not in chosen:
                pairs[node.output[0]] = quantize.input[0]
    for output in graph.output:
        if output.name in pairs:  # the output's name goes to the float tensor
            rounded, exact = f"{output.name}_rounded", pairs.pop(output.name)
            _rename(graph, {output.name: rounded, exact: output.name})
            pairs[rounded] = output.name
    for node in graph.node:
        if node.name not in chosen:
            _read_instead(node, pairs)


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
        for body in subgraphs([node]):
            _rename(body, names)


def _read_instead(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    node.input[:] = [names.get(name, name) for name in node.input]
    for body in subgraphs([node]):
        for inner in body.node:
            _read_instead(inner, names)


def _declare_as(graph: onnx.GraphProto, original: onnx.GraphProto) -> None:
    """Inputs and outputs exactly as the original declares them."""
    del graph.input[:]
    graph.input.extend(original.input)
    del graph.output[:]
    graph.output.extend(original.output)


class _Reader:
    """The calibration feeds in the shape the tool asks for: one dictionary a call, ``None`` at the end."""

    def __init__(self, feeds: Feeds, inputs: set[str]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)
        self._inputs = inputs

    def get_next(self) -> dict[str, Any] | None:
        feed = next(self._feeds, None)
        return None if feed is None else {name: array for name, array in feed.items() if name in self._inputs}

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> dict[str, Any]:
        feed = self.get_next()
        if feed is None:
            raise StopIteration
        return feed


@contextlib.contextmanager
def _contained(work: Path) -> Iterator[None]:
    """Keep the tool's temporary files in ``work`` and its messages off the terminal.

    It logs through the root logger, whose module-level functions attach a handler to stderr when there is none: a handler that
    drops everything prevents that, while a log file that the application has attached still gets the messages.
    """
    import onnxruntime

    root, handler = logging.getLogger(), logging.NullHandler()
    folder = tempfile.tempdir
    root.addHandler(handler)
    onnxruntime.set_default_logger_severity(3)  # errors only; calibration sessions take no options
    tempfile.tempdir = str(work)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _log_warning
            yield
    finally:
        tempfile.tempdir = folder
        onnxruntime.set_default_logger_severity(2)
        root.removeHandler(handler)


def _log_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    logging.getLogger("edgekit_onnx").info("%s: %s", category.__name__, message)
