"""What the lab needs of this machine: root, a few packages, and QEMU registered for aarch64 programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from .state import LabError, run

PACKAGES = {
    "qemu-user-static": "qemu-aarch64-static",
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "openssh-client": "ssh-keygen",
    "util-linux": "unshare",
}
_REGISTERED = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
_RULES = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")


class Cpu(NamedTuple):
    """A QEMU processor model as Linux describes that core: ``CPU part`` and ``Features`` of /proc/cpuinfo."""

    part: str
    features: str


_ARMV8_0 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
# Part numbers: MIDR_EL1 in each core's manual, https://developer.arm.com/documentation. Features: what QEMU's model has.
CPUS = {
    "cortex-a53": Cpu("0xd03", _ARMV8_0),
    "cortex-a72": Cpu("0xd08", _ARMV8_0),
    "cortex-a76": Cpu("0xd0b", _ARMV8_2),
    "neoverse-n1": Cpu("0xd0c", _ARMV8_2),
}


def need_root() -> None:
    if os.getuid() != 0:
        raise LabError("needs root: it mounts the device's file system and gives it process numbers of its own; run it with sudo")


def install_packages() -> None:
    missing = [package for package, sign in PACKAGES.items() if not (Path(sign).exists() or shutil.which(sign))]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise LabError(f"needs {', '.join(missing)} and finds no apt-get to install them with")
    run("reading the lists of packages", ["apt-get", "update", "-qq"])
    run(
        f"installing {', '.join(missing)}",
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
        DEBIAN_FRONTEND="noninteractive",
    )


def register_interpreter() -> None:
    """Let the kernel run aarch64 programs through QEMU. The rule keeps QEMU open, so a device's file system needs no copy of it."""
    if _REGISTERED.exists():
        return
    if not os.path.ismount(_REGISTERED.parent):
        run("mounting binfmt_misc", ["mount", "-t", "binfmt_misc", "binfmt_misc", _REGISTERED.parent])
    if not _REGISTERED.exists():
        try:
            (_REGISTERED.parent / "register").write_bytes(_RULES.read_bytes().strip())
        except OSError as problem:
            raise LabError(f"QEMU cannot be registered for aarch64 programs: {problem}") from problem


def debian_mirror() -> list[str]:
    """This machine's own mirror where it is a Debian; elsewhere nothing, and mmdebstrap takes its usual one."""
    try:
        argv = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"]
        sites = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    except OSError:
        sites = []
    return [site for site in sites if site.startswith("http") and "security" not in site][:1]
