"""Files of known type for the task ``magika``: found, with the type that their extension says, or made, with the type of the maker.

Nothing hangs on what one machine happens to have: found files come with Python, with the packages that edgekit itself installs, or
with a package pinned in scripts/models.toml; the others are made by the standard library and Pillow out of modules of the standard
library and of a seed. (Another release of Python or numpy has a few other files, hence scores that differ by a point.)
"""

from __future__ import annotations

import ast
import bz2
import configparser
import csv
import difflib
import gzip
import importlib.metadata
import importlib.util
import io
import json
import lzma
import marshal
import pickle
import plistlib
import sqlite3
import sysconfig
import tarfile
import time
import wave
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from task_common import MODELS

PACKAGES = (
    "cattrs",
    "click",
    "numpy",
    "onnx",
    "onnxruntime",
    "pillow",
    "platformdirs",
    "rich",
    "markdown-it-py",
    "Pygments",
    "pip",
)
LIBRARY = (
    ".", "asyncio", "collections", "concurrent/futures", "ctypes", "dbm", "email", "encodings", "html", "http", "importlib", "json",
    "logging", "multiprocessing", "unittest", "urllib", "venv/scripts/common", "venv/scripts/nt", "wsgiref", "xml/dom", "xml/sax",
)  # fmt: skip
MOST_OF_A_TYPE = 60  # found files; otherwise nearly all would be Python
MADE_OF_A_TYPE = 20
FOUND: dict[str, tuple[str, tuple[str, ...]]] = {  # extension -> slice, types that are right
    ".py": ("source", ("python",)),
    ".pyi": ("source", ("python",)),
    ".c": ("source", ("c",)),
    ".h": ("source", ("c", "cpp")),  # the extension does not say which
    ".cc": ("source", ("cpp",)),
    ".cpp": ("source", ("cpp",)),
    ".f": ("source", ("fortran",)),
    ".f90": ("source", ("fortran",)),
    ".js": ("source", ("javascript",)),
    ".css": ("source", ("css",)),
    ".scss": ("source", ("scss",)),
    ".proto": ("source", ("proto",)),
    ".bat": ("source", ("batch",)),
    ".ps1": ("source", ("powershell",)),
    ".json": ("text", ("json",)),
    ".csv": ("text", ("csv",)),
    ".md": ("text", ("markdown",)),
    ".rst": ("text", ("rst",)),
    ".pem": ("text", ("pem",)),
    ".so": ("binary", ("elf", "macho")),
    ".onnx": ("binary", ("onnx",)),
    ".npy": ("binary", ("npy",)),
    ".ttf": ("binary", ("ttf",)),
    ".exe": ("binary", ("pebin",)),
    ".whl": ("archive", ("zip",)),
    ".png": ("media", ("png",)),
}


@dataclass(frozen=True)
class Sample:
    """The content of one file, the types that are right for it, its slice."""

    content: bytes
    right: tuple[str, ...]
    slice_name: str


def samples() -> Iterator[Sample]:
    """All samples, found and made; the caller orders them."""
    taken: dict[tuple[str, ...], int] = {}
    for path in found_paths():
        slice_name, right = FOUND[path.suffix]
        if taken.get(right, 0) < MOST_OF_A_TYPE and path.stat().st_size >= 64:
            taken[right] = taken.get(right, 0) + 1
            yield Sample(path.read_bytes(), right, slice_name)
    modules = [path for path in found_paths(library_only=True) if path.suffix == ".py" and 3000 < path.stat().st_size < 25_000]
    for index, (type_name, (slice_name, make)) in enumerate(MADE.items()):
        for number in range(MADE_OF_A_TYPE):
            rng = np.random.default_rng([13, index, number])
            yield Sample(make(modules[rng.integers(len(modules))], rng), (type_name,), slice_name)


def found_paths(*, library_only: bool = False) -> list[Path]:
    """Files with an extension of ``FOUND``, in an order that has nothing to do with their names."""
    library = Path(sysconfig.get_path("stdlib"))
    paths = [path for folder in LIBRARY for path in (library / folder).glob("*")]
    if not library_only:
        paths += [path for package in PACKAGES for path in package_files(package)]
        paths += [
            path for folder in ("bootstrap", *sorted(p.name for p in MODELS.glob("font-*"))) for path in (MODELS / folder).iterdir()
        ]
    return sorted(
        (path for path in paths if path.suffix in FOUND and path.is_file()), key=lambda path: (zlib.crc32(path.name.encode()), path)
    )


