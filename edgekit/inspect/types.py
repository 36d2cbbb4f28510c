"""What an inspection says: frozen values, JSON by :func:`edgekit.values.to_json` (``edgekit.inspect/1``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..types import JSON, NodeId, TensorSpec

Kind = Literal[
    "unstructured-sparsity",
    "2:4-sparsity",
    "masked-structured",
    "factorized",
    "clustered",
    "quantized-residue",
    "shared-weights",
    "duplicated-weights",
    "quantized",
]


@dataclass(frozen=True)
class Layer:
    """One operator that multiplies.

    ``macs`` is None where a shape stays free. ``node`` is what ``keep_float`` takes, except inside a branch or a loop.
    """

    node: NodeId
    operator: str
    macs: int | None
    weights: int


@dataclass(frozen=True)
class Content:
    """What is in the graph.

    ``macs`` counts multiply-accumulates of convolutions, matrix products and recurrent layers for one inference at batch 1, or is
    None and ``macs_reason`` says why. ``zip_bytes`` is an estimate of the download: the model's files deflated (zlib, level 6);
    ``zip_sampled`` is the fraction of the bytes that was really deflated.
    """

    operators: dict[str, int]
    n_nodes: int
    parameters: int
    weight_bytes: dict[str, int]
    macs: int | None
    macs_reason: str
    zip_bytes: int
    zip_sampled: float
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Finding:
    """One kind of compression that can be seen.

    ``evidence`` holds the numbers and the tensors concerned (largest first, by initializer name and :data:`NodeId`);
    ``worth`` says what it buys, by target name, or under ``"any"`` when no target was asked or the target does not know.
    """

    kind: Kind
    summary: str
    evidence: dict[str, JSON]
    worth: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TensorRanges:
    """What one activation spans.

    Attributes:
        count: finite values seen; ``n_nonfinite``: infinities and NaN.
        seen: the least and the greatest finite value; None where there was none.
        ranges: {method: (low, high)}, what it would be quantized over; contains zero. None where nothing was seen.
    """

    tensor: str
    count: int
    n_nonfinite: int
    seen: tuple[float, float] | None
    ranges: dict[str, tuple[float, float] | None]


@dataclass(frozen=True)
class RangeTable:
    """Ranges of activations on ``n_feeds`` calibration feeds, and how much they can be relied on.

    ``calibration``: see :func:`edgekit.quantize.stability.calibration_report`.
    """

    n_feeds: int
    tensors: tuple[TensorRanges, ...]
    calibration: dict[str, JSON]


@dataclass(frozen=True)
class Inspection:
    """What is in a model, how it was compressed where that can be seen, and what cannot be told.

    ``ranges``: of its activations, where calibration data were given and this was asked for.
    """

    fingerprint: str
    format: str
    opset: int
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...]
    content: Content
    findings: tuple[Finding, ...]
    cannot_tell: tuple[str, ...]
    ranges: RangeTable | None = None
    schema: str = "edgekit.inspect/1"
