"""Why a candidate cannot work on ONNX Runtime, told before any slow work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.schemes import AsIs, Float32, Int8Dynamic, Int8Static, WeightOnly
from edgekit.types import Candidate, Reject, Site

from .content import DYNAMIC_OPERATORS, STATIC_OPERATORS, Content, content_of
from .limits import limits, runtime_version

if TYPE_CHECKING:
    from edgekit.model import Model

RAISED_OPSET = 17  # what the normalised ONNX has at least


def reject(model: Model, candidate: Candidate, site: Site) -> Reject | None:
    """See :class:`edgekit.targets.Target`."""
    what = f"{candidate.scheme.slug} with onnx"
    if site.device is not None and runtime_version(site) is None:
        return Reject(what, "ONNX Runtime is not on the device", "install it there: pip install onnxruntime")
    scheme, max_opset = candidate.scheme, limits(site).max_opset
    opset = model.opset if isinstance(scheme, (AsIs, Float32)) else max(model.opset, RAISED_OPSET)
    if max_opset is not None and opset > max_opset:
        return Reject(
            what,
            f"it takes opset {opset}, and ONNX Runtime {runtime_version(site)} on the device reads up to {max_opset}",
            "update ONNX Runtime there, or export the model with an older opset",
        )
    if model.quantized and not isinstance(scheme, AsIs):
        return Reject(what, f"the model is quantized already ({model.quantized})", "give the float model it was made from")
    if isinstance(scheme, (AsIs, Float32)):
        return None
    if not isinstance(scheme, (Int8Dynamic, Int8Static, WeightOnly)):
        return Reject(what, "ONNX Runtime's CPU kernels do not gain from this format", "float32, int8, int8-dynamic, w8 or w4")
    if isinstance(scheme, WeightOnly) and scheme != WeightOnly(8):
        refused = _reject_blocks(what, scheme, site)
        if refused is not None:
            return refused
    return _reject_content(what, scheme, content_of(model))


def _reject_blocks(what: str, scheme: WeightOnly, site: Site) -> Reject | None:
    from .block_weights import SINCE

    block, release = scheme.block_size, limits(site).release
    if block and (block < 16 or block & (block - 1)):
        return Reject(what, f"blocks of {block} have no kernel", "a power of two from 16 on")
    if release is not None and release < SINCE[scheme.bits]:
        first = ".".join(map(str, SINCE[scheme.bits]))
        return Reject(
            what, f"ONNX Runtime {runtime_version(site)} on the device cannot multiply such blocks", f"update it to {first}"
        )
    return None


def _reject_content(what: str, scheme: object, content: Content) -> Reject | None:
    if content.cannot_be_raised:
        return Reject(what, f"the model cannot be raised to a current opset: {content.cannot_be_raised}", "float32")
    if isinstance(scheme, WeightOnly):
        why = "no weight in its main graph is large enough to be worth it"
        large = content.large_weights if scheme == WeightOnly(8) else content.large_products
        return None if large else Reject(what, why, "float32")
    usable = STATIC_OPERATORS if isinstance(scheme, Int8Static) else DYNAMIC_OPERATORS
    if not set(usable) & set(content.operators):
        return Reject(what, f"no {', '.join(usable)} of its main graph has constant float32 weights", "float32")
    return None
