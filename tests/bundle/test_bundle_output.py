"""Where a bundle goes: what it may replace, and that neither a failure nor Ctrl-C leaves half of one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.bundles import onnx_artifact, small_bundle
from support.requirements import missing

from edgekit import bundle as bundle_module
from edgekit.bundle import MANIFEST, check_bundle, check_output
from edgekit.errors import IntegrityError, OutputError


def test_an_older_bundle_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work")
    (out / "README.md").write_text("damaged")  # it is listed, so it is nobody's work
    assert small_bundle(tmp_path / "out", tmp_path / "work") == out
    check_bundle(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]


def test_an_output_that_cannot_be_written_is_refused_before_slow_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        check_output(tmp_path / "file" / "out")
    assert check_output(tmp_path / "new" / "deeper" / "out") == tmp_path / "new" / "deeper" / "out"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_foreign_folder_needs_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert check_output(out) == out
    (out / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="not a bundle") as error:
        small_bundle(out, tmp_path / "work")
    assert "--force" in error.value.hint
    assert (out / "thesis.tex").read_text() == "x"
    check_bundle(small_bundle(out, tmp_path / "work", force=True))
    assert not (out / "thesis.tex").exists()


def test_a_mount_point_is_refused_before_slow_work(tmp_path: Path) -> None:
    """A volume of a container, also a folder of the same file system: it cannot be renamed."""
    out, volume = tmp_path / "out \\ here", tmp_path / "volume"
    out.mkdir()
    volume.mkdir()
    program = """
import sys
from pathlib import Path
from edgekit.bundle_output import check_output
from edgekit.errors import OutputError
out = Path(sys.argv[1])
check_output(out / "inside")
try:
    check_output(out)
except OutputError as problem:
    print(problem)
"""
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$2"'
    unshare = ["unshare", "--mount", *(() if os.getuid() == 0 else ("--map-root-user",))]
    command = [*unshare, "sh", "-c", script, "sh", volume, out, sys.executable, program]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "mount", "--bind", volume, out], capture_output=True).returncode
    ):
        missing("nothing can be mounted here (unshare --mount)")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "is a mount point" in done.stdout
    assert "-o" in done.stdout


@pytest.mark.parametrize("name", ["thesis.txt", "artifact/notes/thesis.txt", ".hidden"])
def test_a_file_that_the_manifest_does_not_list_needs_force(bundle: Path, tmp_path: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_text("years of work")
    with pytest.raises(OutputError, match="not a bundle's") as error:
        check_output(bundle)
    assert repr(name) in error.value.why
    assert "--force" in error.value.hint
    with pytest.raises(OutputError):
        small_bundle(bundle, tmp_path / "work")
    assert (bundle / name).read_text() == "years of work"
    assert check_output(bundle, force=True) == bundle


def test_links_are_foreign_and_empty_folders_are_not(bundle: Path, tmp_path: Path) -> None:
    (bundle / "empty" / "deeper").mkdir(parents=True)
    assert check_output(bundle) == bundle
    (bundle / "data").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="does not list 'data'"):
        check_output(bundle)


@pytest.mark.parametrize(
    "manifest", ["", "[]", '{"schema": "edgekit.bundle/2", "files": {}}', '{"schema": "edgekit.bundle/1", "files": 3}']
)
def test_any_edgekit_json_is_not_enough(tmp_path: Path, manifest: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text(manifest)
    with pytest.raises(OutputError, match="not a bundle"):
        check_output(out)


def test_a_file_that_comes_while_the_bundle_is_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work")
    listing = bundle_module.listing

    def listing_then_thesis(folder: Path) -> Any:
        (out / "thesis.txt").write_text("years of work")
        return listing(folder)

    monkeypatch.setattr(bundle_module, "listing", listing_then_thesis)
    with pytest.raises(OutputError, match="thesis"):
        small_bundle(out, tmp_path / "work")
    assert (out / "thesis.txt").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]


def test_home_and_the_working_directory_are_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    for out in (Path(), Path(".."), Path.home(), Path("/")):
        with pytest.raises(OutputError, match="never replaced"):
            check_output(out, force=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="not a folder"):
        check_output(tmp_path / "file", force=True)


@pytest.mark.parametrize("moment", ["artifact", "rename"])
def test_a_failed_write_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work")
    before = (out / MANIFEST).read_bytes()
    if moment == "artifact":
        changed, _ = onnx_artifact(tmp_path / "work")
        with pytest.raises(IntegrityError, match="changed after its build"):
            small_bundle(out, tmp_path / "work", artifact=replace(changed, files={"model.onnx": "0" * 64}))
    else:
        rename = Path.rename

        def interrupted(self: Path, target: Path) -> Path:
            if self.name.endswith(".tmp"):
                raise KeyboardInterrupt
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            small_bundle(out, tmp_path / "work")
        monkeypatch.undo()
    assert (out / MANIFEST).read_bytes() == before
    check_bundle(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]


@pytest.mark.parametrize("moment", ["made", "retired", "renamed", "removing"])
def test_ctrl_c_leaves_a_whole_bundle_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work")
    rename, mkdir, rmtree = Path.rename, Path.mkdir, shutil.rmtree
    interrupted: list[str] = []

    def interrupt(*, when: bool) -> None:
        if when and not interrupted:
            interrupted.append(moment)
            raise KeyboardInterrupt

    def renaming(self: Path, target: Path) -> Path:
        done = rename(self, target)
        interrupt(when=(moment == "retired" and target.name == "bundle") or (moment == "renamed" and self.name.endswith(".tmp")))
        return done

    def making(self: Path, *arguments: Any, **options: Any) -> None:
        mkdir(self, *arguments, **options)
        interrupt(when=moment == "made" and self.name.endswith(".old"))

    def removing(path: Path, *arguments: Any, **options: Any) -> None:
        if moment == "removing" and str(path).endswith(".old"):
            next(p for p in Path(path).rglob("*") if p.is_file()).unlink(missing_ok=True)
            interrupt(when=True)
        rmtree(path, *arguments, **options)

    monkeypatch.setattr(Path, "rename", renaming)
    monkeypatch.setattr(Path, "mkdir", making)
    monkeypatch.setattr(shutil, "rmtree", removing)
    with pytest.raises(KeyboardInterrupt):
        small_bundle(out, tmp_path / "work")
    assert interrupted == [moment]
    check_bundle(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]
