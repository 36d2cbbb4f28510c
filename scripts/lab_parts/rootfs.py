"""The devices' common file system: Debian 12 for arm64, an SSH server, Python 3.11, numpy and ONNX Runtime. Built once, kept.

Nothing is emulated while it is built: packages are only unpacked, wheels are resolved for the device by this machine's pip, and
Python's modules are compiled here where this Python is of the same version.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from . import system
from .state import LabError, give_to_user, lab_folder, run, say

SUITE = "bookworm"
PYTHON_VERSION = "3.11"
PACKAGES = (
    "python3,openssh-server,libc-bin,libstdc++6,libgomp1,bash,dash,coreutils,procps,grep,sed,findutils,hostname,util-linux,"
    "base-files,base-passwd,netbase"
)
WHEELS = ("numpy", "onnxruntime", "ai-edge-litert")
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
UNUSED = ("doc", "man", "locale", "info", "perl", "perl5")
USER_ID = 1000
_FORMAT = "3"  # of what is built here: a new one is built anew
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nedge:x:1000:1000:edge:/home/edge:/bin/bash\n",
    "etc/group": "root:x:0:\ntty:x:5:\nedge:x:1000:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nsshd:*:19000::::::\nnobody:*:19000::::::\nedge:*:19000:0:99999:7:::\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    # The same device with an older core: name this as the interpreter (`edgekit devices add --python`).
    "usr/local/bin/python3-cortex-a53": '#!/bin/sh\nQEMU_CPU=cortex-a53 exec /usr/bin/python3 "$@"\n',
}
_FOLDERS = ("home/edge/.ssh", "root/.ssh", "run/sshd", "proc", "sys", "dev/pts", "dev/shm", "tmp", "mnt")


def folder() -> Path:
    return lab_folder() / "rootfs"


def client_key() -> Path:
    """The private key that every device lets in."""
    return lab_folder() / "keys" / "id_ed25519"


def host_key() -> Path:
    return lab_folder() / "keys" / "host_ed25519"


def build() -> None:
    """Make the file system, or leave the finished one as it is."""
    lab_folder().mkdir(parents=True, exist_ok=True)
    stamp = lab_folder() / "stamp"
    wanted = "|".join((_FORMAT, SUITE, PACKAGES, *WHEELS))
    with _alone():
        if stamp.exists() and stamp.read_text() == wanted:
            return
        stamp.unlink(missing_ok=True)
        shutil.rmtree(folder(), ignore_errors=True)
        run(
            f"unpacking Debian {SUITE} for arm64",
            ["mmdebstrap", "--quiet", "--architectures=arm64", "--variant=extract", f"--include={PACKAGES}",
             "--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=APT::Install-Recommends \"false\"",
             SUITE, folder(), *system.debian_mirror()],
        )  # fmt: skip
        _make_keys()
        _configure(folder())
        packages = folder() / f"usr/local/lib/python{PYTHON_VERSION}/dist-packages"
        run(
            f"installing {', '.join(WHEELS)} for aarch64",
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
             "--implementation=cp", f"--python-version={PYTHON_VERSION}", *(f"--platform={name}" for name in PLATFORMS),
             f"--target={packages}", "--no-compile", *WHEELS],
        )  # fmt: skip
        _compile(packages)
        stamp.write_text(wanted)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with (lab_folder() / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_keys() -> None:
    for path in (client_key(), host_key()):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            run(f"making {path.name}", ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "edgekit-lab", "-f", path])
    for path in (client_key().parent, client_key(), client_key().with_suffix(".pub")):
        give_to_user(path)


def _configure(root: Path) -> None:
    for name in UNUSED:
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "etc/shadow").chmod(0o600)
    (root / "usr/local/bin/python3-cortex-a53").chmod(0o755)
    (root / "tmp").chmod(0o1777)
    key = root / "etc/ssh/ssh_host_ed25519_key"
    key.write_bytes(host_key().read_bytes())
    key.chmod(0o600)
    for home, user in (("root", 0), ("home/edge", USER_ID)):
        authorized = root / home / ".ssh/authorized_keys"
        authorized.write_text(client_key().with_suffix(".pub").read_text())
        for path, mode in ((root / home, 0o700), (authorized.parent, 0o700), (authorized, 0o600)):
            path.chmod(mode)
            os.chown(path, user, user)


def _compile(packages: Path) -> None:
    """Nobody ran the packages' scripts, and a module that is compiled anew at each import takes seconds where all is emulated."""
    root = folder()
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    python = sys.executable if here == PYTHON_VERSION else shutil.which(f"python{PYTHON_VERSION}")
    inside = ["-m", "compileall", "-q", "-j", "0"]
    library = root / "usr/lib" / f"python{PYTHON_VERSION}"
    # Files that are not meant to compile make compileall fail; what is missing is compiled at import, as ever.
    if python is not None:
        argv: list[str | Path] = [python, *inside, "-s", root, "-p", "/", library, packages]
    else:
        say("no Python 3.11 here: the device's own compiles its modules, which takes a few minutes")
        argv = ["chroot", root, "/usr/bin/python3", *inside, "/usr/lib/python3.11", f"/{packages.relative_to(root)}"]
    say("compiling Python's modules ...")
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if not any(library.glob("__pycache__/*.pyc")):
        raise LabError("Python's modules could not be compiled for the device")
