"""A ``.pt2`` archive, examined before PyTorch touches it, and rewritten so that PyTorch reads exactly what was examined.

``torch.export.save`` writes a zip whose entries are stored, not packed; the program is JSON, weights are raw bytes (in
older files pickles). What PyTorch gets is a new archive: two readers of one zip may disagree on what is in it, and a copy of the
known entries leaves nothing to disagree on. Without the user's trust archives inside it are copied so as well, and the copy lacks
the sample inputs and all remarks.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import ModelError
from .torch_pickles import code_in_saved
from .torch_program import code_in_payloads, code_in_program, read_json, without_remarks

HOW_TO_SAVE = "write one with torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2')"
_TRUST = (
    "--trust-model (trust_model=True in Python) lets PyTorch load it as code: whatever it holds then runs with your rights, so "
    "give it only for a file whose maker you trust"
)
_LARGEST_COUNT = 100_000
_NATIVE = re.compile(
    r"data/(aotinductor|executorch|mtia)\b.*|.*\.(so|dll|dylib|o|a|cubin|ptx|hsaco|cpp|cu|py|pyc|pte)", re.I | re.S
)
_EXTRA = re.compile(r"extra(_files)?/.*", re.S)
_OBJECT = re.compile(r"data/constants/(custom_obj|opaque_obj)_[0-9]+")
_RAW = re.compile(
    r"data/weights/weight_[0-9]+|data/constants/tensor_[0-9]+|archive_format|archive_version|byteorder|version|\.data/\w+"
)
_PAYLOADS = re.compile(r"data/(weights|constants)/model_\w+\.json")
_PROGRAMS = ("models/model.json", "serialized_exported_program.json")
_SAVED = re.compile(r"data/(weights|constants|sample_inputs)/model\.pt|serialized_(state_dict|constants|example_inputs)\.pt")
_SAMPLES = ("data/sample_inputs/model.pt", "serialized_example_inputs.pt")


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """The archive and its entries by name, without the folder that all of them lie in.

    Raises:
        ModelError: not a program that ``torch.export.save`` wrote, damaged, or with entries that no honest writer makes.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(40)
            if start.startswith(b"version https://git-lfs"):
                raise ModelError(f"{path.name} is a Git LFS pointer, not the model", hint="run `git lfs pull`")
            if start.startswith(b"\x80"):
                raise ModelError(f"{path.name} is a Python pickle under another name", why="it was not loaded", hint=HOW_TO_SAVE)
            with zipfile.ZipFile(stream) as archive:
                yield archive, _entries(archive, path)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as problem:
        why = "it is empty, cut off, damaged, or in another format"
        raise ModelError(f"{path.name} is not a whole .pt2 archive", why=f"{why} ({problem})", hint=HOW_TO_SAVE) from problem
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):  # of a copy that is being written
            raise
        raise ModelError(f"cannot read {path}", why=problem.strerror or str(problem)) from problem


def write_checked(path: Path, target: Path, *, trusted: bool) -> None:
    """Write to ``target`` what of ``path`` PyTorch may read.

    Raises:
        ModelError: the archive is not a program, holds compiled code or, unless ``trusted``, anything that PyTorch would run.
    """
    with open_archive(path) as (archive, entries), zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copy:
        for name, entry in entries.items():
            if _EXTRA.fullmatch(name):
                continue  # for the author's own use; the program does not need it
            reason = "" if trusted else _code_in(archive, name, entry)
            if reason:
                raise ModelError(f"{path.name} is refused, and was not loaded", why=f"{reason} ({name[:100]})", hint=_TRUST)
            if name in _SAMPLES and not trusted:
                copy.writestr(entry.filename, b"")
            elif name in _PROGRAMS and not trusted:
                copy.writestr(entry.filename, json.dumps(without_remarks(read_json(archive.read(entry)))))
            else:
                with archive.open(entry) as source, copy.open(entry.filename, "w", force_zip64=True) as sink:
                    if _SAVED.fullmatch(name) and entry.file_size and not trusted:
                        _copy_entries(source, sink)
                    else:
                        shutil.copyfileobj(source, sink, 1 << 20)


