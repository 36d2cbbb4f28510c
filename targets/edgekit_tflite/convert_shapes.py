"""A model at one shape: every size a number, and what follows from the sizes alone computed once.

TFLite has no sizes that a runtime can rely on being free, and converters guess where they are not told. So the model is run once
with every inner tensor exposed; what it shows is written down, and the arithmetic on shapes that exporters leave in is replaced by
its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ModelError
from edgekit.types import Array, Feed, TensorSpec

if TYPE_CHECKING:
    import onnx

#: Larger results of shape arithmetic stay operators: a mask of a whole picture is smaller as the rule that makes it.
_LARGEST_CONSTANT_BYTES = 1 << 20
#: Operators that decide at run time what is computed. TFLite has the first two, but no kernel for phones runs what is inside.
BRANCHES = ("If", "Loop", "Scan")
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout")


def why_not_fixed(proto: onnx.ModelProto) -> str:
    """Why the model cannot be written without branches: names the operators. Empty where it can."""
    from edgekit.frontends.graph import nested_graphs

    found = sorted({node.op_type for node in proto.graph.node if node.op_type in BRANCHES})
    if not found:
        return ""
    inside = sorted({node.op_type for graph in nested_graphs(proto.graph.node) for node in graph.node})
    worth_a_word = [name for name in inside if name in ("LSTM", "GRU", "RNN", "Conv", "MatMul", "Gemm", *BRANCHES)]
    holds = f", which hold {', '.join(worth_a_word)}," if worth_a_word else ""
    return f"its {', '.join(found)} operators{holds} decide at run time what is computed; a .tflite file is one fixed graph"


def fixed_feeds(inputs: Iterable[TensorSpec], feeds: Iterable[Feed] | None, *, n: int) -> list[Feed]:
    """Up to ``n`` feeds, all of one shape: samples where there are any, otherwise made up.

    Raises:
        ModelError: a size other than the batch is free, and there are no samples to take it from, or they have several. It is not
            the data's fault: another target may take them all.
    """
    from edgekit.synthetic import synthetic_feeds

    specs = tuple(inputs)
    if feeds is None:
        batch = {spec.shape[0] for spec in specs if spec.shape}
        free = [spec for spec in specs if any(isinstance(size, str) and size not in batch for size in spec.shape)]
        if free:
            shown = "x".join(str(size) for size in free[0].shape)
            raise ModelError(
                "a .tflite file needs a fixed shape",
                why=f"input {free[0].name!r} is {shown}, and there are no samples (--calib) that give its sizes",
                hint=f"give it with --shape {free[0].name}=1x..., or samples with --calib",
            )
        return list(synthetic_feeds(specs, n=n))
    taken: list[Feed] = []
    for feed in feeds:
        shapes = {name: array.shape for name, array in feed.items()}
        first = {name: array.shape for name, array in taken[0].items()} if taken else shapes
        if shapes != first:
            name = next(name for name in shapes if shapes[name] != first[name])
            raise ModelError(
                "a .tflite file needs a fixed shape, and the samples have several",
                why=f"of input {name!r}, {list(first[name])} and {list(shapes[name])}",
                hint="give the size with --shape, and samples of that size",
            )
        if len(taken) < n:
            taken.append(feed)
    return taken


def pin(proto: onnx.ModelProto, feeds: Iterable[Feed]) -> tuple[onnx.ModelProto, list[dict[str, Array]]]:
    """``proto`` at the shape of ``feeds``, and the value of each of its tensors for each feed: what a conversion is compared with.

    Raises:
        ModelError: it does not run, a size inside depends on what an input holds, or something inside is no tensor.
    """
    import onnx

    from edgekit.frontends.onnx_session import quiet_session, run

    exposed = onnx.ModelProto()
    exposed.CopyFrom(proto)
    makers = {name: node.op_type for node in proto.graph.node for name in node.output if name}
    there = {output.name for output in exposed.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in makers if name not in there)
    session = quiet_session(exposed)
    seen = [run(session, feed) for feed in feeds]
    for name, operator in makers.items():
        if not all(isinstance(values[name], np.ndarray) for values in seen):
            raise ModelError(
                "a .tflite file holds tensors only",
                why=f"{name!r}, which {operator} makes, is a sequence or an optional value",
                hint="export the model without it, or use another target, such as onnx",
            )
        shapes = {values[name].shape for values in seen}
        if len(shapes) > 1:
            raise ModelError(
                "a .tflite file needs fixed shapes",
                why=f"the size of {name!r}, which {operator} makes, depends on what the inputs hold: {sorted(shapes)[:2]}",
                hint="leave what follows it outside the model, or use another target",
            )
    fixed = onnx.ModelProto()
    fixed.CopyFrom(proto)
    first = next(iter(feeds))
    _declare(fixed, {**seen[0], **{name: np.asarray(array) for name, array in first.items()}})
    _fold(fixed, seen[0])
    return fixed, seen


def _declare(proto: onnx.ModelProto, values: Mapping[str, Array]) -> None:
    """Write down the shape and type of every tensor."""
    graph = proto.graph
    del graph.value_info[:]
    ends = {entry.name for entry in (*graph.input, *graph.output)}
    for entry in (*graph.input, *graph.output):
        entry.CopyFrom(_info(entry.name, values[entry.name]))
    for name, array in values.items():
        if name not in ends:
            graph.value_info.append(_info(name, array))


def _info(name: str, array: Array) -> onnx.ValueInfoProto:
    import onnx

    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _fold(proto: onnx.ModelProto, values: Mapping[str, Array]) -> None:
    """Replace small tensors that no input's values reach by what they hold, and drop the nodes that are no longer needed."""
    import onnx

    graph = proto.graph
    known = {tensor.name for tensor in graph.initializer}
    folded: dict[str, Array] = {}
    kept = []
    for node in graph.node:
        follows = node.op_type in ("Shape", "Size") or all(name in known for name in node.input if name)
        is_plain = node.domain in ("", "ai.onnx") and node.op_type not in (*_RANDOM, *BRANCHES)
        if not (follows and is_plain):
            kept.append(node)
            continue
        results = {name: np.asarray(values[name]) for name in node.output if name}
        known.update(results)
        if any(array.nbytes > _LARGEST_CONSTANT_BYTES for array in results.values()):
            kept.append(node)
        else:
            folded |= results
    wanted = {output.name for output in graph.output}
    needed: list[onnx.NodeProto] = []
    for node in reversed(kept):
        if any(name in wanted for name in node.output):
            needed.append(node)
            wanted.update(name for name in node.input if name)
    for output in graph.output:
        if output.name in folded:
            raise ModelError(f"output {output.name!r} does not depend on the inputs", why="a .tflite file has none of that kind")
    initializers = [tensor for tensor in graph.initializer if tensor.name in wanted]
    initializers += [onnx.numpy_helper.from_array(array, name) for name, array in folded.items() if name in wanted]
    there = {name for node in needed for name in node.output}
    infos = [entry for entry in graph.value_info if entry.name in there]
    for entries, new in ((graph.node, needed[::-1]), (graph.initializer, initializers), (graph.value_info, infos)):
        del entries[:]
        entries.extend(new)
