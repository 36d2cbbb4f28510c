"""Which operators TensorRT's parser has, since when, and what it asks of them.

Source: ``docs/operators.md`` and ``docs/Changelog.md`` of onnx/onnx-tensorrt, and the parser's own static checks.
"""

# ruff: noqa: ARG001 - every rule has the same arguments

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx

from edgekit.targets import RuleFinding

from .findings import error, warning
from .graph_view import GraphView, attributes
from .limits import Limits, Version, dotted

#: Standard operators that no release has.
ABSENT = frozenset(
    [
        "AffineGrid",
        "Bernoulli",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Col2Im",
        "CenterCropPad",
        "Compress",
        "ConcatFromSequence",
        "ConvInteger",
        "DFT",
        "Det",
        "DynamicQuantizeLinear",
        "ImageDecoder",
        "MatMulInteger",
        "MaxRoiPool",
        "MaxUnpool",
        "MelWeightMatrix",
        "Multinomial",
        "NegativeLogLikelihoodLoss",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "QLinearConv",
        "QLinearMatMul",
        "RegexFullMatch",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SoftmaxCrossEntropyLoss",
        "SplitToSequence",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "TfIdfVectorizer",
        "Unique",
    ]
)
#: Those that came with a release that boards in use do not all have.
SINCE: dict[str, Version] = {
    **dict.fromkeys(["Einsum", "IsNaN", "GatherND", "Scatter", "ScatterElements", "ScatterND", "Sign", "Round"], (8, 2)),
    **dict.fromkeys(["Shrink", "Xor"], (8, 4)),
    **dict.fromkeys(
        ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "MeanVarianceNormalization",
         "RoiAlign", "Mod", "Trilu", "GridSample", "NonZero", "NonMaxSuppression"], (8, 5),
    ),
    **dict.fromkeys(["GroupNormalization", "LayerNormalization", "IsInf"], (8, 6)),
    "Hardmax": (9, 2),
    "DeformConv": (10, 1),
    **dict.fromkeys(["BlackmanWindow", "HammingWindow", "HannWindow"], (10, 4)),
    "STFT": (10, 5),
    "Attention": (10, 14),
    **dict.fromkeys(["RotaryEmbedding", "RMSNormalization", "TensorScatter"], (10, 15)),
}  # fmt: skip
_INTEGER = {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "DynamicQuantizeLinear"}
_STANDARD = ("", "ai.onnx")
_SPATIAL = {"Conv": 3, "ConvTranspose": 3, "MaxPool": 3, "AveragePool": 3, "LpPool": 3}


def presence(node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    """Whether the parser knows the operator at all."""
    if node.domain not in _STANDARD:
        if node.domain != "trt.plugins":
            yield error(
                "operator", node, f"it is of the domain {node.domain}", "write it in standard ONNX operators, or as a plugin"
            )
    elif node.op_type in _INTEGER:
        yield error("operator", node, "TensorRT has no such operator", "write integers as QuantizeLinear and DequantizeLinear")
    elif node.op_type in ABSENT:
        yield error("operator", node, "TensorRT has no such operator", "write it in other operators, or cut it off the model")
    elif node.op_type in SINCE and limits.release is not None and limits.release < SINCE[node.op_type]:
        since = dotted(SINCE[node.op_type])
        fix = f"update the device's TensorRT to {since}, or export with an older opset, which writes it in other operators"
        yield error("operator", node, f"TensorRT has it since {since}, and the device {dotted(limits.release)}", fix)
    elif node.op_type.startswith("Random"):
        yield warning("random", node, "TensorRT ignores its seed", "make the noise an input")


Restriction = Callable[[GraphView, onnx.NodeProto, dict[str, object]], Iterator[tuple[str, str]]]


def _pool(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    if any(step != 1 for step in given.get("dilations", ())):  # type: ignore[attr-defined]
        yield "it is dilated", "a pool without dilations"


def _first_output_only(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    if any(node.output[1:]):
        yield "only its first output is there", "cut the others off"


def _max_pool(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    yield from _first_output_only(view, node, given)
    yield from _pool(view, node, given)


def _batch_norm(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    yield from _first_output_only(view, node, given)
    if given.get("training_mode"):
        yield "it is in training mode", "export the model in evaluation mode"


def _resize(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    if given.get("antialias"):
        yield "it does not smooth when it shrinks", "antialias=0, or resize before the model"
    if given.get("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        yield "it only stretches", "give the size that is meant"
    mode = given.get("coordinate_transformation_mode", b"half_pixel")
    if mode not in (b"half_pixel", b"pytorch_half_pixel", b"tf_half_pixel_for_nn", b"asymmetric", b"align_corners"):
        yield f"it has no mode {bytes(mode).decode()}", "half_pixel or align_corners"  # type: ignore[call-overload]


def _scatter_nd(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    if given.get("reduction", b"none") != b"none":
        yield "it only replaces, it does not reduce", "gather, add, and scatter the sums"


def _recurrent(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    if given.get("layout"):
        yield "layout 1 is ignored: batch and time are taken for one another", "layout 0, with transpositions around it"
    if given.get("input_forget"):
        yield "it has no coupled input and forget gates", "separate gates"
    names = list(given.get("activations", ()))  # type: ignore[call-overload]
    if given.get("direction") == b"bidirectional" and names[: len(names) // 2] != names[len(names) // 2 :]:
        yield "both directions must have the same activations", "two layers of one direction each"


def _lp(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    if given.get("p", 2) not in (1, 2):
        yield "only norms 1 and 2 are there", "p=1 or p=2"


def _dropout(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    training = view.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if training is not None and bool(training):
        yield "it is in training mode", "export the model in evaluation mode"


def _arg(view: GraphView, node: onnx.NodeProto, given: dict[str, object]) -> Iterator[tuple[str, str]]:
    opset = max((entry.version for entry in view.model.opset_import if entry.domain in _STANDARD), default=0)
    if given.get("select_last_index") and opset < 12:
        yield "select_last_index came with opset 12", "export with opset 12 or later"


RESTRICTIONS: dict[str, Restriction] = {
    "AveragePool": _pool, "LpPool": _pool, "MaxPool": _max_pool, "BatchNormalization": _batch_norm,
    "LayerNormalization": _first_output_only,
    "Resize": _resize, "ScatterND": _scatter_nd, "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent, "LpNormalization": _lp,
    "Dropout": _dropout, "ArgMax": _arg, "ArgMin": _arg,
}  # fmt: skip


def restrictions(view: GraphView, node: onnx.NodeProto) -> Iterator[RuleFinding]:
    """What the parser asks of an operator that it has."""
    if node.domain not in _STANDARD:
        return
    given = attributes(node)
    if node.op_type in RESTRICTIONS:
        for what, fix in RESTRICTIONS[node.op_type](view, node, given):
            yield error("restriction", node, f"in TensorRT, {what}", fix)
    shape = view.shape_of(node.input[0]) if node.op_type in _SPATIAL and node.input else None
    if shape is not None and len(shape) - 2 > _SPATIAL[node.op_type]:
        yield error(
            "restriction", node, f"it has {len(shape) - 2} spatial dimensions, at most 3 are there", "fold some of them together"
        )
