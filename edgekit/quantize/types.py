"""The values that calibration, placement, emission and the search hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..schemes import Scalar
from ..types import NodeId

RangeMethod = Literal["minmax", "percentile", "mse", "entropy"]


@dataclass(frozen=True)
class Range:
    """What an activation is taken to span: finite, ``low <= 0 <= high``. What lies outside saturates."""

    low: float
    high: float


@dataclass(frozen=True)
class Placement:
    """Where Q/DQ goes for one kind of kernel, as data. A new policy is a table.

    Attributes:
        operators: operator types with constant weights that are quantized, with the weight axis that may have scales of its own:
            {"Conv": 0, "MatMul": 1, ...}; for ``Gemm`` the axis is given for the untransposed weight and follows ``transB``.
        activation_type: storage of activations. ``activation_symmetric``: zero point 0 (int8) or 128 (uint8).
        weight_type: storage of weights, always symmetric: zero point 0 (int8) or 128 (uint8). ``weight_bits`` 7 keeps |w| <= 64:
            x86 without VNNI adds pairs of products in 16 bits.
        per_channel: one weight scale a channel along the axis above; otherwise one a tensor.
        weight_storage: "integers" behind ``DequantizeLinear``, or "float" behind a pair, where a runtime quantizes weights itself.
        quantize_outputs: whether what an operator puts out is quantized again behind it (an integer kernel needs its output scale).
        float_outputs: operator types whose integer kernel can put out float. Their output is quantized only where every reader
            quantizes it anyway: that costs no precision, and saves the way over float.
        absorbed: activation functions directly behind, read by nothing else, whose output takes the place of the operator's own.
        bias: "int32" stores it with scale activation*weight, "float" leaves it alone.
        residual_add: "float", "both" inputs quantized, the "shortcut" alone, so that the main branch can fuse, or "by maker": each
            input by what makes it (see ``additions``).
        fused_before_add: operators between a quantized one and a residual addition that become part of it as well.
        rounded_before_add: operators with kernels that can put out integers: "by maker" quantizes what they hand to an addition.
        keep_depthwise_float: convolutions whose filters see one channel.
        guard_floats: keep the runtime from quantizing what was left in float between two quantized tensors (see ``float_guard``).
        least_channels: operators with fewer input or output channels (products: K or N) stay float.
    """

    name: str
    operators: dict[str, int]
    activation_type: Literal["uint8", "int8"] = "uint8"
    activation_symmetric: bool = False
    weight_type: Literal["int8", "uint8"] = "int8"
    weight_bits: Literal[7, 8] = 8
    per_channel: bool = True
    weight_storage: Literal["integers", "float"] = "integers"
    quantize_outputs: bool = True
    float_outputs: tuple[str, ...] = ()
    absorbed: tuple[str, ...] = ("Relu", "Clip")
    bias: Literal["int32", "float"] = "int32"
    residual_add: Literal["float", "both", "shortcut", "by maker"] = "float"
    fused_before_add: tuple[str, ...] = ()
    rounded_before_add: tuple[str, ...] = ()
    keep_depthwise_float: bool = True
    guard_floats: bool = False
    least_channels: int = 1


@dataclass(frozen=True)
class QuantizedOperator:
    """One operator that a placement quantizes: the plan that the emitter writes and that the search switches on and off.

    A residual ``Add`` is one without a weight.

    Attributes:
        activations: its input tensors that are quantized, one scale each.
        weight: the initializer that is quantized along ``weight_axis`` (None: one scale).
        bias: the initializer stored as int32, None where there is none or it stays float.
        bias_add: NodeId of the ``Add`` behind a ``MatMul`` that adds this bias and became part of it.
        output: the tensor that is quantized behind it (behind the absorbed activation, where there is one); None: left float.
        absorbed: NodeId of the activation function that became part of it.
    """

    node: NodeId
    operator: str
    activations: tuple[str, ...]
    weight: str | None
    weight_axis: int | None
    bias: str | None
    output: str | None
    absorbed: NodeId | None = None
    bias_add: NodeId | None = None


@dataclass(frozen=True)
class Quantizable:
    """An operator that can be quantized. ``dynamic``: activations take their range from each value, and the output stays float."""

    operator: QuantizedOperator
    dynamic: bool = False

    @property
    def node(self) -> NodeId:
        return self.operator.node

    @property
    def rounded_output(self) -> str | None:
        """The tensor that is quantized behind it, if there is one."""
        return None if self.dynamic else self.operator.output


@dataclass(frozen=True)
class Sparable:
    """What a target quantizes for a candidate, so that the search can choose what of it stays in float.

    Attributes:
        items: the operators, in graph order.
        calibrated: the tensors whose statistics their ranges come from; empty where all are dynamic.
        range_methods: what the candidate may choose among; empty where the target has ranges of its own.
        range_method: the candidate's own, where ``method_option`` is the build option that takes another; without one the scheme
            says it.
        spared_options: build options that a variant gets in which operators are spared.
        rewrites: what is done to the model before anything is quantized (``passes.PASSES``), in order.
    """

    placement: Placement
    items: tuple[Quantizable, ...]
    calibrated: tuple[str, ...] = ()
    range_methods: tuple[RangeMethod, ...] = ()
    range_method: RangeMethod = "minmax"
    method_option: str = ""
    spared_options: Mapping[str, Scalar] = field(default_factory=dict)
    rewrites: tuple[str, ...] = ()
