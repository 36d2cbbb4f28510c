"""What a push sends, and what it says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.guests import Toy
from support.remote import board

from edgekit.devices import AgentSession
from edgekit.errors import DeviceRunError


def test_a_second_push_sends_next_to_nothing(toy: Toy, tmp_path: Path) -> None:
    for name in ("a.bin", "b/c.bin"):
        toy.add_file(name, name.encode() * 100_000)
    size_bytes = sum(path.stat().st_size for path in toy.artifact.rglob("*.bin"))
    transport = board(tmp_path).transport
    sent = []
    for _ in range(2):
        with AgentSession(transport, {}) as session:
            session.push(toy.artifact, toy.files)
            sent.append(session.sent_bytes)
    assert sent[0] >= size_bytes
    assert sent[1] < 0.01 * size_bytes


def test_more_than_the_disk_holds_is_exit_code_7(tmp_path: Path) -> None:
    """The file is one large hole: it takes no room here, and nobody has so much there."""
    (tmp_path / "huge").mkdir()
    huge = tmp_path / "huge" / "model.bin"
    with huge.open("wb") as stream:
        stream.truncate(1 << 43)
    device = board(tmp_path)
    with AgentSession(device.transport, {}) as session, pytest.raises(DeviceRunError) as caught:
        session.push(huge.parent, {"model.bin": "0" * 64})
    assert caught.value.exit_code == 7
    assert f"{huge.stat().st_size} bytes are needed and " in caught.value.why
    assert "free some space" in caught.value.hint
    assert list((tmp_path / "board/guest/blobs").iterdir()) == []
