"""What an NVIDIA Jetson, or a machine with an NVIDIA GPU, says of itself: releases, GPU, power mode, clocks. Nothing is changed.

Pure parsers over text, and readers of a root folder, so that tests build any board's tree. Formats: NVIDIA's Jetson Linux Developer
Guide ("Supported Modes and Power Efficiency", nvpmodel, jetson_clocks) of releases 32 to 39, and what boards print.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .memory import read_text
from .meters.program import find_program

NVPMODEL = ("usr/sbin/nvpmodel",)
JETSON_CLOCKS = ("usr/bin/jetson_clocks",)
NVIDIA_SMI = ("usr/bin/nvidia-smi",)
TIMEOUT_S = 10.0
_MAX_MODES = 64
_MAX_OUTPUT_BYTES = 1 << 16
#: Compute capability of the GPU in each chip: https://developer.nvidia.com/cuda-gpus.
CAPABILITIES = {"tegra210": "5.3", "tegra186": "6.2", "tegra194": "7.2", "tegra234": "8.7", "tegra264": "11.0"}
#: JetPack by the release of Jetson Linux (L4T) that it brings: https://developer.nvidia.com/embedded/jetpack-archive.
JETPACKS = {
    "32.4.3": "4.4", "32.4.4": "4.4.1", "32.5": "4.5", "32.5.1": "4.5.1", "32.6.1": "4.6", "32.7.1": "4.6.1", "32.7.2": "4.6.2",
    "32.7.3": "4.6.3", "32.7.4": "4.6.4", "32.7.5": "4.6.5", "32.7.6": "4.6.6",
    "35.1": "5.0.2", "35.2.1": "5.1", "35.3.1": "5.1.1", "35.4.1": "5.1.2", "35.5": "5.1.3", "35.6": "5.1.4",
    "35.6.1": "5.1.5",
    "36.3": "6.0", "36.4": "6.1", "36.4.3": "6.2", "36.4.4": "6.2.1", "36.5": "6.2.2",
    "38.2": "7.0", "38.4": "7.1", "39.2": "7.2", "39.2.1": "7.2.1",
}  # fmt: skip
_GENERATIONS = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}
_RELEASE = re.compile(r"^# R(\d{1,3}) \(release\), REVISION: (\d{1,3}(?:\.\d{1,3}){0,2})\b", re.MULTILINE)
_MODE = re.compile(r"^NV Power Mode: ([A-Za-z0-9_. +-]{1,40}?)[ \t]*$", re.MULTILINE)
_MODE_ID = re.compile(r"^[ \t]*(\d{1,3})[ \t]*$", re.MULTILINE)
_STATUS = re.compile(r"^pmode:0*(\d{1,3})\b", re.MULTILINE)
_POWER_MODEL = re.compile(r"^[ \t]*<[ \t]*POWER_MODEL[ \t]+ID=(\d{1,3})[ \t]+NAME=([^\s>]{1,40})[ \t]*>", re.MULTILINE)
_CLOCK = re.compile(
    r"^\s*(GPU|EMC|cpu\d{1,3}|gpu[\w-]{0,30})\b:?.*?\bMinFreq=(\d{1,12}) MaxFreq=(\d{1,12}) CurrentFreq=(\d{1,12})\b"
)
_OFF = re.compile(r"\bOnline=0\b")
_CUDA_TEXT = re.compile(r"^CUDA Version (\d{1,3}\.\d{1,3}(?:\.\d{1,5})?)", re.MULTILINE)
_LIBRARY = re.compile(r"\.so\.(\d{1,3}(?:\.\d{1,3}){1,3})\Z")


class Clock(NamedTuple):
    """Hertz."""

    minimum: float
    maximum: float
    current: float


# ---------------------------------------------------------------- pure parsers
def parse_release(text: str) -> Optional[str]:
    """``/etc/nv_tegra_release``: ``# R36 (release), REVISION: 4.3, GCID: ...`` is L4T 36.4.3."""
    found = _RELEASE.search(text)
    if found is None:
        return None
    revision = found.group(2)
    return "%s.%s" % (found.group(1), revision[:-2] if revision.endswith(".0") else revision)


