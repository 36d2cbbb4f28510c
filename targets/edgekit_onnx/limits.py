"""What the ONNX Runtime on a device can read, and what its processor needs: facts of the site that a build depends on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from edgekit.types import Site

#: Newest ONNX opset and IR version that a release of ONNX Runtime reads; from its compatibility table. Later releases read what is
#: written here.
READS = {
    (1, 10): (15, 8), (1, 11): (16, 8), (1, 12): (17, 8), (1, 13): (17, 8), (1, 14): (18, 8), (1, 15): (19, 9),
    (1, 16): (19, 9), (1, 17): (20, 9), (1, 18): (21, 10), (1, 19): (21, 10), (1, 20): (21, 10), (1, 21): (22, 10),
}  # fmt: skip

Processor = Literal["x86-vnni", "x86", "arm", "other"]


@dataclass(frozen=True)
class Limits:
    """``max_opset`` and ``max_ir``: None where nothing limits them; ``processor``: what its integer instructions are like;
    ``release``: of ONNX Runtime there, None where it is not known.
    """

    max_opset: int | None
    max_ir: int | None
    processor: Processor
    release: tuple[int, int] | None = None

    @property
    def weight_bits(self) -> Literal[7, 8]:
        """8, or 7 where products saturate."""
        return 7 if self.processor == "x86" else 8


def runtime_version(site: Site) -> str | None:
    """The version of ONNX Runtime that the probe found, or None: no device at hand, or no runtime on it."""
    return site.device.runtimes.get("onnxruntime") if site.device else None


def limits(site: Site) -> Limits:
    found = re.match(r"(\d+)\.(\d+)", runtime_version(site) or "")
    release = (int(found[1]), int(found[2])) if found else None
    max_opset, max_ir = READS.get(max(release, min(READS)), (None, None)) if release else (None, None)
    return Limits(max_opset, max_ir, _processor(site), release)


def _processor(site: Site) -> Processor:
    """x86 without VNNI adds pairs of uint8 * int8 products in 16 bits: full 8-bit weights overflow, silently.

    A device that has not been probed is taken to be one: seven bits cost little, an overflow ruins the result.
    """
    machine = (site.device.machine if site.device else site.profile.arch).lower().replace("-", "_")
    if machine in ("x86_64", "amd64", "i686", "i386", "x86"):
        features = site.device.cpu_features if site.device else ()
        return "x86-vnni" if any("vnni" in feature.lower() for feature in features) else "x86"
    return "arm" if machine.startswith(("arm", "aarch64")) else "other"
