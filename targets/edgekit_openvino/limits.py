"""What processors can compute in, and which tensors and run options OpenVINO's CPU plugin takes."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.schemes import Scalar
from edgekit.types import Reject, Site

#: Features in the spelling of ``/proc/cpuinfo``; any one will do.
FEATURES = {
    "bf16": ("avx512_bf16", "amx_bf16", "avx_ne_convert"),
    "f16": ("avx512_fp16", "amx_fp16", "asimdhp"),
}
DTYPES = frozenset({
    "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool",
})  # fmt: skip
RUN_OPTIONS: dict[str, type | tuple[str, ...]] = {
    "threads": int,
    "streams": int,
    "fixed_shapes": int,
    "dynamic_quantization_group_size": int,
    "layers": bool,
    "inference_precision": ("f32", "bf16", "f16"),
    "performance_hint": ("latency", "throughput", "cumulative_throughput", "none"),
}


def known_to_compute(site: Site, precision: str) -> bool:
    """Whether the processor has been probed and computes in ``precision``."""
    return site.device is not None and bool(set(FEATURES[precision]) & set(site.device.cpu_features))


def reject_precision(what: str, precision: str, site: Site) -> Reject | None:
    """A processor that was not probed gets the benefit of the doubt: the artifact runs everywhere, only slower or in float."""
    if site.device is None or known_to_compute(site, precision):
        return None
    return Reject(what, f"the processor does not compute in {precision} (none of {', '.join(FEATURES[precision])})", "float32")


def reject_run_options(what: str, options: Mapping[str, Scalar], site: Site) -> Reject | None:
    for name, value in options.items():
        wanted = RUN_OPTIONS.get(name)
        if wanted is None:
            return Reject(what, f"there is no run option {name!r}", f"one of {', '.join(RUN_OPTIONS)}")
        if isinstance(wanted, tuple):
            if value not in wanted:
                return Reject(what, f"{name} is {value!r}", f"one of {', '.join(wanted)}")
        elif not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
            return Reject(what, f"{name} is {value!r}", f"a value of type {wanted.__name__}")
    precision = options.get("inference_precision")
    return reject_precision(what, str(precision), site) if precision in FEATURES else None
