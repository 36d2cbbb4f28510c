"""Writing a package: whole or not at all, never over somebody's work, never outside its folder; and reading its manifest back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.packages import digits_onnx, labels_file
from support.schemas import validator

from edgekit.errors import IntegrityError, OutputError, UsageError
from edgekit.manifest import self_hash
from edgekit.packaging.formats import PackageFile
from edgekit.packaging.manifest import PACKAGE_MANIFEST, PackageManifest, check_package, manifest_of
from edgekit.packaging.source import read_source
from edgekit.packaging.writer import check_place, write_package


@pytest.fixture
def manifest(tmp_path: Path) -> PackageManifest:
    return manifest_of(read_source(digits_onnx(tmp_path / "bundle"), labels=labels_file(tmp_path)), "android")


def test_a_package_is_written_whole_and_reads_back(tmp_path: Path, manifest: PackageManifest) -> None:
    (tmp_path / "big").write_bytes(b"model")
    files = [PackageFile("a/b.txt", b"text"), PackageFile("a/c.bin", tmp_path / "big", delivered=True)]
    written, delivered = write_package(tmp_path / "out", files, manifest)
    assert set(written) == {"a/b.txt", "a/c.bin", PACKAGE_MANIFEST}
    assert set(delivered) == {"a/c.bin"}
    found = check_package(tmp_path / "out")
    assert found.n_files == 3
    assert found.manifest.files == {name: entry for name, entry in written.items() if name != PACKAGE_MANIFEST}
    assert found.manifest.labels[9] == "nine"
    document = json.loads((tmp_path / "out" / PACKAGE_MANIFEST).read_text())
    validator("package-manifest").validate(document)


def test_the_schema_refuses_what_the_reader_refuses(tmp_path: Path, manifest: PackageManifest) -> None:
    """Each key left out, and one more: both say no."""
    write_package(tmp_path / "out", [], manifest)
    document = json.loads((tmp_path / "out" / PACKAGE_MANIFEST).read_text())
    for changed in [
        {**document, "more": 1},
        *({k: v for k, v in document.items() if k != key} for key in document if key != "schema"),
    ]:
        assert not validator("package-manifest").is_valid(changed)
        if "self_sha256" in changed:
            changed = {**changed, "self_sha256": self_hash(changed)}
        (tmp_path / "out" / PACKAGE_MANIFEST).write_text(json.dumps(changed))
        with pytest.raises(IntegrityError):
            check_package(tmp_path / "out")


@pytest.mark.parametrize("path", ["../up.txt", "/etc/x", "a/../../b", "a//b", "a\\b", "c:x", "", "a\n", "x" * 600])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, manifest: PackageManifest, path: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(IntegrityError, match="unsafe path"):
        write_package(tmp_path / "out", [PackageFile("fine.txt", b""), PackageFile(path, b"bad")], manifest)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "A"), ("a", "a/b"), ("a/b", "a"), (PACKAGE_MANIFEST,), ("A/b/c", "a/B")])
def test_no_two_files_claim_one_place(tmp_path: Path, manifest: PackageManifest, paths: tuple[str, ...]) -> None:
    with pytest.raises(IntegrityError, match="claim"):
        write_package(tmp_path / "out", [PackageFile(path, b"") for path in paths], manifest)


def test_a_format_that_fails_leaves_what_was_there(tmp_path: Path, manifest: PackageManifest) -> None:
    write_package(tmp_path / "out", [PackageFile("old.txt", b"old")], manifest)

    def failing() -> Iterator[PackageFile]:
        yield PackageFile("new.txt", b"new")
        raise UsageError("it fails")

    with pytest.raises(UsageError):
        write_package(tmp_path / "out", failing(), manifest)
    assert check_package(tmp_path / "out").manifest.files.keys() == {"old.txt"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_exists_is_refused_without_force(tmp_path: Path) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    mine = tmp_path / "mine"
    mine.mkdir()
    assert check_place(mine, bundle, force=False) == mine, "an empty folder is nobody's work"
    (mine / "thesis.tex").write_text("years")
    with pytest.raises(OutputError, match="exists"):
        check_place(mine, bundle, force=False)
    assert check_place(mine, bundle, force=True) == mine
    for place in (bundle, bundle / "android", tmp_path):
        with pytest.raises(UsageError, match="lie in one another"):
            check_place(place, bundle, force=True)
    (tmp_path / "link").symlink_to(bundle)
    with pytest.raises(UsageError, match="lie in one another"):
        check_place(tmp_path / "link" / "x", bundle, force=True)


def test_damage_is_noticed(tmp_path: Path, manifest: PackageManifest) -> None:
    files = [PackageFile("a.txt", b"text")]

    def damaged(change: Any) -> Path:
        place = tmp_path / f"out-{change.__name__}"
        write_package(place, files, manifest)
        change(place)
        return place

    def other_bytes(place: Path) -> None:
        (place / "a.txt").write_bytes(b"tex!")

    def one_more(place: Path) -> None:
        (place / "b.txt").write_bytes(b"")

    def one_less(place: Path) -> None:
        (place / "a.txt").unlink()

    def other_manifest(place: Path) -> None:
        text = (place / PACKAGE_MANIFEST).read_text()
        (place / PACKAGE_MANIFEST).write_text(text.replace('"threads": 1', '"threads": 8', 1))

    for change in (other_bytes, one_more, one_less, other_manifest):
        with pytest.raises(IntegrityError):
            check_package(damaged(change))
