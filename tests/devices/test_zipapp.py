from __future__ import annotations

import dataclasses
import os
import stat
import zipfile
from pathlib import Path

import pytest
from support.guests import Toy

from edgekit.devices.zipapp import build_zipapp, zipapp_bytes
from edgekit.errors import OutputError, UsageError
from edgekit.types import sha256_file


def test_contents_are_the_agent_and_the_runners_alone(toy: Toy) -> None:
    path = build_zipapp({"toy": toy.runner()})
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert names == sorted(names)
    assert {name.split("/")[0] for name in names} == {"__main__.py", "agent", "runners"}
    assert [name for name in names if name.startswith("runners/")] == ["runners/toy/toy_device.py"]
    assert not any("edgekit" in name for name in names)


def test_same_content_same_bytes_and_one_file(toy: Toy) -> None:
    first = build_zipapp({"toy": toy.runner(), "twin": toy.runner()})
    assert zipapp_bytes({"twin": toy.runner(threads=4), "toy": toy.runner()}) == first.read_bytes()
    assert first.stem == sha256_file(first)
    first.write_bytes(b"changed behind our back")
    assert build_zipapp({"toy": toy.runner(), "twin": toy.runner()}) == first
    assert first.stem == sha256_file(first)
    assert build_zipapp({"toy": toy.runner()}) != first


def test_nothing_is_run_through_a_link_or_from_somebody_elses_file(toy: Toy, tmp_path: Path) -> None:
    path = build_zipapp({"toy": toy.runner()})
    data = path.read_bytes()

    def rebuilt() -> bool:
        before = path.lstat()
        assert build_zipapp({"toy": toy.runner()}) == path
        after = path.lstat()
        assert stat.S_ISREG(after.st_mode)
        assert (after.st_uid, after.st_nlink, after.st_mode & 0o777) == (os.getuid(), 1, 0o600)
        assert path.read_bytes() == data
        return (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino)

    assert not rebuilt()
    (tmp_path / "same.pyz").write_bytes(data)
    path.unlink()
    path.symlink_to(tmp_path / "same.pyz")
    assert rebuilt()
    path.unlink()
    os.link(tmp_path / "same.pyz", path)
    assert rebuilt()
    path.chmod(0o666)
    assert rebuilt()
    path.write_bytes(data[:-1] + b"x")
    assert rebuilt()
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
        assert rebuilt()
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        build_zipapp({"toy": toy.runner()})


def test_the_folder_of_agents_is_nobody_elses(toy: Toy, tmp_path: Path) -> None:
    folder = build_zipapp({"toy": toy.runner()}).parent
    folder.chmod(0o777)
    build_zipapp({"toy": toy.runner()})
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="symbolic link"):
        build_zipapp({"toy": toy.runner()})


def test_what_cannot_be_packed_is_refused(toy: Toy, tmp_path: Path) -> None:
    runner = toy.runner()
    with pytest.raises(UsageError, match="no module 'other'"):
        zipapp_bytes({"toy": dataclasses.replace(runner, entry="other")})
    with pytest.raises(UsageError, match="folder name"):
        zipapp_bytes({"../toy": runner})
    with pytest.raises(UsageError, match="different names"):
        zipapp_bytes({"toy": dataclasses.replace(runner, code=(*runner.code, *runner.code))})
    with pytest.raises(UsageError, match="cannot be read"):
        zipapp_bytes({"toy": dataclasses.replace(runner, code=(tmp_path / "missing.py",))})
