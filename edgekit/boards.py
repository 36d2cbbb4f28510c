"""Which device profile a probed device comes closest to, from what it says of itself.

A rule's patterns are looked for in the device's own words: the board's name, the identifiers that drivers go by, the processor's
name. The first rule with a match wins, so a board stands before its chip, and a chip before its maker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .types import DeviceFacts

GENERIC = "generic"
CUDA = "cuda"
_PROCESSORS = ("intel-n", "intel-core-ultra")  # what a PC is known by that has no NVIDIA GPU beside it


@dataclass(frozen=True)
class _Rule:
    """``profile``: its name; ``None`` where only the family is known. ``patterns``: any of them, in lower case."""

    family: str
    profile: str | None
    patterns: tuple[str, ...]


# Identifiers: "compatible" of the boards' device trees in Linux (arch/arm64/boot/dts) and in NVIDIA's Jetson Linux; module numbers
# p3767-0003/4/5 are the Orin Nano, -0000/1 the Orin NX. Android: ro.product.device and ro.soc.model.
_RULES = (
    _Rule("jetson", "jetson-nano", (r"nvidia,jetson-nano\b", r"\bjetson nano\b", r"\bp3448-000[023]\b")),
    _Rule("jetson", "jetson-xavier-nx", (r"\bp3668-000[0-3]\b", r"\bxavier nx\b")),
    _Rule("jetson", "jetson-orin-nano", (r"\bp3767-000[345]\b", r"\borin nano\b")),
    _Rule("jetson", "jetson-agx-orin", (r"\bp3701-00", r"\bagx orin\b")),
    _Rule("jetson", "jetson-thor", (r"\bp3834-00", r"\bthor\b.*\bdeveloper kit\b", r"nvidia,tegra264\b")),
    _Rule("jetson", "jetson-orin-nano", (r"\bp3767-000[01]\b", r"\borin nx\b")),  # the same chip with more of it switched on
    _Rule("jetson", None, (r"nvidia,tegra(210|186|194|234|264)\b",)),
    _Rule("raspberry-pi", "raspberry-pi-zero-2-w", (r"raspberrypi,model-zero-2-w\b", r"\braspberry pi zero 2 w\b")),
    _Rule("raspberry-pi", "raspberry-pi-4",
          (r"raspberrypi,(4-model-b|400|4-compute-module)\b", r"\braspberry pi (4|400|compute module 4)\b")),
    _Rule("raspberry-pi", "raspberry-pi-5",
          (r"raspberrypi,(5-model-b|500|5-compute-module)\b", r"\braspberry pi (5|500|compute module 5)\b")),
    _Rule("raspberry-pi", None, (r"raspberrypi,", r"\braspberry pi\b")),
    _Rule("android", "pixel-8", (r"\bgoogle pixel 8a?( pro)?\b", r"\btensor g3\b")),
    _Rule("android", "snapdragon-8", (r"\bsm8[4-9]50\b",)),
    _Rule("rockchip", "rk3588", (r"rockchip,rk3588s?\b",)),
    _Rule("intel-n", "intel-n100", (r"\bintel(\(r\))? (processor )?n(95|97|100|200)\b",)),
    _Rule("intel-core-ultra", "intel-core-ultra", (r"\bintel(\(r\))? core(\(tm\))? ultra\b",)),
)  # fmt: skip


def recognize(facts: DeviceFacts) -> tuple[str, str | None]:
    """The family that a probed device belongs to, and the profile that comes closest within it (``None``: none does)."""
    family, profile = _by_its_words(facts)
    return (CUDA, "generic-cuda") if has_gpu(facts) and family in (GENERIC, *_PROCESSORS) else (family, profile)


def families(facts: DeviceFacts) -> frozenset[str]:
    """Every family that a probed device may stand for: a PC's processor and its GPU can be of two."""
    return frozenset({_by_its_words(facts)[0], recognize(facts)[0]})


def _by_its_words(facts: DeviceFacts) -> tuple[str, str | None]:
    said = "\n".join([facts.board or "", *facts.board_ids, facts.cpu_model]).lower()
    for rule in _RULES:
        if any(re.search(pattern, said) for pattern in rule.patterns):
            return rule.family, rule.profile
    return _family_of_kernel(facts), None


def has_gpu(facts: DeviceFacts) -> bool:
    """Whether the probe found a GPU that CUDA knows."""
    return "cuda-compute-capability" in facts.runtimes


def _family_of_kernel(facts: DeviceFacts) -> str:
    """Of a device that hides its board, such as one in a container."""
    kernel = facts.kernel.lower()
    if "tegra" in kernel:
        return "jetson"
    if "rpi" in kernel or "raspi" in kernel:
        return "raspberry-pi"
    if facts.system == "Android" or "android" in kernel:
        return "android"
    return GENERIC
