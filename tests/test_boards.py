from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.board_trees import BOARDS
from support.requirements import ROOT

from edgekit import boards
from edgekit.boards import recognize
from edgekit.profiles import closest_profile, family_of, load_profiles, profile_matches


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_every_board_is_recognized(name: str, tmp_path: Path) -> None:
    board = BOARDS[name]
    facts = board.facts(tmp_path)
    closest = closest_profile(facts)
    assert closest is not None
    assert (family_of(facts), closest.name) == (board.family, board.profile)
    assert profile_matches(closest, facts)


def test_every_rule_names_a_profile_of_its_family() -> None:
    shipped = load_profiles()
    named = {rule.profile for rule in boards._RULES if rule.profile is not None}
    for rule in boards._RULES:
        assert rule.profile is None or shipped[rule.profile].family == rule.family
    assert named == set(shipped) - {"generic-arm64", "generic-cuda", "generic-x86-64"}


def test_the_documentation_lists_every_profile() -> None:
    text = (ROOT / "docs" / "devices.md").read_text()
    for name, profile in load_profiles().items():
        assert f"`{name}`" in text
        assert all(f"`{alias}`" in text for alias in profile.aliases)


def test_a_32_bit_system_has_no_profile(tmp_path: Path) -> None:
    facts = BOARDS["Raspberry Pi 4"].facts(tmp_path)
    assert closest_profile(replace(facts, address_bits=32)) is None
    assert closest_profile(replace(facts, machine="armv7l")) is None
    assert closest_profile(replace(facts, machine="riscv64")) is None


def test_a_name_on_another_architecture_is_not_that_board(tmp_path: Path) -> None:
    facts = replace(BOARDS["Raspberry Pi 4"].facts(tmp_path), machine="x86_64")
    closest = closest_profile(facts)
    assert closest is not None
    assert closest.name == "generic-x86-64"


def test_nothing_said_is_generic(tmp_path: Path) -> None:
    facts = replace(BOARDS["Raspberry Pi 4"].facts(tmp_path), board=None, board_ids=(), cpu_model="", kernel="6.1.0")
    assert recognize(facts) == ("generic", None)


@pytest.mark.parametrize("name", ["Intel Core Ultra", "Intel N100", "a server"])
def test_a_pc_with_an_nvidia_gpu_is_known_by_it(name: str, tmp_path: Path) -> None:
    """It stands for its processor's profile as well, if that is named."""
    facts = replace(BOARDS[name].facts(tmp_path), runtimes={"cuda-compute-capability": "8.9"})
    closest = closest_profile(facts)
    assert closest is not None
    assert (family_of(facts), closest.name) == ("cuda", "generic-cuda")
    shipped = load_profiles()
    assert profile_matches(shipped["generic-cuda"], facts)
    assert profile_matches(shipped[BOARDS[name].profile], facts)
    assert not profile_matches(shipped["generic-cuda"], replace(facts, runtimes={}))


def test_a_board_is_not_known_by_its_gpu(tmp_path: Path) -> None:
    board = BOARDS["Jetson Orin Nano"]
    facts = replace(board.facts(tmp_path), runtimes={"cuda-compute-capability": "8.7"})
    assert recognize(facts) == ("jetson", "jetson-orin-nano")
