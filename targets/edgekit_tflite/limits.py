"""What is known of a processor, and which tensors and run options LiteRT takes."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.schemes import Scalar
from edgekit.types import Reject, Site

#: Packages that run the artifact, by their names in a probe; the first is the one to install.
RUNTIMES = ("ai-edge-litert", "tflite-runtime", "tensorflow", "tensorflow-cpu")
DTYPES = frozenset({
    "float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool",
})  # fmt: skip
RUN_OPTIONS = {"threads": int, "xnnpack": bool, "layers": bool}
#: Features in the spelling of ``/proc/cpuinfo``: products of bytes added up in 32 bits; any one will do.
DOT_PRODUCTS = ("asimddp", "i8mm", "avx512_vnni", "avx_vnni", "amx_int8")
#: Half precision in vectors.
HALF_PRECISION = ("asimdhp", "avx512_fp16")


def lacks_dot_products(site: Site) -> bool:
    """Whether the processor has been probed and has no such instruction: 4-bit weights are then slower than float (measured)."""
    return site.device is not None and not set(DOT_PRODUCTS) & set(site.device.cpu_features)


def has_half_precision(site: Site) -> bool:
    return site.device is not None and bool(set(HALF_PRECISION) & set(site.device.cpu_features))


def reject_run_options(what: str, options: Mapping[str, Scalar]) -> Reject | None:
    for name, value in options.items():
        wanted = RUN_OPTIONS.get(name)
        if wanted is None:
            return Reject(what, f"there is no run option {name!r}", f"one of {', '.join(RUN_OPTIONS)}")
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
            return Reject(what, f"{name} is {value!r}", f"a value of type {wanted.__name__}")
    return None
