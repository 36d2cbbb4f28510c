"""Bringing files to a device's store: by their paths where it shares this machine's files, else in chunks that can be resumed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import IntegrityError
from .connection import MARGIN_S, Connection, Progress

_HASHED_BYTES_PER_S = 50e6  # what the slowest board is given credit for, when it hashes what has arrived


def push(connection: Connection, folder: Path, files: Mapping[str, str], progress: Progress | None) -> None:
    """See :meth:`edgekit.devices.session.AgentSession.push`."""
    sources = {sha256: folder / relpath for relpath, sha256 in files.items()}
    try:
        sizes = {sha256: path.stat().st_size for sha256, path in sources.items()}
    except OSError as problem:
        raise IntegrityError(f"{problem.filename} is missing", why=problem.strerror or "", hint="build it again") from problem
    answer = connection.ask("need", {"sizes": sizes}, silence_s=connection.timeouts.push_stall_s + MARGIN_S)
    missing = {sha256: int(have) for sha256, have in answer.fields["missing"].items() if sha256 in sizes}
    total = sum(sizes.values())
    done = total - sum(sizes[sha256] - have for sha256, have in missing.items())
    for sha256, have in missing.items():
        send = _hand_over if connection.shares_files else _send
        for sent_bytes in send(connection, sha256, sources[sha256], sizes[sha256], have):
            done += sent_bytes
            if progress is not None:
                progress(done, total, sources[sha256].name)


def _hand_over(connection: Connection, sha256: str, path: Path, size: int, have: int) -> Iterator[int]:
    """Let the agent read the file itself. Yields how many bytes have come to be there."""
    connection.ask("put", {"sha256": sha256, "path": str(path.resolve())}, silence_s=_silence_s(connection, size))
    yield size - have


def _send(connection: Connection, sha256: str, path: Path, size: int, have: int) -> Iterator[int]:
    """Send the file from byte ``have`` on. Yields how many bytes each chunk has brought there."""
    with path.open("rb") as stream:
        stream.seek(have)
        while True:
            chunk = stream.read(connection.pace.chunk_bytes)
            fields = {"sha256": sha256, "offset": have, "size": size}
            began = time.monotonic()
            answer = connection.ask("put", fields, chunk, silence_s=_silence_s(connection, size))
            connection.pace.took(len(chunk), time.monotonic() - began)
            have += len(chunk)
            yield len(chunk)
            if answer.fields["complete"]:
                return
            if not chunk:
                raise IntegrityError(f"{path} became shorter while it was sent", hint="build it again")


def _silence_s(connection: Connection, size: int) -> float:
    return connection.timeouts.push_stall_s + size / _HASHED_BYTES_PER_S
