"""What somebody may do to a bundle, by name: damage, links, pipes, huge files, and a manifest that lies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.bundle import MANIFEST
from edgekit.errors import IntegrityError
from edgekit.manifest import self_hash
from edgekit.types import sha256_file


def edit(bundle: Path, change: Callable[[Any], object]) -> None:
    """What somebody does who knows the format: the manifest's own hash is right again."""
    document = json.loads((bundle / MANIFEST).read_text())
    change(document)
    with contextlib.suppress(IntegrityError):
        document["self_sha256"] = self_hash(document)
    (bundle / MANIFEST).write_text(json.dumps(document))


def list_anew(bundle: Path, name: str) -> None:
    """Makes the list agree with what now stands at ``name``."""
    entry = {"sha256": sha256_file(bundle / name), "size_bytes": (bundle / name).stat().st_size}
    edit(bundle, lambda m: m["files"].update({name: entry}))


def _hardlink(bundle: Path) -> None:
    outside = bundle.parent / "outside"
    os.link(bundle / "artifact/model.onnx", outside)


def _replace_by_link(bundle: Path) -> None:
    shutil.move(bundle / "artifact/model.onnx", bundle.parent / "model.onnx")
    (bundle / "artifact/model.onnx").symlink_to(bundle.parent / "model.onnx")


def _folder_by_link(bundle: Path) -> None:
    shutil.move(bundle / "golden", bundle.parent / "golden")
    (bundle / "golden").symlink_to(bundle.parent / "golden")


def _fifo(bundle: Path) -> None:
    (bundle / "README.md").unlink()
    os.mkfifo(bundle / "README.md")


def _manifest_fifo(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    os.mkfifo(bundle / MANIFEST)


def _manifest_folder(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    (bundle / MANIFEST).mkdir()


def _manifest_link(bundle: Path) -> None:
    shutil.move(bundle / MANIFEST, bundle.parent / MANIFEST)
    (bundle / MANIFEST).symlink_to(bundle.parent / MANIFEST)


def _huge_manifest(bundle: Path) -> None:
    os.truncate(bundle / MANIFEST, 1 << 40)


def _huge_file(bundle: Path) -> None:
    """A sparse file of a petabyte, declared honestly."""
    try:
        os.truncate(bundle / "README.md", 1 << 43)
    except OSError:
        os.truncate(bundle / "README.md", 1 << 38)
    edit(bundle, lambda m: m["files"]["README.md"].update(size_bytes=(bundle / "README.md").stat().st_size))


def replace_text(bundle: Path, old: str, new: str) -> None:
    text = (bundle / MANIFEST).read_text()
    assert old in text
    (bundle / MANIFEST).write_text(text.replace(old, new, 1))


def _raw(text: str) -> Callable[[Path], object]:
    return lambda bundle: (bundle / MANIFEST).write_text(text)


def edited(change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda bundle: edit(bundle, change)


FILE = {"sha256": "0" * 64, "size_bytes": 1}
ATTACKS: dict[str, Callable[[Path], object]] = {
    "flip": lambda b: (b / "README.md").write_bytes((b / "README.md").read_bytes().replace(b"edgekit", b"edgekid")),
    "truncate": lambda b: os.truncate(b / "artifact/model.onnx", 10),
    "append": lambda b: (b / "README.md").write_text((b / "README.md").read_text() + "x"),
    "remove": lambda b: (b / "runner/device.py").unlink(),
    "add": lambda b: (b / "artifact/extra.bin").write_bytes(b"x"),
    "add-hidden": lambda b: (b / ".hidden").write_bytes(b"x"),
    "add-weird-name": lambda b: (b / "a\nb").write_bytes(b"x"),
    "hard link": _hardlink,
    "symbolic link": _replace_by_link,
    "folder by link": _folder_by_link,
    "pipe": _fifo,
    "manifest by pipe": _manifest_fifo,
    "manifest by link": _manifest_link,
    "manifest a folder": _manifest_folder,
    "manifest gone": lambda b: (b / MANIFEST).unlink(),
    "manifest huge": _huge_manifest,
    "manifest empty": _raw(""),
    "manifest list": _raw("[]"),
    "manifest null": _raw("null"),
    "manifest binary": lambda b: (b / MANIFEST).write_bytes(b"\xff\xfe\x00"),
    "deep": _raw("[" * 200_000),
    "deep object": _raw('{"a":' * 900 + "1" + "}" * 900),
    "long number": _raw('{"a": ' + "9" * 100_000 + "}"),
    "nan": edited(lambda m: m["report"].update(wall_s=float("nan"))),
    "key twice": lambda b: replace_text(b, '"tools":', '"tools": {}, "tools":'),
    "unknown key": edited(lambda m: m.update(extra=1)),
    "unknown inner key": edited(lambda m: m["artifact"].update(extra=1)),
    "key gone": edited(lambda m: m.pop("tools")),
    "other schema": edited(lambda m: m.update(schema="edgekit.bundle/2")),
    "report of another schema key": edited(lambda m: m["report"].pop("winner")),
    "deep calibration": edited(lambda m: m.update(calibration=json.loads('{"a":' * 70 + "1" + "}" * 70))),
    "absolute path": edited(lambda m: m["files"].update({"/etc/passwd": FILE})),
    "climbing path": edited(lambda m: m["files"].update({"a/../../x": FILE})),
    "backslash path": edited(lambda m: m["files"].update({"..\\x": FILE})),
    "empty path": edited(lambda m: m["files"].update({"": FILE})),
    "dot path": edited(lambda m: m["files"].update({"./README.md": FILE})),
    "nul path": edited(lambda m: m["files"].update({"a\0b": FILE})),
    "long path": edited(lambda m: m["files"].update({"a/" * 5000 + "b": FILE})),
    "listed but missing": edited(lambda m: m["files"].update({"a": FILE})),
    "huge size": edited(lambda m: m["files"]["README.md"].update(size_bytes=1 << 62)),
    "negative size": edited(lambda m: m["files"]["README.md"].update(size_bytes=-1)),
    "float size": edited(lambda m: m["files"]["README.md"].update(size_bytes=1.5)),
    "bad hash": edited(lambda m: m["files"]["README.md"].update(sha256="x")),
    "upper-case hash": edited(lambda m: m["files"]["README.md"].update(sha256="A" * 64)),
    "honest petabyte": _huge_file,
    "too many files": edited(lambda m: m["files"].update({f"f{i}": FILE for i in range(10_001)})),
    "entry outside": edited(lambda m: m["artifact"].update(entry="../x")),
    "artifact file outside": edited(lambda m: m["artifact"]["files"].update({"../x": "0" * 64})),
    "damaged evidence": lambda b: replace_text(b, "nothing is faster", "all is faster"),
    "infinite number": lambda b: replace_text(b, '"wall_s": 12.5', '"wall_s": 1e999'),
    "two hashes": edited(lambda m: m["artifact"]["files"].update({"model.onnx": "0" * 64})),
    "runner code outside": edited(lambda m: m["runner"].update(code=["/bin/sh"])),
    "runner file outside": edited(lambda m: m["runner"].update(files=["../x"])),
    "golden outside": edited(lambda m: m["golden"].update(inputs="/etc/passwd")),
}
