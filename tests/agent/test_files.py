from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

import pytest

from edgekit.agent import blobs, files
from edgekit.agent.blobs import BlobStore
from edgekit.agent.errors import AgentError
from edgekit.agent.files import SessionFolder, private_dir


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: BlobStore, data: bytes) -> str:
    store.need({sha(data): len(data)})
    assert store.put(sha(data), 0, len(data), data)
    return sha(data)


@pytest.fixture
def home(tmp_path: Path) -> str:
    return str(tmp_path / "guest")


def test_a_blob_arrives_in_pieces_and_is_visible_only_when_whole(home: str) -> None:
    store = BlobStore(home)
    data = b"0123456789"
    assert store.need({sha(data): 10}) == {sha(data): 0}
    assert not store.put(sha(data), 0, 10, data[:4])
    assert not Path(store.path(sha(data))).exists()
    with pytest.raises(AgentError, match="does not continue"):
        store.put(sha(data), 5, 10, data[5:])
    with pytest.raises(AgentError, match="does not continue"):
        store.put(sha(data), 4, 10, data)
    store.close()
    store = BlobStore(home)
    assert store.need({sha(data): 10}) == {sha(data): 4}
    assert store.put(sha(data), 4, 10, data[4:])
    assert Path(store.verified(sha(data))).read_bytes() == data
    assert BlobStore(home).need({sha(data): 10}) == {}


def test_an_empty_blob(home: str) -> None:
    store = BlobStore(home)
    assert Path(store.verified(put(store, b""))).read_bytes() == b""


def test_wrong_bytes_are_refused_and_nothing_is_kept(home: str) -> None:
    store = BlobStore(home)
    store.need({sha(b"right"): 5})
    with pytest.raises(AgentError, match="was not kept") as caught:
        store.put(sha(b"right"), 0, 5, b"wrong")
    assert caught.value.kind == "integrity"
    store.close()
    assert list(Path(home, "blobs").iterdir()) == []


def test_two_sessions_may_send_the_same_blob(home: str) -> None:
    first, second = BlobStore(home), BlobStore(home)
    first.need({sha(b"abc"): 3})
    first.put(sha(b"abc"), 0, 3, b"a")
    assert second.need({sha(b"abc"): 3}) == {sha(b"abc"): 0}, "a part of its own"
    assert second.put(sha(b"abc"), 0, 3, b"abc")
    assert first.put(sha(b"abc"), 1, 3, b"bc")
    first.close()
    second.close()
    assert [path.name for path in Path(home, "blobs").iterdir()] == [sha(b"abc")]


def test_a_blob_that_changed_on_disk_is_noticed_and_removed(home: str) -> None:
    store = BlobStore(home)
    name = put(store, b"content")
    assert store.verified(name)
    Path(store.path(name)).write_bytes(b"Content")
    with pytest.raises(AgentError, match="had changed") as caught:
        store.verified(name)
    assert caught.value.kind == "integrity"
    assert store.need({name: 7}) == {name: 0}


