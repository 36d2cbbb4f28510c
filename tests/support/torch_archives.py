"""Archives laid out like those of ``torch.export.save``, made and changed without torch."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

PROGRAM = "net/models/model.json"
SAMPLES = "net/data/sample_inputs/model.pt"
WEIGHTS = "net/data/weights/model_weights_config.json"
NO_WEIGHTS = json.dumps({"config": {}}).encode()


class Touches:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def saved(value: Any) -> bytes:
    """``torch.save`` of a value without tensors."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, protocol=2))
        archive.writestr("archive/version", b"3\n")
        archive.writestr("archive/byteorder", b"little")
    return stream.getvalue()


def two_faced(shown: bytes, hidden: bytes) -> bytes:
    """An archive in which Python sees what ``shown`` holds, and PyTorch ``hidden``; both must name the same files.

    Python looks for the directory right before the end record, PyTorch where that says it is.
    """
    (front, listed, end), (hidden_front, hidden_listed, _) = _parts(shown), _parts(hidden)
    assert len(listed) == len(hidden_listed)
    start = len(hidden_front) + len(hidden_listed)
    shift = start + len(front) - len(hidden_front)  # what Python adds to every offset
    directory, place = bytearray(listed), 0
    while place < len(directory):
        lengths = struct.unpack_from("<HHH", directory, place + 28)
        (offset,) = struct.unpack_from("<I", directory, place + 42)
        struct.pack_into("<I", directory, place + 42, (offset + start - shift) & 0xFFFFFFFF)
        place += 46 + sum(lengths)
    last = bytearray(end)
    struct.pack_into("<I", last, 16, len(hidden_front))
    return hidden_front + hidden_listed + front + bytes(directory) + bytes(last)


def _parts(archive: bytes) -> tuple[bytes, bytes, bytes]:
    """What lies in front of a zip's directory, the directory, and its end record."""
    end = archive.rindex(b"PK\5\6")
    size, offset = struct.unpack_from("<II", archive, end + 12)
    return archive[:offset], archive[offset : offset + size], archive[end:]


def minimal() -> dict[str, bytes]:
    """Every entry that an archive has; its program is none that PyTorch would load."""
    return {
        "net/archive_format": b"pt2",
        "net/archive_version": b"0",
        "net/byteorder": b"little",
        "net/.data/version": b"6\n",
        "net/.data/serialization_id": b"0" * 40,
        PROGRAM: json.dumps({"graph_module": {"graph": {"nodes": []}}, "guards_code": []}).encode(),
        SAMPLES: saved(((), {})),
        "net/data/weights/weight_0": b"\0" * 64,
        WEIGHTS: NO_WEIGHTS,
        "net/data/constants/model_constants_config.json": NO_WEIGHTS,
        "net/extra/remark.txt": b"for the author",
    }


def write(path: Path, entries: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def named(entries: Mapping[str, bytes], ending: str) -> str:
    """The entry whose name ends so, under whatever folder the archive has."""
    return next(name for name in entries if name.endswith(ending))


def changed(source: Path, target: Path, ending: str, data: bytes) -> Path:
    """A copy with one entry replaced."""
    entries = read(source)
    return write(target, {**entries, named(entries, ending): data})


def edited(source: Path, target: Path, before: str, after: str) -> Path:
    """A copy whose program has another text in it; it must occur."""
    program = read(source)[named(read(source), "models/model.json")].decode()
    assert before in program
    return changed(source, target, "models/model.json", program.replace(before, after).encode())
