"""Toolchains: made once, whole or not at all, never when offline; their scripts bounded and their last words kept."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.schemas import validator
from support.tiny_toolchain import NAME, tiny_toolchain

from edgekit import toolchain as toolchains
from edgekit.errors import DependencyError, ModelError, UnknownNameError
from edgekit.progress import Silent
from edgekit.toolchain_locks import Toolchain, lock_sha256, read_toolchain
from edgekit.toolchain_run import Limits, run


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_TOOLCHAINS")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolchain:
    return tiny_toolchain(tmp_path / "tiny-toolchain", monkeypatch)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands in for venv and pip: the folders that were made, in order."""
    folders: list[Path] = []

    def install(toolchain: Toolchain, folder: Path, *, timeout_s: float, progress: object) -> None:
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(sys.executable)
        (folder / "lib.py").write_text("x = 1\n")
        folders.append(folder)

    monkeypatch.setattr(toolchains, "install", install)
    return folders


class Told(Silent):
    """Remembers what a user would see."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, done: int, total: int, text: str) -> None:
        assert 0 <= done <= total
        self.steps.append(text)


def test_a_script_runs_in_a_toolchain_that_is_made_for_it(tiny: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, once: venv, pip, the lock's hash, and a script that sees the package and nothing of this process."""
    monkeypatch.setenv("A_SECRET", "hunter2")
    (tmp_path / "in.txt").write_text("world")
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\nfrom pathlib import Path\n"
        f"from {NAME} import greet\n"
        "assert 'A_SECRET' not in os.environ and sys.argv[1:] == ['in.txt']\n"
        "try:\n    import numpy\nexcept ImportError:\n    Path('out.txt').write_text(greet(Path(sys.argv[1]).read_text()))\n"
    )
    told = Told()
    with toolchains.policy(timeout_s=120, progress=told):
        run(tiny, script, ["in.txt"], work=tmp_path, what="greeting failed")
    assert (tmp_path / "out.txt").read_text() == "hello world"
    assert "tiny" in told.notes[0]
    assert any(NAME in step for step in told.steps)
    found = toolchains.status(tiny)
    assert found.state == "installed"
    assert found.path is not None
    assert not list(found.path.glob("lib/*/site-packages/pip")), "nothing can be added to what was locked"
    script.write_text("raise RuntimeError('no rule for Frobnicate')\n")
    with pytest.raises(ModelError) as failure:
        run(tiny, script, [], work=tmp_path, what="greeting failed", hint="try louder")
    assert "no rule for Frobnicate" in failure.value.why
    assert failure.value.hint == "try louder"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with pytest.raises(ModelError, match="signal 11"):
        run(tiny, script, [], work=tmp_path, what="greeting failed")
    script.write_text("import time\ntime.sleep(60)\n")
    started_s = time.monotonic()
    with pytest.raises(ModelError, match=r"over 0\.5 s"):
        run(tiny, script, [], work=tmp_path, what="greeting failed", limits=Limits(time_s=0.5))
    assert time.monotonic() - started_s < 20
    script.write_text("x = bytearray(4 << 30)\n")
    with pytest.raises(ModelError, match="512 MiB"):
        run(tiny, script, [], work=tmp_path, what="greeting failed", limits=Limits(memory_bytes=512 << 20))


def test_what_the_lock_does_not_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tiny_toolchain(tmp_path / "t", monkeypatch, sha256="0" * 64)
    with pytest.raises(DependencyError) as failure, toolchains.ensure(other):
        pass
    assert failure.value.exit_code == 3
    assert "HASH" in failure.value.why.upper()
    assert toolchains.status(other).state == "not installed"


def test_it_is_made_once_and_used_again(tiny: Toolchain, made: list[Path]) -> None:
    for _ in range(2):
        with toolchains.ensure(tiny) as environment:
            assert environment.python.exists()
    assert len(made) == 1


@pytest.mark.parametrize("harm", ["lost", "cut", "added", "changed", "interpreter", "marker"])
def test_a_damaged_one_is_made_anew(tiny: Toolchain, made: list[Path], harm: str) -> None:
    with toolchains.ensure(tiny) as environment:
        folder = environment.folder
    module = folder / "lib.py"
    if harm == "lost":
        module.unlink()
    elif harm == "cut":
        module.write_text("")
    elif harm == "added":
        (folder / "sitecustomize.py").write_text("")
    elif harm == "changed":
        module.write_text("x = 2\n")
    elif harm == "interpreter":
        (folder / "bin" / "python").unlink()
        (folder / "bin" / "python").symlink_to(folder / "gone")
    else:
        (folder / "toolchain.json").write_text("{}")
    assert toolchains.status(tiny).state == "damaged"
    with toolchains.ensure(tiny):
        assert toolchains.status(tiny).state == "installed"
        assert module.read_text() == "x = 1\n"
    assert len(made) == 2


