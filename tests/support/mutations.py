"""What somebody hostile, or a bad disk, makes of a folder that a manifest lists: seeded, so that what fails can be made again.

Half of the mutations are by somebody who knows the format: they put the listed hashes and the manifest's own hash right again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import IntegrityError
from edgekit.manifest import self_hash

Change = Callable[[Path, random.Random], None]

HOSTILE_PATHS = (
    "../outside", "a/../../outside", "/tmp/edgekit-outside", "//outside", "C:\\outside", "..\\outside", "a\\b", ".", "..", "",
    "a//b", "a/", "./a", "a\0b", "a\nb", "con:", "a\u202egnp.exe", "x" * 600, "\ud800", "e\u0301/..", "~/.ssh/authorized_keys",
)  # fmt: skip
HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 2**70, 10**400, 1.5, -0.0, "", "x", "\u202e", "\ud800", "\0", "../outside", "/etc/passwd",
    "x" * 100_000, [], [[]], {}, {"a": {"b": {}}}, [1] * 1000, {"schema": 1}, "💥", "9" * 5000, ["../x"],
    "${x}", "%s%s%n", "<script>", "a'b\"c`$(id)",
)  # fmt: skip


def rewritten(folder: Path, manifest: str, change: Callable[[Any], object]) -> None:
    """Changes the manifest and puts its own hash right where it can be."""
    document = json.loads((folder / manifest).read_text())
    change(document)
    with contextlib.suppress(IntegrityError, UnicodeEncodeError, RecursionError):
        document["self_sha256"] = self_hash(document)
    (folder / manifest).write_bytes(json.dumps(document).encode("utf-8", "surrogatepass"))


def relisted(folder: Path, manifest: str, name: str) -> None:
    """Lists a file as it is now."""
    data = (folder / name).read_bytes()

    def change(document: Any) -> None:
        digest = hashlib.sha256(data).hexdigest()
        document["files"][name] = {"sha256": digest, "size_bytes": len(data)}
        artifact = document.get("artifact") or {}
        if name.startswith("artifact/") and isinstance(artifact.get("files"), dict):
            artifact["files"][name.removeprefix("artifact/")] = digest

    rewritten(folder, manifest, change)


def nodes(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a document."""
    yield path
    items = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in items:
        yield from nodes(value, (*path, key))


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


# ---------------------------------------------------------------- kinds of mutations
def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def truncate(folder: Path, rng: random.Random) -> None:
    path = folder / rng.choice(files_of(folder))
    path.write_bytes(path.read_bytes()[: rng.randrange(max(path.stat().st_size, 1))])


def flip(folder: Path, rng: random.Random) -> None:
    path = folder / rng.choice([name for name in files_of(folder) if (folder / name).stat().st_size])
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def knowing(manifest: str, change: Change) -> Change:
    """The same, with every hash put right afterwards."""

    def changed(folder: Path, rng: random.Random) -> None:
        before = {name: (folder / name).read_bytes() for name in files_of(folder)}
        change(folder, rng)
        with contextlib.suppress(ValueError, KeyError, TypeError):  # what it broke is the manifest itself
            for name in files_of(folder):
                if name != manifest and before.get(name) != (folder / name).read_bytes():
                    relisted(folder, manifest, name)

    return changed


def value(manifest: str) -> Change:
    """One value of the manifest becomes another."""

    def changed(folder: Path, rng: random.Random) -> None:
        def change(document: Any) -> None:
            path = rng.choice([path for path in nodes(document) if path])
            _at(document, path[:-1])[path[-1]] = rng.choice(HOSTILE_VALUES)

        rewritten(folder, manifest, change)

    return changed


def removed(manifest: str) -> Change:
    def changed(folder: Path, rng: random.Random) -> None:
        def change(document: Any) -> None:
            path = rng.choice([path for path in nodes(document) if path])
            del _at(document, path[:-1])[path[-1]]

        rewritten(folder, manifest, change)

    return changed


def listed_path(manifest: str) -> Change:
    """A file is listed under a path that leaves the folder, and stands there where that can be."""

    def changed(folder: Path, rng: random.Random) -> None:
        name = rng.choice(HOSTILE_PATHS)

        def change(document: Any) -> None:
            document["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "size_bytes": 1}
            if isinstance(document.get("artifact"), dict) and rng.random() < 0.5:
                document["artifact"]["files"][name] = document["files"][name]["sha256"]
                document["artifact"]["entry"] = name

        rewritten(folder, manifest, change)

    return changed


def text(manifest: str, make: Callable[[str, random.Random], str]) -> Change:
    """The manifest's text is changed without being parsed."""

    def changed(folder: Path, rng: random.Random) -> None:
        path = folder / manifest
        path.write_bytes(make(path.read_text(), rng).encode("utf-8", "surrogatepass"))

    return changed


def linked(folder: Path, rng: random.Random) -> None:
    path = folder / rng.choice(files_of(folder))
    kind = rng.choice(("symlink", "passwd", "hardlink", "folder", "pipe", "loop"))
    if kind == "hardlink":
        os.link(path, folder.parent / f"{folder.name}-outside")
        return
    aside = folder.parent / f"{folder.name}-outside"
    shutil.copyfile(path, aside)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"symlink": str(aside), "passwd": "/etc/passwd", "loop": path.name}[kind])


