from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import pytest
from support.guests import Toy

from edgekit.devices.zipapp import build_zipapp, zipapp_bytes
from edgekit.errors import UsageError
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