def test_a_half_made_one_leaves_nothing(tiny: Toolchain, made: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = toolchains.install

    def stop(toolchain: Toolchain, folder: Path, **options: object) -> None:
        (folder / "part").write_text("")
        raise DependencyError("the network is gone")

    monkeypatch.setattr(toolchains, "install", stop)
    with pytest.raises(DependencyError, match="network"), toolchains.ensure(tiny):
        pass
    place = toolchains.status(tiny).path
    assert place is not None
    assert [path.name for path in place.parent.iterdir()] == [".locks"]
    left = place.with_name(f".{place.name}.killed.tmp")  # what a killed process could not clean up
    left.mkdir()
    monkeypatch.setattr(toolchains, "install", whole)
    with toolchains.ensure(tiny):
        assert not left.exists()


def test_offline_it_is_refused_before_anything_is_done(tiny: Toolchain, made: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_OFFLINE", "1")
    with pytest.raises(DependencyError) as failure, toolchains.ensure(tiny):
        pass
    assert failure.value.exit_code == 3
    assert "toolchain install tiny" in failure.value.hint
    assert "EDGEKIT_OFFLINE" in failure.value.hint, "the command itself would be refused with it"
    assert not made
    monkeypatch.setenv("EDGEKIT_OFFLINE", "0")
    with toolchains.ensure(tiny):
        pass
    monkeypatch.setenv("EDGEKIT_OFFLINE", "1")
    with toolchains.ensure(tiny):  # it is there
        pass


_RACE = """
import sys, time
from pathlib import Path
from edgekit import toolchain
from edgekit.toolchain_locks import read_toolchain
def install(wanted, folder, *, timeout_s, progress):
    with open(sys.argv[2], "a") as stream:
        stream.write("made\\n")
    time.sleep(0.5)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
toolchain.install = install
with toolchain.ensure(read_toolchain(Path(sys.argv[1]))) as environment:
    assert environment.python.exists()
"""


def test_two_processes_make_it_once(tiny: Toolchain, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", _RACE, str(tiny.folder), str(log)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert log.read_text() == "made\n"


def test_removing_takes_older_ones_along(tiny: Toolchain, made: list[Path]) -> None:
    with toolchains.ensure(tiny):
        pass
    description = tiny.folder / "toolchain.toml"
    description.write_text(description.read_text().replace("greets", "greets twice"))
    newer = read_toolchain(tiny.folder)
    with toolchains.ensure(newer):
        pass
    assert len(made) == 2, "another description is another toolchain"
    assert toolchains.remove(newer) > 0
    assert toolchains.status(newer).state == "not installed"
    assert toolchains.remove(newer) == 0


def test_the_locks_in_the_package_are_exact_and_hashed() -> None:
    for each in toolchains.toolchains().values():
        assert "cp311-linux-x86_64" in each.platforms
        for tag in each.platforms:
            lines = (each.folder / f"{tag}.txt").read_text().splitlines()[1:]
            pinned = {line.split(" ")[0].lower().replace("-", "_") for line in lines}
            assert pinned == {package.lower().replace("-", "_") for package in each.packages}, tag
            assert all(len(line.partition(" --hash=sha256:")[2]) == 64 for line in lines), tag


def test_names_and_platforms_that_are_not_there(tiny: Toolchain) -> None:
    with pytest.raises(UnknownNameError, match="onnx2tf"):
        toolchains.get_toolchain("onnx2tff")
    (lock,) = tiny.folder.glob("*.txt")
    lock.rename(lock.with_name("cp27-plan9-vax.txt"))
    assert toolchains.status(tiny).state == "no lock"
    with pytest.raises(DependencyError, match="cp27-plan9-vax"):
        lock_sha256(tiny)


def test_the_command_says_the_same_to_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from edgekit.cli.toolchain import toolchain as command

    monkeypatch.setenv("EDGEKIT_TOOLCHAINS", str(tmp_path / "toolchains"))
    for name, arguments in {
        "toolchains": ["list"], "toolchain": ["show", "onnx2tf"], "toolchain-remove": ["remove", "onnx2tf"],
    }.items():  # fmt: skip
        done = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
        validator(name).validate(json.loads(done.stdout))
        assert "onnx2tf" in CliRunner().invoke(command, arguments, catch_exceptions=False).stdout
    monkeypatch.setenv("EDGEKIT_OFFLINE", "1")
    assert isinstance(CliRunner().invoke(command, ["install", "onnx2tf"]).exception, DependencyError)
