from __future__ import annotations

import errno
import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit import cache
from edgekit.errors import IntegrityError, ModelError, OutputError
from edgekit.types import Artifact, TensorMap, TensorSpec

SPEC = TensorSpec("x", "float32", (1, "n"))
BUILDER = """
import hashlib, sys, time
from pathlib import Path
from edgekit.cache import get_or_build
from edgekit.types import Artifact

def build(out):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    time.sleep(float(sys.argv[2]))
    (out / "m").write_bytes(b"model")
    return Artifact({"m": hashlib.sha256(b"model").hexdigest()}, "m", ())

artifact, folder, hit = get_or_build({"k": 1}, build)
assert (folder / "m").read_bytes() == b"model"
print(hit, flush=True)
time.sleep(float(sys.argv[3]))
"""


class Builder:
    def __init__(self, content: bytes = b"model") -> None:
        self.content = content
        self.n = 0

    def __call__(self, out: Path) -> Artifact:
        self.n += 1
        (out / "sub").mkdir()
        (out / "sub" / "model.onnx").write_bytes(self.content)
        digest = hashlib.sha256(self.content).hexdigest()
        return Artifact({"sub/model.onnx": digest}, "sub/model.onnx", (TensorMap("input", SPEC, SPEC),), provenance={"n": 1})


def start(log: Path, *, build_s: float = 0.0, hold_s: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", BUILDER, str(log), str(build_s), str(hold_s)], stdout=subprocess.PIPE, text=True)


def test_built_once_then_taken() -> None:
    build = Builder()
    first, folder, hit = cache.get_or_build({"a": 1, "b": [2]}, build)
    assert not hit
    again, same_folder, hit = cache.get_or_build({"b": [2], "a": 1}, build)
    assert hit
    assert (again, same_folder) == (first, folder)
    assert (folder / first.entry).read_bytes() == b"model"
    assert build.n == 1
    assert cache.get_or_build({"a": 2, "b": [2]}, build)[2] is False


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "add", "link", "entry", "entry-gone", "files-gone"])
def test_a_damaged_entry_is_built_anew(damage: str) -> None:
    build = Builder(b"model bytes")
    artifact, folder, _ = cache.get_or_build("key", build)
    model, entry = folder / artifact.entry, folder.parent / "entry.json"
    if damage == "flip":
        model.write_bytes(b"model bytez")
    elif damage == "truncate":
        model.write_bytes(b"model")
    elif damage == "remove":
        model.unlink()
    elif damage == "add":
        (folder / "extra").write_text("x")
    elif damage == "link":
        model.unlink()
        model.symlink_to(entry)
    elif damage == "entry":
        entry.write_bytes(entry.read_bytes().replace(b"sub/model.onnx", b"../../model.on"))
    elif damage == "entry-gone":
        entry.unlink()
    else:
        folder.rename(folder.parent / "elsewhere")
    again, folder, hit = cache.get_or_build("key", build)
    assert not hit
    assert build.n == 2
    assert again == artifact
    assert (folder / artifact.entry).read_bytes() == b"model bytes"
    assert cache.get_or_build("key", build)[2] is True


def test_a_failed_build_leaves_nothing() -> None:
    def build(out: Path) -> Artifact:
        (out / "half").write_text("x")
        raise ModelError("no")

    with pytest.raises(ModelError):
        cache.get_or_build("key", build)
    assert cache.usage().n_entries == 0
    assert cache.get_or_build("key", Builder())[2] is False


def test_an_error_of_the_build_is_not_called_one_of_the_cache() -> None:
    """A target that cannot read something says so itself; only a full disk is the cache's."""

    def no_permission(out: Path) -> Artifact:
        raise PermissionError(errno.EACCES, "Permission denied", "/opt/vendor/licence")

    def full(out: Path) -> Artifact:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(PermissionError, match="licence"):
        cache.get_or_build("key", no_permission)
    with pytest.raises(OutputError, match="no space left"):
        cache.get_or_build("key", full)
    assert cache.usage().n_entries == 0


@pytest.mark.parametrize("wrong", [{"m": "0" * 64}, {}, {"m": hashlib.sha256(b"x").hexdigest(), "n": "0" * 64}, {"../m": "0" * 64}])
def test_a_build_that_misreports_its_files_is_refused(wrong: dict[str, str]) -> None:
    def build(out: Path) -> Artifact:
        (out / "m").write_bytes(b"x")
        return Artifact(wrong, "m", ())

    with pytest.raises(IntegrityError, match="other files than it wrote"):
        cache.get_or_build("key", build)
    assert cache.usage().n_entries == 0


def test_usage_and_clear() -> None:
    cache.get_or_build(1, Builder(b"x" * 1000))
    cache.get_or_build(2, Builder(b"y" * 1000))
    used = cache.usage()
    assert used.n_entries == 2
    assert used.size_bytes > 2000
    assert cache.clear() == used
    assert cache.usage().n_entries == 0
    assert cache.get_or_build(1, Builder())[2] is False


def test_two_processes_build_one_candidate_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(log, build_s=0.3), start(log, build_s=0.3)]
    answers = sorted(p.communicate(timeout=60)[0].strip() for p in processes)
    assert [p.returncode for p in processes] == [0, 0]
    assert answers == ["False", "True"]
    assert log.read_text() == "built\n"


def test_clear_refuses_while_another_run_uses_the_cache(tmp_path: Path) -> None:
    other = start(tmp_path / "log", hold_s=60)
    assert other.stdout is not None
    try:
        assert other.stdout.readline().strip() == "False"
        with pytest.raises(OutputError, match="in use"):
            cache.clear()
        assert cache.usage().n_entries == 1
    finally:
        other.kill()
        other.communicate()
    assert cache.clear().n_entries == 1


def test_a_killed_builder_leaves_a_cache_that_works(tmp_path: Path) -> None:
    log = tmp_path / "log"
    other = start(log, build_s=60)
    while not log.exists():
        time.sleep(0.01)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    build = Builder()
    assert cache.get_or_build({"k": 1}, build)[2] is False
    assert build.n == 1
    cache.clear()
    assert not [p for p in cache.usage().path.iterdir() if p.name != ".in-use"]


def test_an_unwritable_cache_is_an_output_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError):
        cache.get_or_build(1, Builder())