def package_files(package: str) -> Iterable[Path]:
    return (Path(str(file.locate())) for file in importlib.metadata.distribution(package).files or ())


# ---------------------------------------------------------------- made: (a module of the standard library, generator) -> content
def table(module: Path) -> list[dict[str, Any]]:
    """What a module defines: the rows that the textual formats are filled with."""
    body = ast.parse(module.read_bytes()).body
    inner = [node for outer in body if isinstance(outer, ast.ClassDef) for node in outer.body]
    nodes = [node for node in (*body, *inner) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [
        {"name": n.name, "line": n.lineno, "kind": type(n).__name__, "text": (ast.get_docstring(n) or "").split("\n")[0]}
        for n in nodes
    ]


def as_json(module: Path, rng: np.random.Generator) -> bytes:
    indent = (1, 2, 4)[rng.integers(3)]
    return json.dumps({"module": module.stem, "size": module.stat().st_size, "definitions": table(module)}, indent=indent).encode()


def as_jsonl(module: Path, rng: np.random.Generator) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in table(module)).encode()


def as_csv(module: Path, rng: np.random.Generator) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["name", "line", "kind", "text"], delimiter=",;"[rng.integers(2)])
    writer.writeheader()
    writer.writerows(table(module))
    return out.getvalue().encode()


def as_ini(module: Path, rng: np.random.Generator) -> bytes:
    parser, out = configparser.RawConfigParser(), io.StringIO()
    for row in table(module):
        parser[row["name"]] = {key: str(value) for key, value in row.items() if value}
    parser.write(out)
    return out.getvalue().encode()


def as_toml(module: Path, rng: np.random.Generator) -> bytes:
    head = f'[project]\nname = "{module.stem}"\nversion = "{rng.integers(9)}.{rng.integers(20)}.0"\nrequires-python = ">=3.11"\n'
    return (
        head + "".join(f"\n[tool.{row['name']}]\nline = {row['line']}\ntext = {json.dumps(row['text'])}\n" for row in table(module))
    ).encode()


def as_xml(module: Path, rng: np.random.Generator) -> bytes:
    root = ElementTree.Element("module", name=module.stem)
    for row in table(module):
        ElementTree.SubElement(root, row["kind"], name=row["name"], line=str(row["line"])).text = row["text"]
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=bool(rng.integers(2))))


def as_html(module: Path, rng: np.random.Generator) -> bytes:
    lines = module.read_text("utf-8", "replace").splitlines()[: int(rng.integers(20, 60))]
    maker = difflib.HtmlDiff()
    difflib.HtmlDiff._default_prefix = 0  # a counter of the process, which gets into the page
    return maker.make_file(lines, [line for line in lines if rng.random() > 0.05]).encode()


def as_diff(module: Path, rng: np.random.Generator) -> bytes:
    lines = module.read_text("utf-8", "replace").splitlines(keepends=True)
    changed = [line for line in lines if rng.random() > 0.02]
    return "".join(difflib.unified_diff(lines, changed, f"a/{module.name}", f"b/{module.name}")).encode()


def as_eml(module: Path, rng: np.random.Generator) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.org", "ben@example.org", f"About {module.name}"
    message["Date"] = f"Mon, {rng.integers(1, 29):02d} Jun 2026 10:{rng.integers(10, 60)}:00 +0000"
    message.set_content("\n".join(row["text"] for row in table(module)))
    return bytes(message)


def as_plist(form: Any) -> Callable[[Path, np.random.Generator], bytes]:
    return lambda module, rng: plistlib.dumps({"module": module.stem, "definitions": table(module)}, fmt=form)


def as_pickle(module: Path, rng: np.random.Generator) -> bytes:
    return pickle.dumps(table(module), protocol=int(rng.integers(2, 6)))


def as_bytecode(module: Path, rng: np.random.Generator) -> bytes:
    """Version 2 of the format: later ones note which objects are shared, and that changes with what else the process has loaded."""
    code = compile(module.read_bytes(), module.name, "exec", dont_inherit=True)
    return importlib.util.MAGIC_NUMBER + bytes(4) + rng.bytes(4) + len(code.co_code).to_bytes(4, "little") + marshal.dumps(code, 2)


