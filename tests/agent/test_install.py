from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgekit.agent import install as installing
from edgekit.agent.blobs import BlobStore
from edgekit.agent.errors import AgentError
from edgekit.agent.install import install, install_root, rollback


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Board:
    """A store, and bundles of two files in it."""

    def __init__(self, folder: Path) -> None:
        self.store = BlobStore(str(folder / "guest"))
        self.root = folder / "app"
        self.n = 0

    def bundle(self, text: bytes) -> dict[str, str]:
        files = {"edgekit.json": text, "artifact/model.bin": text * 3}
        for data in files.values():
            self.store.need({sha(data): len(data)})
            self.store.put(sha(data), 0, len(data), data)
        return {name: sha(data) for name, data in files.items()}

    def install(self, text: bytes) -> dict[str, object]:
        self.n += 1
        files = self.bundle(text)
        version = f"20260101T00000{self.n}.000000Z-{files['edgekit.json'][:8]}"
        return install(str(self.root), version, files, self.store)

    def read(self, link: str = "current") -> bytes:
        return (self.root / link / "artifact/model.bin").read_bytes()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_versions_behind_a_link_and_the_way_back(board: Board) -> None:
    first = board.install(b"one")
    assert first["changed"] is True
    assert first["previous"] is None
    assert Path(str(first["current"])).parent == board.root / "versions"
    assert board.read() == b"oneoneone"
    second = board.install(b"two")
    assert second["previous"] == first["current"]
    assert (board.read(), board.read("previous")) == (b"twotwotwo", b"oneoneone")
    assert rollback(str(board.root))["current"] == first["current"]
    assert (board.read(), board.read("previous")) == (b"oneoneone", b"twotwotwo")
    assert rollback(str(board.root))["current"] == second["current"], "and forward again"
    board.install(b"three")
    assert sorted(path.name for path in board.root.iterdir()) == ["current", "previous", "versions"]
    assert len(list((board.root / "versions").iterdir())) == 2, "the oldest went"
    assert board.read("previous") == b"twotwotwo"


def test_a_copy_is_its_own_and_for_all_to_read(board: Board) -> None:
    board.install(b"one")
    copy = board.root / "current/artifact/model.bin"
    assert copy.stat().st_nlink == 1
    assert copy.stat().st_mode & 0o777 == 0o644


def test_what_is_in_use_already_changes_nothing_and_what_is_damaged_is_replaced(board: Board) -> None:
    first = board.install(b"one")
    assert board.install(b"one") == {"current": first["current"], "previous": None, "changed": False}
    (board.root / "current/artifact/model.bin").write_bytes(b"damaged")
    assert board.install(b"one")["changed"] is True
    assert board.read() == b"oneoneone"


def test_a_failed_install_leaves_the_old_version_alone(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    board.install(b"one")
    monkeypatch.setattr(installing, "free_bytes", lambda _: 3)
    with pytest.raises(AgentError, match="no space left, 12 bytes are needed and"):
        board.install(b"two")
    monkeypatch.undo()
    files = board.bundle(b"two")
    Path(board.store.path(files["artifact/model.bin"])).write_bytes(b"changed")
    with pytest.raises(AgentError) as caught:
        install(str(board.root), "20260101T000009.000000Z-00000000", files, board.store)
    assert caught.value.kind == "integrity"
    assert board.read() == b"oneoneone"
    assert len(list((board.root / "versions").iterdir())) == 1


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_files_stay_inside(board: Board, name: str) -> None:
    files = {name: board.bundle(b"one")["edgekit.json"]}
    with pytest.raises(AgentError):
        install(str(board.root), "20260101T000000.000000Z-00000000", files, board.store)


def test_somebody_s_work_is_left_alone(board: Board) -> None:
    board.root.mkdir()
    (board.root / "current").mkdir()
    with pytest.raises(AgentError, match="was not made by an install"):
        board.install(b"one")
    (board.root / "current").rmdir()
    (board.root / "current").symlink_to("/etc")
    with pytest.raises(AgentError, match="was not made by an install"):
        rollback(str(board.root))
    (board.root / "current").unlink()
    (board.root / "versions").symlink_to("/tmp")
    with pytest.raises(AgentError, match="is not a folder"):
        board.install(b"one")


def test_nothing_to_go_back_to(board: Board) -> None:
    with pytest.raises(AgentError, match="nothing is installed"):
        rollback(str(board.root))
    board.install(b"one")
    with pytest.raises(AgentError, match="no version before"):
        rollback(str(board.root))


def test_where_a_path_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/edge")
    assert [install_root(text) for text in ("models/x", "~/models/x", "/srv/models")] == [
        "/home/edge/models/x", "/home/edge/models/x", "/srv/models",
    ]  # fmt: skip
    for text in ("", "..", "a/../b", "/", "~", "~root/x", ".", "a\nb", 3, "x" * 2000):
        with pytest.raises(AgentError):
            install_root(text)