def jetpack_of(l4t: str) -> Optional[str]:
    """The JetPack that brings this release of L4T; of one that is not in the list only its generation, "6.x"."""
    generation = _GENERATIONS.get(l4t.partition(".")[0])
    return JETPACKS.get(l4t) or (generation + ".x" if generation else None)


def parse_mode(text: str) -> Optional[Tuple[str, Optional[str]]]:
    """``nvpmodel -q``: the mode's name and its number: ``NV Power Mode: MAXN``, then ``0``. Warnings may stand before."""
    found = _MODE.search(text)
    if found is None:
        return None
    number = _MODE_ID.search(text, found.end())
    return found.group(1), number.group(1) if number else None


def parse_modes(text: str) -> Dict[str, str]:
    """``/etc/nvpmodel.conf``: ``{number: name}`` of the modes that can be set, in its order."""
    return dict(_POWER_MODEL.findall(text)[:_MAX_MODES])


def parse_status(text: str) -> Optional[str]:
    """``/var/lib/nvpmodel/status``: the number of the mode that was set last: ``pmode:0002 fmode:quiet``."""
    found = _STATUS.search(text)
    return found.group(1) if found else None


def parse_clocks(text: str) -> Dict[str, Clock]:
    """``jetson_clocks --show``: ``{cpu0, GPU, EMC, ..: Clock}``. CPUs are told in kHz there, the others in Hz.

    CPUs that the power mode switches off are left out: they are shown with a range that nothing sets.
    """
    found: Dict[str, Clock] = {}
    for line in text.split("\n"):
        match = _CLOCK.match(line)
        if match and len(found) < 64 and not _OFF.search(line):
            factor = 1e3 if match.group(1).startswith("cpu") else 1.0
            found.setdefault(match.group(1), Clock(*(float(value) * factor for value in match.groups()[1:])))
    return found


