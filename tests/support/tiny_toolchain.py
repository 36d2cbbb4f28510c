"""A toolchain of one small package that needs no index: a wheel in a folder, and a lock with its hash."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from edgekit.toolchain_locks import Toolchain, read_toolchain, this_platform

NAME = "edgekit_tiny_tool"
_MODULE = b"def greet(name: str) -> str:\n    return 'hello ' + name\n"


def tiny_toolchain(folder: Path, monkeypatch: pytest.MonkeyPatch, *, imports: str = NAME, sha256: str | None = None) -> Toolchain:
    """The toolchain ``tiny``; pip finds its wheel, and nothing else, while the test runs."""
    wheels, place = folder / "wheels", folder / "tiny"
    wheels.mkdir(parents=True)
    place.mkdir()
    wheel = _write_wheel(wheels)
    digest = sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest()
    (place / f"{this_platform()}.txt").write_text(f"# a lock\n{NAME}==1.0 --hash=sha256:{digest}\n")
    (place / "toolchain.toml").write_text(
        f'schema = 1\nabout = "greets"\nsize_bytes = 1000\nimports = ["{imports}"]\npackages = ["{NAME}==1.0"]\n'
    )
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_INDEX_URL", (folder / "no-index").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return read_toolchain(place)


def _write_wheel(folder: Path) -> Path:
    info = f"{NAME}-1.0.dist-info"
    files = {
        f"{NAME}.py": _MODULE,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    path = folder / f"{NAME}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            wheel.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return path