def as_sqlite(module: Path, rng: np.random.Generator) -> bytes:
    database = sqlite3.connect(":memory:")
    try:
        database.execute(f"CREATE TABLE t{rng.integers(99)} (name TEXT, line INTEGER, kind TEXT, text TEXT)")
        name = database.execute("SELECT name FROM sqlite_master").fetchone()[0]
        database.executemany(f"INSERT INTO {name} VALUES (:name, :line, :kind, :text)", table(module))
        database.commit()
        return bytes(database.serialize())
    finally:
        database.close()


def as_npy(module: Path, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    np.save(out, rng.normal(size=(int(rng.integers(3, 40)), 16)).astype(("float32", "float64")[rng.integers(2)]))
    return out.getvalue()


def as_zip(module: Path, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[rng.integers(2)]) as archive:
        for path in [*sorted(module.parent.glob("*.py"))[: int(rng.integers(1, 6))], module]:
            archive.writestr(zipfile.ZipInfo(f"{rng.integers(9)}/{path.name}", (2026, 6, 1, 0, 0, 0)), path.read_bytes())
    return out.getvalue()


def as_tar(module: Path, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=(tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)[rng.integers(2)]) as archive:
        for path in [module, *sorted(module.parent.glob("*.py"))[: int(rng.integers(1, 4))]]:
            entry = tarfile.TarInfo(f"source-{rng.integers(9)}/{path.name}")
            entry.size = path.stat().st_size
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    return out.getvalue()


def as_wav(module: Path, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as recording:
        recording.setnchannels(int(rng.integers(1, 3)))
        recording.setsampwidth(2)
        recording.setframerate((8000, 16000, 44100, 48000)[rng.integers(4)])
        recording.writeframes((8000 * np.sin(np.arange(12000) * rng.uniform(0.01, 0.3))).astype("<i2").tobytes())
    return out.getvalue()


def as_picture(form: str) -> Callable[[Path, np.random.Generator], bytes]:
    def make(module: Path, rng: np.random.Generator) -> bytes:
        from PIL import Image

        out = io.BytesIO()
        # A PDF tells when it was made: the same file each time, in each of the processes that split the files into sets.
        dated = {"creationDate": A_DAY, "modDate": A_DAY} if form == "PDF" else {}
        Image.fromarray(picture(rng)).save(out, form, **dated)
        return out.getvalue()

    return make


def picture(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Smooth waves of colour with a little noise: side x side x 3."""
    side = int(rng.integers(24, 160))
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(2 * np.pi * (rng.uniform(0.5, 4) * x + rng.uniform(0.5, 4) * y + rng.random())) for _ in range(3)]
    return np.clip(127 + 100 * np.stack(waves, -1) + rng.normal(0, 4, (side, side, 3)), 0, 255).astype(np.uint8)


A_DAY = time.gmtime(1_780_000_000)
MADE: dict[str, tuple[str, Callable[[Path, np.random.Generator], bytes]]] = {
    "json": ("text", as_json),
    "jsonl": ("text", as_jsonl),
    "csv": ("text", as_csv),
    "ini": ("text", as_ini),
    "toml": ("text", as_toml),
    "xml": ("text", as_xml),
    "html": ("text", as_html),
    "diff": ("text", as_diff),
    "eml": ("text", as_eml),
    "appleplist": ("text", as_plist(plistlib.FMT_XML)),
    "applebplist": ("binary", as_plist(plistlib.FMT_BINARY)),
    "pickle": ("binary", as_pickle),
    "pythonbytecode": ("binary", as_bytecode),
    "sqlite": ("binary", as_sqlite),
    "npy": ("binary", as_npy),
    "zip": ("archive", as_zip),
    "tar": ("archive", as_tar),
    "gzip": ("archive", lambda module, rng: gzip.compress(module.read_bytes(), int(rng.integers(1, 10)), mtime=0)),
    "bzip": ("archive", lambda module, rng: bz2.compress(module.read_bytes(), int(rng.integers(1, 10)))),
    "xz": ("archive", lambda module, rng: lzma.compress(module.read_bytes())),
    "zlibstream": ("archive", lambda module, rng: zlib.compress(module.read_bytes(), int(rng.integers(1, 10)))),
    "wav": ("media", as_wav),
    **{name: ("media", as_picture(name.upper())) for name in ("png", "bmp", "gif", "jpeg", "webp", "tiff", "ico", "pdf")},
}  # fmt: skip
