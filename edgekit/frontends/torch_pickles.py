"""What a pickle would do when PyTorch loads it, read from its opcodes: nothing is unpickled here.

``torch.export.load`` reads some records with ``torch.load(weights_only=True)`` and, when that fails, **again without it**, which
runs whatever the pickle says. So a record is let through only when all it can make is tensors in plain containers.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from typing import IO

#: What may be looked up by name: the functions and types that ``torch.save`` needs for plain tensors.
_TENSOR_GLOBALS = re.compile(
    r"collections OrderedDict"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|tensor_v3|parameter)"
    r"|torch\.serialization _get_layout"
    r"|torch (Size|device)"
    r"|torch (Half|BFloat16|Float|Double|Byte|Char|Short|Int|Long|Bool|ComplexFloat|ComplexDouble)Storage"
    r"|torch\.storage (Typed|Untyped)Storage"
    r"|torch (bool|u?int(8|16|32|64)|bfloat16|float(16|32|64)|complex(64|128))"
)
#: Opcodes that make plain values, look up a global by name, or call one; all that ``torch.save`` writes (protocol 2) for tensors.
_PLAIN_OPCODES = frozenset(
    {
        "PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT",
        "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING",
        "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM",
        "SETITEMS",
    }
)  # fmt: skip
_SAVED_FILES = re.compile(
    r"[^/]+/(data\.pkl|data/[0-9]+|version|byteorder|\.format_version|\.storage_alignment|\.data/(serialization_id|version))"
)
_LARGEST_PICKLE_BYTES = 64 << 20  # the structure only: tensors' bytes lie beside it


def code_in_saved(stream: IO[bytes], size_bytes: int) -> str:
    """Why loading what ``torch.save`` wrote to ``stream`` may run code; empty when it can make nothing but tensors.

    Args:
        stream: seekable, at its beginning.
        size_bytes: its length; no part of it may claim to be longer.
    """
    if size_bytes == 0:
        return ""
    try:
        with zipfile.ZipFile(stream) as saved:
            entries = saved.infolist()
            if (
                any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
                or sum(entry.file_size for entry in entries) > size_bytes
            ):
                return "an archive in it is packed, which torch.save never does"
            names = [entry.filename for entry in entries]
            unknown = [name for name in names if not _SAVED_FILES.fullmatch(name)]
            if unknown or len(set(names)) != len(names):
                return f"an archive in it holds {unknown[0]!r}"[:200] if unknown else "an archive in it names a file twice"
            pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > _LARGEST_PICKLE_BYTES:
                return "an archive in it has no pickle of tensors"
            return code_in_pickle(saved.read(pickles[0]))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):  # the last three: encrypted, odd version, cut off
        return "a record that PyTorch would unpickle is no archive of torch.save"


def code_in_pickle(data: bytes) -> str:
    """Why unpickling ``data`` may run code; empty when it can make nothing but tensors in plain containers."""
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name not in _PLAIN_OPCODES:
                return f"a pickle in it uses {opcode.name}"
            if opcode.name == "GLOBAL" and not _TENSOR_GLOBALS.fullmatch(str(argument)):
                return f"a pickle in it names {str(argument).replace(' ', '.')!r}, which is not part of a tensor"[:200]
    except (ValueError, UnicodeDecodeError) as problem:
        return f"a pickle in it is damaged ({problem})"[:200]
    return ""
