"""Archives whose bytes depend on what is in them alone: sorted, stored (so no zlib has a say), dated 1980."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

_DATE = (1980, 1, 1, 0, 0, 0)


def pack(files: Mapping[str, bytes | Path]) -> bytes:
    """A zip archive with ``files`` in the order of their names."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, date_time=_DATE)
            member.external_attr = 0o644 << 16
            content = files[name]
            archive.writestr(member, content if isinstance(content, bytes) else content.read_bytes())
    return target.getvalue()
