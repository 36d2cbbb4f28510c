from __future__ import annotations

import shutil
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from support.bundles import small_bundle
from support.reports import full_report

from edgekit import installation as install_module
from edgekit.bundle import MANIFEST, check_bundle
from edgekit.errors import IntegrityError, OutputError, UsageError
from edgekit.installation import install, rollback


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four different bundles."""
    root = tmp_path_factory.mktemp("bundles")
    report = full_report()
    made = []
    for i in range(4):
        changed = type(report)(**{**report.__dict__, "wall_s": float(i)})
        made.append(small_bundle(root / f"b{i}", root / "work", report=changed))
    return made


def manifest(folder: Path) -> bytes:
    return (folder / MANIFEST).read_bytes()


def test_first_install(bundles: list[Path], tmp_path: Path) -> None:
    done = install(bundles[0], tmp_path / "app")
    assert done.changed
    assert done.previous is None
    current = tmp_path / "app" / "current"
    assert str(current.readlink()) == f"versions/{done.current.name}"
    assert current.resolve() == done.current.resolve()
    assert done.current.name.endswith(check_bundle(bundles[0]).manifest_sha256[:8])
    assert manifest(current) == manifest(bundles[0])
    check_bundle(current)
    assert sorted(p.name for p in (tmp_path / "app").iterdir()) == ["current", "versions"]


@pytest.mark.parametrize("inside", ["", "app", "artifact/../app"])
def test_a_bundle_is_not_installed_into_itself(bundles: list[Path], inside: str) -> None:
    with pytest.raises(UsageError, match="lies in the bundle"):
        install(bundles[0], bundles[0] / inside)
    check_bundle(bundles[0])


def test_exactly_one_previous_is_kept(bundles: list[Path], tmp_path: Path) -> None:
    done = [install(bundle, tmp_path / "app") for bundle in bundles]
    for before, after in pairwise(done):
        assert after.previous == before.current
    root = tmp_path / "app"
    assert sorted(p.name for p in (root / "versions").iterdir()) == [done[2].current.name, done[3].current.name]
    assert manifest(root / "current") == manifest(bundles[3])
    assert manifest(root / "previous") == manifest(bundles[2])
    check_bundle(root / "previous")
    back = install(bundles[2], root)
    assert back.changed
    assert manifest(root / "previous") == manifest(bundles[3])


def test_installing_the_same_changes_nothing(bundles: list[Path], tmp_path: Path) -> None:
    install(bundles[0], tmp_path)
    first = install(bundles[1], tmp_path)
    before = sorted((p, p.lstat().st_mtime_ns) for p in tmp_path.rglob("*"))
    again = install(bundles[1], tmp_path)
    assert not again.changed
    assert (again.current, again.previous) == (first.current, first.previous)
    assert sorted((p, p.lstat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


def test_a_damaged_current_version_is_replaced(bundles: list[Path], tmp_path: Path) -> None:
    first = install(bundles[0], tmp_path)
    (first.current / "README.md").write_text("x")
    again = install(bundles[0], tmp_path)
    assert again.changed
    assert again.current != first.current
    check_bundle(tmp_path / "current")


def test_a_damaged_bundle_is_not_installed(bundles: list[Path], tmp_path: Path) -> None:
    install(bundles[0], tmp_path / "app")
    bad = Path(shutil.copytree(bundles[1], tmp_path / "bad"))
    (bad / "README.md").write_text("x")
    with pytest.raises(IntegrityError):
        install(bad, tmp_path / "app")
    assert manifest(tmp_path / "app" / "current") == manifest(bundles[0])
    with pytest.raises(IntegrityError):
        install(bad, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_is_not_ours_is_left_alone(bundles: list[Path], tmp_path: Path) -> None:
    for i, name in enumerate(("current", "previous", "versions")):
        root = tmp_path / str(i)
        root.mkdir()
        (root / name).write_text("mine")
        with pytest.raises(OutputError):
            install(bundles[0], root)
        assert [p.name for p in root.iterdir()] == [name]
    for i, target in enumerate(("/etc", "versions/../../x", "versions/mine", ".")):
        root = tmp_path / f"link{i}"
        root.mkdir()
        (root / "current").symlink_to(target)
        with pytest.raises(OutputError, match="not made by an install"):
            install(bundles[0], root)
    root = tmp_path / "linked"
    (tmp_path / "elsewhere").mkdir()
    root.mkdir()
    (root / "versions").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError):
        install(bundles[0], root)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="not a folder"):
        install(bundles[0], tmp_path / "file")


def test_foreign_versions_stay(bundles: list[Path], tmp_path: Path) -> None:
    keep = tmp_path / "versions" / "notes"
    keep.mkdir(parents=True)
    ours_by_name = tmp_path / "versions" / "20260101T000000.000000Z-00000000"
    ours_by_name.mkdir()
    for bundle in bundles[:3]:
        install(bundle, tmp_path)
    assert keep.is_dir()
    assert ours_by_name.is_dir()  # named like one of ours, but it holds no bundle


def test_readers_always_see_a_whole_bundle(bundles: list[Path], tmp_path: Path) -> None:
    install(bundles[0], tmp_path)
    known = {manifest(bundle) for bundle in bundles}
    seen: list[bytes] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            version = (tmp_path / "current").resolve()
            try:
                seen.append(manifest(version))
            except FileNotFoundError:  # fair only to a reader so slow that two installs passed it by
                assert (tmp_path / "current").resolve() != version

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for bundle in bundles * 2:
            install(bundle, tmp_path)
    finally:
        stop.set()
        reader.join()
    assert seen
    assert set(seen) <= known


@pytest.mark.parametrize("moment", ["_copy", "_swing", "_remove_others"])
def test_an_interrupted_install_leaves_the_old_or_the_new_one(
    bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    install(bundles[0], tmp_path)
    original = getattr(install_module, moment)

    def interrupted(*arguments: object, **options: object) -> None:
        if moment == "_copy":
            raise KeyboardInterrupt
        original(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(install_module, moment, interrupted)
    with pytest.raises(KeyboardInterrupt):
        install(bundles[1], tmp_path)
    monkeypatch.undo()
    check_bundle(tmp_path / "current")
    assert manifest(tmp_path / "current") in {manifest(bundles[0]), manifest(bundles[1])}
    (tmp_path / "versions" / ".20260101T000000.000000Z-00000000.abc.tmp").mkdir()  # what a killed copy leaves
    install(bundles[2], tmp_path)
    assert manifest(tmp_path / "current") == manifest(bundles[2])
    assert len(list((tmp_path / "versions").iterdir())) == 2


def test_rollback_here_takes_the_path_that_install_took(
    bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_GUEST_HOME", str(tmp_path / "guest"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    first, second = install(bundles[0], "../app"), install(bundles[1], "../app")
    done = rollback(None, "../app")
    assert (Path(done.current).resolve(), Path(done.previous or "").resolve()) == (
        first.current.resolve(),
        second.current.resolve(),
    )
