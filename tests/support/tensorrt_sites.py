"""A Jetson as its probe would tell it."""

from __future__ import annotations

from edgekit.profiles import get_profile
from edgekit.types import DeviceFacts, Site


def site(tensorrt: str | None = "10.3.0", capability: str = "8.7", profile: str = "jetson-orin-nano") -> Site:
    runtimes = {"tensorrt": tensorrt, "cuda-compute-capability": capability} if tensorrt else {}
    facts = DeviceFacts(
        kind="stand-in", system="Linux", machine="aarch64", python="3.10", cpu_model="", cpu_features=(), cores=6,
        memory_bytes=None, memory_available_bytes=None, runtimes=runtimes,
    )  # fmt: skip
    return Site(get_profile(profile), facts)
