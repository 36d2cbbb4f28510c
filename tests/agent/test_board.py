from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.board_trees import BOARDS

from edgekit.agent import board as board_module
from edgekit.agent import probe as probe_module
from edgekit.agent.board import Board, android_property, read_board, stand_in_sign


@pytest.mark.parametrize("name", [name for name in BOARDS if name != "a container that hides its board"])
def test_every_board_has_a_name(name: str, tmp_path: Path) -> None:
    facts = BOARDS[name].facts(tmp_path)
    assert facts.board
    assert facts.board.isprintable()
    assert facts.board_ids
    assert all(text and text.isprintable() for text in facts.board_ids)


def test_the_device_tree_comes_first_and_its_nul_bytes_go(tmp_path: Path) -> None:
    BOARDS["Raspberry Pi 5"].build(tmp_path)
    BOARDS["Intel N100"].build(tmp_path)
    assert read_board(str(tmp_path)) == Board("Raspberry Pi 5 Model B Rev 1.0", ["raspberrypi,5-model-b", "brcm,bcm2712"])


def test_placeholders_of_makers_are_no_names(tmp_path: Path) -> None:
    BOARDS["Intel N100"].build(tmp_path)
    assert read_board(str(tmp_path)) == Board("AZW EQ", ["AZW EQ"])
    for key in ("product_name", "sys_vendor"):
        (tmp_path / "sys/class/dmi/id" / key).write_text("To Be Filled By O.E.M.\n")
    assert read_board(str(tmp_path)) == Board(None, [])


def test_an_android_device_says_its_maker_once(tmp_path: Path) -> None:
    properties = {"ro.product.manufacturer": "Google", "ro.product.model": "Google Pixel Tablet"}
    assert read_board(str(tmp_path), lambda name: properties.get(name, "")).name == "Google Pixel Tablet"
    assert read_board(str(tmp_path), lambda _: "") == Board(None, [])


def test_android_properties_come_from_its_own_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "getprop"
    monkeypatch.setattr(board_module, "GETPROP", str(program))
    assert android_property("ro.product.model") == ""
    program.write_text('#!/bin/sh\n[ "$1" = ro.product.model ] && echo "Pixel 8"\n')
    program.chmod(0o755)
    assert android_property("ro.product.model") == "Pixel 8"
    assert android_property("ro.other") == ""


def test_a_stand_in_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_STAND_IN", raising=False)
    assert stand_in_sign(str(tmp_path)) is None
    monkeypatch.setenv("EDGEKIT_STAND_IN", "0")
    assert stand_in_sign(str(tmp_path)) is None
    monkeypatch.setenv("EDGEKIT_STAND_IN", "1")
    assert stand_in_sign(str(tmp_path)) == "EDGEKIT_STAND_IN is set"
    monkeypatch.delenv("EDGEKIT_STAND_IN")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/edgekit-stand-in").touch()
    assert "edgekit-stand-in" in str(stand_in_sign(str(tmp_path)))


def test_a_probe_of_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_STAND_IN", "1")
    for emulation, kind in ((None, "stand-in"), ("QEMU", "emulated")):

        def sign(*_: str, answer: str | None = emulation) -> str | None:
            return answer

        monkeypatch.setattr(probe_module, "emulation_sign", sign)
        facts = probe_module.probe()
        assert facts["kind"] == kind, "emulation says more: nothing timed there says anything"
        assert facts["stand_in_sign"] == "EDGEKIT_STAND_IN is set"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, model: bytes, compatible: bytes) -> None:
    root = tmp_path_factory.mktemp("board")
    folder = root / "proc/device-tree"
    folder.mkdir(parents=True)
    (folder / "model").write_bytes(model)
    (folder / "compatible").write_bytes(compatible)
    found = read_board(str(root))
    assert found.name is None or 0 < len(found.name) <= 200
    assert len(found.ids) <= 16