def test_symbolic_links_are_refused(home: str, tmp_path: Path) -> None:
    store = BlobStore(home)
    (tmp_path / "outside").write_bytes(b"content")
    name = sha(b"content")
    Path(store.path(name)).symlink_to(tmp_path / "outside")
    with pytest.raises(AgentError, match="symbolic link") as caught:
        store.verified(name)
    assert caught.value.kind == "integrity"
    Path(store.path(name)).unlink()
    Path(store.path(name) + ".part").symlink_to(tmp_path / "outside")
    with pytest.raises(AgentError):
        store.need({name: 7})
    Path(store.path(name) + ".part").unlink()
    Path(tmp_path / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(AgentError, match="symbolic link"):
        store.put_path(name, str(tmp_path / "link"))
    assert (tmp_path / "outside").read_bytes() == b"content"


def test_a_linked_folder_or_a_fifo_is_refused(home: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Path(home).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AgentError, match="not a folder"):
        BlobStore(home)
    Path(home).unlink()
    store = BlobStore(home)
    os.mkfifo(store.path(sha(b"x")))
    with pytest.raises(AgentError, match="not a regular file"):
        store.verified(sha(b"x"))


def test_folders_are_private(home: str) -> None:
    Path(home).mkdir(0o755)
    BlobStore(home)
    for folder in (Path(home), Path(home, "blobs")):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_put_path_copies_and_verifies(home: str, tmp_path: Path) -> None:
    store = BlobStore(home)
    source = tmp_path / "model.bin"
    source.write_bytes(b"weights")
    store.need({sha(b"weights"): 7})
    store.put_path(sha(b"weights"), str(source))
    assert Path(store.verified(sha(b"weights"))).read_bytes() == b"weights"
    assert source.stat().st_nlink == 1, "the file stays its owner's alone"
    with pytest.raises(AgentError, match="hashes to"):
        store.put_path(sha(b"other"), str(source))
    with pytest.raises(AgentError) as caught:
        store.put_path(sha(b"other"), str(tmp_path / "missing"))
    assert caught.value.kind == "disk"


@pytest.mark.parametrize("name", ["", "../x", "A" * 64, "0" * 63, 5, None, "0" * 64 + "\n"])
def test_names_that_are_no_hashes_are_refused(home: str, name: object) -> None:
    with pytest.raises(AgentError):
        BlobStore(home).path(name)  # type: ignore[arg-type]


def test_least_recently_used_blobs_go_first(home: str) -> None:
    store = BlobStore(home, quota_bytes=25)
    names = [put(store, bytes([n]) * 10) for n in range(2)]
    for age, name in zip((500, 400), names, strict=True):
        path = store.path(name)
        os.utime(path, (1e9 - age, Path(path).stat().st_mtime))
    store = BlobStore(home, quota_bytes=25)
    assert store.need({names[0]: 10}) == {}, "used just now"
    third = put(store, b"c" * 10)
    store = BlobStore(home, quota_bytes=25)
    store.need({third: 10})
    assert {path.name for path in Path(home, "blobs").iterdir()} == {names[0], third}


def test_a_session_folder_holds_links_and_goes(home: str) -> None:
    store = BlobStore(home)
    name = put(store, b"content")
    folder = SessionFolder(home, "one")
    placed = folder.lay_out("open-1", {"a/b.bin": name, "c.bin": name}, store)
    assert list(placed) == ["a/b.bin", "c.bin"]
    assert all(Path(path).read_bytes() == b"content" for path in placed.values())
    assert list(folder.lay_out("open-1", {"d.bin": name}, store)) == ["d.bin"], "afresh"
    assert not Path(placed["c.bin"]).exists()
    with pytest.raises(AgentError) as caught:
        folder.lay_out("open-2", {"x": name, "x/y": name}, store)
    assert caught.value.kind == "disk"
    folder.remove()
    assert list(Path(home, "sessions").iterdir()) == []
    assert Path(store.verified(name)).exists()


def test_only_dead_sessions_are_swept(home: str) -> None:
    alive = SessionFolder(home, "alive")
    Path(home, "sessions", "dead", "sub").mkdir(parents=True)
    newest = SessionFolder(home, "newest")
    assert {path.name for path in Path(home, "sessions").iterdir()} == {"alive", "newest"}
    alive.remove()
    newest.remove()


def test_a_full_disk_is_a_typed_error(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlobStore(home)
    store.need({sha(b"x"): 1})

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(AgentError, match=r"no space left, 1 bytes are needed and [0-9]+ are available") as caught:
        store.put(sha(b"x"), 0, 1, b"x")
    assert caught.value.kind == "disk"
    assert list(Path(home, "blobs").iterdir()) == [], "no partial file"
    store.close()


def test_what_cannot_fit_is_refused_before_it_is_sent(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = put(BlobStore(home), b"a" * 100)
    store = BlobStore(home)
    monkeypatch.setattr(blobs, "free_bytes", lambda _: 60 if Path(store.path(old)).exists() else 160)
    monkeypatch.setattr(files, "free_bytes", lambda _: 160)
    assert store.need({sha(b"b" * 150): 150}) == {sha(b"b" * 150): 0}
    assert not Path(store.path(old)).exists(), "the quota is far, but there is no room for both"
    with pytest.raises(AgentError, match="storing 2 files: no space left, 250 bytes are needed and 160 are available") as caught:
        store.need({sha(b"b" * 150): 150, sha(b"c" * 100): 100})
    assert caught.value.kind == "disk"
    assert list(Path(home, "blobs").iterdir()) == []


def test_what_a_running_session_uses_stays(home: str) -> None:
    running = SessionFolder(home, "running")
    theirs = BlobStore(home, running.path, quota_bytes=25)
    used, unused = put(theirs, b"a" * 10), put(BlobStore(home), b"b" * 10)
    for name in (used, unused):
        os.utime(BlobStore(home).path(name), (1, 1))
    ended = SessionFolder(home, "ended")
    assert put(BlobStore(home, ended.path, quota_bytes=15), b"c" * 10)
    assert {path.name for path in Path(home, "blobs").iterdir()} == {used, sha(b"c" * 10)}
    running.remove()
    BlobStore(home, ended.path, quota_bytes=15).need({sha(b"c" * 10): 10})
    assert {path.name for path in Path(home, "blobs").iterdir()} == {sha(b"c" * 10)}
    ended.remove()


def test_the_quota_is_a_share_of_a_small_disk(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    private_dir(home)
    assert 0 < blobs.default_quota_bytes(home) <= 2 << 30
    disk = os.statvfs(home)
    values = list(disk)
    values[1], values[2] = 4096, 1000  # f_frsize, f_blocks
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    assert blobs.default_quota_bytes(home) == 4096 * 200


def test_somebody_elses_folder_is_refused(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    private_dir(home)
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    with pytest.raises(AgentError, match="another user"):
        private_dir(home)


def test_a_part_that_is_finished_between_opening_and_locking_is_left(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = BlobStore(home), BlobStore(home)
    name = sha(b"abc")
    first.need({name: 3})
    flock = fcntl.flock

    def finished_before(fd: int, operation: int) -> None:
        if operation & fcntl.LOCK_NB:
            monkeypatch.setattr(fcntl, "flock", flock)
            first.put(name, 0, 3, b"abc")
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", finished_before)
    have = second.need({name: 3})[name]
    assert second.put(name, have, 3, b"abc"[have:])
    first.close()
    second.close()
    assert [path.name for path in Path(home, "blobs").iterdir()] == [name]
    assert Path(first.verified(name)).read_bytes() == b"abc"


def test_two_sessions_may_take_the_same_file_at_once(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"weights")
    name = sha(b"weights")
    first, second = BlobStore(home), BlobStore(home)
    copy = blobs.copy_to

    def interleaved(fd: int, target: str) -> None:
        copy(fd, target)
        monkeypatch.setattr(blobs, "copy_to", copy)
        second.need({name: 7})
        second.put_path(name, str(source))

    first.need({name: 7})
    monkeypatch.setattr(blobs, "copy_to", interleaved)
    first.put_path(name, str(source))
    first.close()
    second.close()
    assert [path.name for path in Path(home, "blobs").iterdir()] == [name]