def _copy_entries(source: IO[bytes], sink: IO[bytes]) -> None:
    """Of an archive in the archive, what :func:`code_in_saved` has examined, for the same reason: nothing to disagree on."""
    with zipfile.ZipFile(source) as saved, zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as copy:
        for entry in saved.infolist():
            with saved.open(entry) as stream, copy.open(entry.filename, "w", force_zip64=True) as written:
                shutil.copyfileobj(stream, written, 1 << 20)


def _code_in(archive: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo) -> str:
    """Why PyTorch would run something of this entry; empty when it would not."""
    if _OBJECT.fullmatch(name):
        return "it holds an object of a custom class"
    if _SAVED.fullmatch(name):
        with archive.open(entry) as stream:
            return code_in_saved(stream, entry.file_size)
    if name not in _PROGRAMS and not _PAYLOADS.fullmatch(name):
        return ""
    try:
        document = read_json(archive.read(entry))
    except ValueError as problem:
        return f"it is not JSON: {problem}"
    if name in _PROGRAMS:
        return code_in_program(without_remarks(document))
    return code_in_payloads(document, "weight_" if "/weights/" in name else "tensor_")


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _LARGEST_COUNT or sum(info.file_size for info in infos) > path.stat().st_size:
        raise ModelError(f"{path.name} is refused", why="its entries claim to be larger than the file", hint=HOW_TO_SAVE)
    for info in infos:
        reason = _odd(info)
        if reason:
            raise ModelError(f"{path.name} is refused", why=f"its entry {info.filename[:100]!r} {reason}", hint=HOW_TO_SAVE)
    names = [info.filename for info in infos]
    roots = {name.partition("/")[0] for name in names}
    if not any(name in _PROGRAMS for name in names) and len(roots) == 1:
        names = [name.partition("/")[2] for name in names]
    if len(set(names)) != len(names):
        raise ModelError(f"{path.name} is refused", why="it names an entry twice", hint=HOW_TO_SAVE)
    _check_kind(names, path)
    return dict(zip(names, infos, strict=True))


def _odd(info: zipfile.ZipInfo) -> str:
    """What is wrong with an entry that ``torch.export.save`` cannot have written; empty for an honest one."""
    name = info.filename
    if "\0" in info.orig_filename or "\\" in info.orig_filename or name.startswith("/") or ":" in name or ".." in name.split("/"):
        return "points out of the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a symbolic link"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return "is packed, which torch.export.save never does"
    return ""


def _check_kind(names: list[str], path: Path) -> None:
    """Refuse archives of other kinds, compiled code and whatever is not known to belong to a program."""
    native = next((name for name in names if _NATIVE.fullmatch(name)), None)
    if native is not None:
        raise ModelError(
            f"{path.name} holds compiled code",
            why=f"{native[:100]!r} is run by the processor as it is, nobody can examine it, and it fits one machine",
            hint=f"give the exported program, not the AOTInductor or ExecuTorch package: {HOW_TO_SAVE}",
        )
    if not any(name in names for name in _PROGRAMS):
        if any(name.startswith("models/") and name.endswith(".json") for name in names):
            raise ModelError(f"{path.name} holds no program called 'model'", why="or several of them", hint=HOW_TO_SAVE)
        kind = "holds no exported program"
        if "data.pkl" in names:
            kind = "is TorchScript" if any(name.startswith("code/") for name in names) else "is what torch.save writes: a pickle"
        raise ModelError(f"{path.name} {kind}, and was not loaded", why="a .pt2 holds an exported program", hint=HOW_TO_SAVE)
    known = (_RAW, _OBJECT, _SAVED, _PAYLOADS, _EXTRA)
    for name in names:
        if name not in _PROGRAMS and not any(pattern.fullmatch(name) for pattern in known):
            why = f"edgekit does not know what its entry {name[:100]!r} is for"
            raise ModelError(f"{path.name} is refused, and was not loaded", why=why, hint=HOW_TO_SAVE)
