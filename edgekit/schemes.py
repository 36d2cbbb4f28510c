"""Number formats a candidate may use. A scheme is data: it says *what* precision, never *how* a vendor gets there.

Core schemes are understood by every target (or rejected with a reason); a format that only one vendor has is a
:class:`Vendor` scheme owned by that target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

Scalar = bool | int | float | str
WeightType = Literal["per-operator", "int8", "uint8"]


@dataclass(frozen=True)
class AsIs:
    """The model just as it came. What an already-quantized model is offered as; nothing is converted."""

    slug: ClassVar[str] = "as-is"


@dataclass(frozen=True)
class Float32:
    slug: ClassVar[str] = "float32"


@dataclass(frozen=True)
class Float16:
    slug: ClassVar[str] = "float16"


@dataclass(frozen=True)
class BFloat16:
    slug: ClassVar[str] = "bfloat16"


@dataclass(frozen=True)
class Int8Dynamic:
    """Weights int8 ahead of time, activations quantized per inference from their own range (no calibration).

    ``weight_type`` "per-operator" takes what is fast for each operator on the target (see the target's docs).
    """

    slug: ClassVar[str] = "int8-dynamic"
    weight_type: WeightType = "per-operator"


@dataclass(frozen=True)
class Int8Static:
    """Weights and activations int8 with calibrated activation ranges."""

    slug: ClassVar[str] = "int8"
    range_method: Literal["minmax", "percentile", "mse", "entropy"] = "minmax"


@dataclass(frozen=True)
class WeightOnly:
    """Weights in ``bits`` bits, dequantized for float arithmetic. ``block_size`` 0 means one scale per channel."""

    bits: Literal[4, 8] = 8
    block_size: int = 0

    @property
    def slug(self) -> str:
        return f"w{self.bits}"


@dataclass(frozen=True)
class Vendor:
    """A format that only one target knows, e.g. ``Vendor("fp8")`` or ``Vendor("int8+fp16")``."""

    slug: str
    params: tuple[tuple[str, Scalar], ...] = field(default=())


Scheme = AsIs | Float32 | Float16 | BFloat16 | Int8Dynamic | Int8Static | WeightOnly | Vendor
#: Static schemes need activation ranges, and those need calibration data.
NEEDS_CALIBRATION = (Int8Static,)
SCHEME_CLASSES: tuple[type[Scheme], ...] = get_args(Scheme)


def scheme_of(slug: str) -> Scheme:
    """The scheme with default parameters that ``slug`` names; a slug that is none of the core's is some vendor's."""
    core = (AsIs(), Float32(), Float16(), BFloat16(), Int8Dynamic(), Int8Static(), WeightOnly(8), WeightOnly(4))
    return next((scheme for scheme in core if scheme.slug == slug), Vendor(slug))


#: What ``--precision`` accepts, and the scheme slugs each word selects.
PRECISIONS: dict[str, tuple[str, ...]] = {
    "auto": (),
    "fp32": ("float32",),
    "fp16": ("float16",),
    "bf16": ("bfloat16",),
    "int8": ("int8",),
    "int8-dynamic": ("int8-dynamic",),
    "w8": ("w8",),
    "w4": ("w4",),
    "fp8": ("fp8",),
    "mixed": ("mixed", "int8+fp16", "bfloat16+float32"),
}