def unlisted(folder: Path, rng: random.Random) -> None:
    name = rng.choice(
        (".hidden", "artifact/extra", "runner/sitecustomize.py", "a\nb", "edgekit.json.sig2", "e\u0301.txt", "deep/" * 50 + "x")
    )
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("x")


def sparse(folder: Path, rng: random.Random) -> None:
    """A file that claims to be huge and takes no room."""
    os.truncate(folder / rng.choice(files_of(folder)), rng.choice((1 << 33, 1 << 40)))


def declared(manifest: str) -> Change:
    """Sizes and hashes that no file has."""

    def changed(folder: Path, rng: random.Random) -> None:
        def change(document: Any) -> None:
            entry = document["files"][rng.choice(sorted(document["files"]))]
            key = rng.choice(("size_bytes", "sha256"))
            entry[key] = (
                rng.choice((-1, 1 << 36, 1 << 62, 10**300))
                if key == "size_bytes"
                else rng.choice(("", "A" * 64, "0" * 64, "g" * 64))
            )

        rewritten(folder, manifest, change)

    return changed


def archive(manifest: str) -> Change:
    """One of the golden arrays becomes a hostile archive, correctly listed."""

    def changed(folder: Path, rng: random.Random) -> None:
        found = [name for name in files_of(folder) if name.endswith(".npz")]
        if not found:
            flip(folder, rng)
            return
        name = rng.choice(found)
        (folder / name).write_bytes(rng.choice(ARCHIVES)(rng))
        relisted(folder, manifest, name)

    return changed


def _npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


def _npy(header: str, data: bytes = b"") -> bytes:
    raw = header.encode("latin1")
    return b"\x93NUMPY\x02\x00" + len(raw).to_bytes(4, "little") + raw + data


def _objects() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return stream.getvalue()


ARCHIVES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda _: _npz({"x.npy": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }\n")}),
    lambda _: _npz({"x.npy": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n")}),
    lambda _: _npz({"x.npy": _npy("(" * 50_000 + ")" * 50_000)}),
    lambda _: _npz({"x.npy": _npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"cos\nsystem\n(S'id'\ntR.")}),
    lambda _: _npz({"x.npy": _objects()}),
    lambda _: _npz({"x.npy": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (25000000,), }\n", bytes(100_000_000))}),
    lambda _: _npz({"../../outside.npy": b"x", "/tmp/edgekit-outside.npy": b"x"}),
    lambda _: _npz({f"{i}.npy": b"" for i in range(5000)}),
    lambda _: _npz({"x.npy": bytes(1 << 20)}, zipfile.ZIP_BZIP2),
    lambda rng: rng.randbytes(300),
    lambda _: b"",
    lambda _: _npz({}),
)


def _duplicated(source: str, rng: random.Random) -> str:
    key = rng.choice(("schema", "files", "winner", "self_sha256"))
    return source.replace("{", f'{{"{key}": {{}}, ', 1)


TEXTS: tuple[Callable[[str, random.Random], str], ...] = (
    _duplicated,
    lambda source, _: source.replace(": 1", ": NaN", 1),
    lambda source, _: source.replace(": 1", ": -Infinity", 1),
    lambda source, _: source.replace(": 1", ": 1e999", 1),
    lambda source, _: source.replace(": 1", ": " + "1" * 5000, 1),
    lambda source, _: "\ufeff" + source,
    lambda source, _: source + source,
    lambda source, _: source.replace("{", "[" * 100_000, 1),
    lambda source, _: '{"a":' * 100_000,
    lambda source, _: source.replace('"schema"', '"\ud800"', 1),
    lambda source, _: source[:-3] + ', "zzz": [' + "[]," * 2_000_000 + "1]}",
    lambda source, _: source.rstrip()[:-1] + ', "zzz": [' + "[]," * 240_000 + "1]}",
    lambda source, _: source.rstrip()[:-1] + ', "zzz": [' + ",".join(['{"a":' * 60 + "1" + "}" * 60] * 2000) + "]}",
    lambda source, _: source.rstrip()[:-1] + ', "zzz": "💥' + "a" * (15 << 20) + '"}',
    lambda source, _: source.rstrip()[:-1] + ', "zzz": "' + "a" * (33 << 20) + '"}',
    lambda source, _: source.replace('"', "'"),
    lambda source, _: "null",
    lambda source, _: "",
)


def changes(manifest: str) -> list[tuple[str, Change]]:
    """Every kind of mutation of a folder whose manifest has that name, some of them several times for their many forms."""
    kinds: list[tuple[str, Change, int]] = [
        ("truncated", truncate, 10),
        ("flipped", flip, 16),
        ("truncated, relisted", knowing(manifest, truncate), 10),
        ("flipped, relisted", knowing(manifest, flip), 16),
        ("a value", value(manifest), 60),
        ("a value less", removed(manifest), 16),
        ("a listed path", listed_path(manifest), 24),
        ("a declared size or hash", declared(manifest), 10),
        ("a link or pipe", linked, 12),
        ("an unlisted file", unlisted, 8),
        ("a sparse file", sparse, 4),
        ("an archive", archive(manifest), 24),
    ]
    found = [(f"{name} {number}", change) for name, change, times in kinds for number in range(times)]
    return found + [(f"text {number}", text(manifest, make)) for number, make in enumerate(TEXTS)]
