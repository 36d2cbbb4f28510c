"""Why a candidate cannot work on TensorRT, told before any slow work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ModelError
from edgekit.schemes import AsIs, BFloat16, Float16, Float32, Int8Dynamic, Int8Static, Vendor, WeightOnly
from edgekit.types import Candidate, Reject, Site

from .content import STATIC_OPERATORS, content_of, objections
from .limits import dotted, installed_version, limits
from .make import PASSES, SPARED_AS_HALF, SPARED_OPTION, passes_of, range_method

if TYPE_CHECKING:
    from edgekit.model import Model

MIXED = "int8+fp16"
_RANGES = ("minmax", "percentile", "mse", "entropy")
_OPTIONS = {"passes", "range_method", "spared", "sparsity"}
_LATER = {
    "fp8": "float8 is not built yet: it needs compute capability 8.9 (no Jetson before Thor) and a recipe of its own",
    "int4": "int4 weights are not built yet",
    "dla": "the deep-learning accelerators are not used yet: they take static shapes in float16 or int8 only",
}


def reject(model: Model, candidate: Candidate, site: Site) -> Reject | None:
    """See :class:`edgekit.targets.Target`."""
    scheme, what = candidate.scheme, f"{candidate.scheme.slug} with tensorrt"
    if site.device is not None and installed_version(site) is None:
        return Reject(what, "TensorRT is not on the device", "on a Jetson it comes with JetPack (sudo apt install nvidia-jetpack)")
    refused = _reject_format(what, candidate, site) or _reject_options(what, candidate)
    if refused is not None:
        return refused
    if model.quantized and model.quantized != "Q/DQ":
        return Reject(what, f"TensorRT does not compute {model.quantized}", "give the float model it was made from")
    if model.quantized and not isinstance(scheme, AsIs) and scheme != Vendor(MIXED):
        return Reject(what, "the model has Q/DQ of its own, which is kept as it is", f"as-is, or {MIXED}")
    try:
        against = objections(model, limits(site))
    except ModelError as problem:
        return Reject(what, f"{problem.what}: {problem.why}", problem.hint)
    if against:
        more = f" (and {len(against) - 1} more: edgekit check)" if len(against) > 1 else ""
        return Reject(what, f"{against[0]}{more}", against[0].fix)
    if isinstance(scheme, (AsIs, Float32)):
        return None
    content = content_of(model)
    if content.cannot_be_raised:
        return Reject(what, f"the model cannot be raised to a current opset: {content.cannot_be_raised}", "float32")
    if not model.quantized and not isinstance(scheme, Float16) and not content.operators:
        why = "its products and convolutions are too narrow for integer kernels" if content.narrow else (
            f"no {', '.join(STATIC_OPERATORS)} of its main graph has constant float32 weights"
        )  # fmt: skip
        return Reject(what, why, "float16")
    return None


def _reject_format(what: str, candidate: Candidate, site: Site) -> Reject | None:
    scheme, found = candidate.scheme, limits(site)
    gpu = f"a GPU of compute capability {dotted(found.capability)}"
    if isinstance(scheme, (AsIs, Float32, Float16)):
        return None
    if isinstance(scheme, Int8Static) or scheme == Vendor(MIXED):
        return None if found.has_int8 else Reject(what, f"{gpu} has no int8 arithmetic", "float16")
    if isinstance(scheme, BFloat16):
        if found.capability is not None and found.capability < (8, 0):
            return Reject(what, f"{gpu} has no bfloat16: it came with 8.0", "float16")
        return Reject(what, "bfloat16 has fewer digits than float16 and is no faster", "float16")
    if isinstance(scheme, WeightOnly):
        why = _LATER["int4"] if scheme.bits == 4 else "TensorRT has no int8 weights beside float activations"
        return Reject(what, why, "int8 or float16")
    if isinstance(scheme, Int8Dynamic):
        return Reject(what, "TensorRT does not quantize activations at run time", "int8")
    return Reject(what, _LATER.get(scheme.slug, "the target does not know this format"), f"float16, int8 or {MIXED}")


def _reject_options(what: str, candidate: Candidate) -> Reject | None:
    unknown = sorted(set(candidate.build_options) - _OPTIONS)
    if unknown:
        return Reject(what, f"there is no build option {unknown[0]!r}", f"known: {', '.join(sorted(_OPTIONS))}")
    wrong = sorted(set(passes_of(candidate)) - set(PASSES))
    if wrong:
        return Reject(what, f"there is no pass {wrong[0]!r}", f"passes are {', '.join(PASSES)}")
    if range_method(candidate) not in _RANGES:
        return Reject(what, f"there are no ranges by {range_method(candidate)!r}", f"known: {', '.join(_RANGES)}")
    if not {SPARED_OPTION: candidate.build_options.get(SPARED_OPTION, "float16")}.items() <= SPARED_AS_HALF.items():
        return Reject(what, "spared is float16 or not given", "float16")
    if candidate.build_options.get("sparsity", "auto") not in ("auto", "on", "off"):
        return Reject(what, "sparsity is auto, on or off", "auto")
    return None
