"""What the TensorRT and the GPU on a device can do: facts of the site that a build depends on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.types import Site

Version = tuple[int, int]

#: Newest opset that the ONNX parser of a release (and of later ones, up to the next entry) documents, and the IR version of
#: the onnx
#: that it was built with. From the operator tables and change logs in the repository onnx/onnx-tensorrt.
READS: dict[Version, tuple[int, int]] = {(8, 0): (13, 7), (8, 5): (17, 8), (9, 0): (19, 9), (10, 0): (20, 10), (10, 15): (24, 11)}
#: What every release from 8.5 on reads. JetPack 4 (TensorRT 8.0 to 8.2) ends at opset 13.
EVERYWHERE = (17, 8)
LEAST_OPSET = 9
#: Networks whose types are those of the graph; before, precision flags had the last word.
STRONGLY_TYPED_SINCE: Version = (10, 0)
#: Weights may be stored in int8; before, the documentation wants them in float32 behind QuantizeLinear and DequantizeLinear.
STORED_WEIGHTS_SINCE: Version = (10, 0)

#: Compute capability of each board's GPU: NVIDIA, "CUDA GPUs" (developer.nvidia.com/cuda-gpus) and "CUDA legacy GPUs"; Thor's is
#: 11.0 from CUDA 13 on.
CAPABILITY: dict[str, Version] = {
    "jetson-nano": (5, 3), "jetson-xavier-nx": (7, 2), "jetson-orin-nano": (8, 7), "jetson-agx-orin": (8, 7),
    "jetson-thor": (11, 0),
}  # fmt: skip
#: The last TensorRT that NVIDIA ships for boards that get no more: Jetson Nano ends with JetPack 4.6, Xavier with JetPack 5.
LAST_RELEASE: dict[str, Version] = {"jetson-nano": (8, 2), "jetson-xavier-nx": (8, 5)}


@dataclass(frozen=True)
class Limits:
    """``release``: of TensorRT, None where it is not known; ``capability``: compute capability of the GPU, None likewise."""

    max_opset: int
    max_ir: int
    release: Version | None = None
    capability: Version | None = None

    @property
    def strongly_typed(self) -> bool:
        """Whether the graph's types are the engine's; taken to be so where nothing is known."""
        return self.release is None or self.release >= STRONGLY_TYPED_SINCE

    @property
    def stores_integers(self) -> bool:
        """Whether weights may be stored in int8. Unknown means no: float weights behind a pair are taken by every release."""
        return self.release is not None and self.release >= STORED_WEIGHTS_SINCE

    @property
    def has_sparse_units(self) -> bool:
        """Whether 2:4 sparsity gains anything: tensor cores of compute capability 8.0 (Ampere) and later."""
        return self.capability is not None and self.capability >= (8, 0)

    @property
    def has_int8(self) -> bool:
        """int8 dot products: from compute capability 6.1 on, except 6.2. The Jetson Nano has none, and TensorRT no int8 there."""
        return self.capability is None or (self.capability >= (6, 1) and self.capability != (6, 2))


def installed_version(site: Site) -> str | None:
    """TensorRT's version as the device's probe found it."""
    return site.device.runtimes.get("tensorrt") if site.device else None


def limits(site: Site) -> Limits:
    """What is known of ``site``: from its device where there is one, otherwise from its profile."""
    name = site.profile.name
    release = _version(installed_version(site)) or (LAST_RELEASE.get(name) if site.device is None else None)
    capability = _version(site.device.runtimes.get("cuda-compute-capability") if site.device else None) or CAPABILITY.get(name)
    opset, ir = READS[max(known for known in READS if known <= max(release, min(READS)))] if release else EVERYWHERE
    return Limits(opset, ir, release, capability)


def _version(text: str | None) -> Version | None:
    found = re.match(r"(\d+)\.(\d+)", text or "")
    return (int(found[1]), int(found[2])) if found else None


def dotted(version: Version | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"