def parse_cuda(json_text: str, plain_text: str) -> Optional[str]:
    """CUDA's version from ``version.json`` (11 on) or ``version.txt`` (before)."""
    try:
        version = json.loads(json_text)["cuda"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = _CUDA_TEXT.search(plain_text)
        return found.group(1) if found else None
    return version if isinstance(version, str) and re.match(r"\d{1,3}(\.\d{1,5}){1,3}\Z", version) else None


def parse_smi(text: str) -> Optional[Tuple[str, str]]:
    """``nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader``: the first GPU's name and compute capability."""
    for line in text.split("\n"):
        name, _, capability = line.rpartition(",")
        if re.match(r"\d{1,2}\.\d\Z", capability.strip()) and name.strip():
            return name.strip()[:80], capability.strip()
    return None


def chip_of(board_ids: Sequence[str]) -> Optional[str]:
    """``tegra234`` from the device tree's ``compatible``."""
    for text in board_ids:
        maker, _, chip = text.partition(",")
        if maker == "nvidia" and chip in CAPABILITIES:
            return chip
    return None


def library_version(names: Sequence[str]) -> Optional[str]:
    """The longest version among file names such as ``libnvinfer.so.10.3.0``; of several as long, the latest."""
    found = [match.group(1) for match in (_LIBRARY.search(name) for name in names) if match]
    return max(found, key=lambda version: (version.count("."), [int(part) for part in version.split(".")])) if found else None


# ---------------------------------------------------------------- readers
def nvidia_runtimes(root: str, board_ids: Sequence[str]) -> Dict[str, str]:
    """``tensorrt``, ``cuda`` and ``cuda-compute-capability`` as far as files tell them, for the probe's ``runtimes``."""
    found: Dict[str, Optional[str]] = {"tensorrt": library_version(_libraries(root, "libnvinfer.so.*"))}
    cuda = os.path.join(root, "usr/local/cuda")
    found["cuda"] = parse_cuda(
        read_text(os.path.join(cuda, "version.json")), read_text(os.path.join(cuda, "version.txt"), 4096)
    ) or library_version([*_libraries(root, "libcudart.so.*"), *glob.glob(os.path.join(glob.escape(cuda), "lib64/libcudart.so.*"))])
    chip = chip_of(board_ids)
    gpu = None if chip else _smi(root)
    found["cuda-compute-capability"] = CAPABILITIES[chip] if chip else gpu[1] if gpu else None
    return {name: version for name, version in found.items() if version is not None}


def read_jetson(root: str, become: Sequence[str] = ()) -> Optional[Dict[str, Any]]:
    """Facts of a Jetson; ``None`` where this is none. ``reasons``: {what could not be read: why}."""
    l4t = parse_release(read_text(os.path.join(root, "etc/nv_tegra_release"), 4096))
    if l4t is None and find_program(root, NVPMODEL) is None:
        return None
    reasons: Dict[str, str] = {}
    number, why = current_mode(root)
    modes = known_modes(root)
    if number is None:
        reasons["power_mode"] = why
    clocks, why = current_clocks(root, become)
    if clocks is None:
        reasons["clocks"] = why
    gpu = next((clocks[name] for name in clocks if name.lower().startswith("gpu")), None) if clocks else None
    return {
        "l4t": l4t,
        "jetpack": jetpack_of(l4t) if l4t else None,
        "power_mode": None if number is None else modes.get(number, number),
        "power_modes": list(modes.values()),
        "gpu_clock_hz": None if gpu is None else [gpu.minimum, gpu.maximum],
        "clocks_locked": None if gpu is None else gpu.minimum == gpu.maximum,
        "reasons": reasons,
    }


def known_modes(root: str) -> Dict[str, str]:
    """``{number: name}`` of the power modes that this board has."""
    return parse_modes(read_text(os.path.join(root, "etc/nvpmodel.conf")))


def current_mode(root: str) -> Tuple[Optional[str], str]:
    """The number of the power mode in force, or why it cannot be told. nvpmodel's own note is read where it may not be asked."""
    program = find_program(root, NVPMODEL)
    if program is None:
        return None, "there is no nvpmodel on this device"
    said, problem = output_of([program, "-q"])
    mode = parse_mode(said)
    if mode is not None:
        by_name = {name: number for number, name in known_modes(root).items()}
        number = mode[1] if mode[1] is not None else by_name.get(mode[0])
        if number is not None:
            return number, ""
    noted = parse_status(read_text(os.path.join(root, "var/lib/nvpmodel/status"), 256))
    if noted is not None:
        return noted, ""
    return None, problem or "nvpmodel -q says nothing of a mode: %.100r" % said


def current_clocks(root: str, become: Sequence[str]) -> Tuple[Optional[Dict[str, Clock]], str]:
    """The clocks that jetson_clocks shows, or why it does not."""
    program = find_program(root, JETSON_CLOCKS)
    if program is None:
        return None, "there is no jetson_clocks on this device"
    said, problem = output_of([program, "--show"])
    clocks = parse_clocks(said)
    if not clocks and become:
        said, problem = output_of([*become, program, "--show"])
        clocks = parse_clocks(said)
    if clocks:
        return clocks, ""
    why = problem or said.strip()[:100] or "it says nothing"
    return None, "jetson_clocks --show needs root on this release (`become` gives it): %s" % why


def _smi(root: str) -> Optional[Tuple[str, str]]:
    program = find_program(root, NVIDIA_SMI)
    if program is None:
        return None
    return parse_smi(output_of([program, "--query-gpu=name,compute_cap", "--format=csv,noheader"])[0])


def _libraries(root: str, pattern: str) -> List[str]:
    folders = ("usr/lib/aarch64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/local/lib")
    return [path for folder in folders for path in glob.glob(os.path.join(glob.escape(os.path.join(root, folder)), pattern))]


def output_of(argv: Sequence[str]) -> Tuple[str, str]:
    """What a program prints, and why it failed; empty when it did not."""
    try:
        done = subprocess.run(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return "", "%s: %s" % (argv[0], problem)
    text = done.stdout[:_MAX_OUTPUT_BYTES].decode("utf-8", "replace")
    return text, "" if done.returncode == 0 else "%s ended with %d: %s" % (" ".join(argv), done.returncode, text.strip()[-200:])
