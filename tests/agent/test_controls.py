from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.board_trees import BOARDS

from edgekit.agent.controls import cpu_policies, disk_free_bytes, power_sensors, thermal_zones


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_governors_and_zones_of_every_board(name: str, tmp_path: Path) -> None:
    board = BOARDS[name]
    facts = board.facts(tmp_path)
    assert [policy.cpus for policy in facts.policies] == list(board.clusters.values())
    assert [policy.name for policy in facts.policies] == [f"policy{first}" for first in board.clusters]
    for policy in facts.policies:
        assert policy.governor == board.governor
        assert "performance" in policy.available
    assert facts.thermal_zones == board.zones


def test_policies_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        folder = tmp_path / f"sys/devices/system/cpu/cpufreq/policy{number}"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text("powersave\n")
    assert [policy["name"] for policy in cpu_policies(str(tmp_path))] == ["policy0", "policy2", "policy10"]


def test_old_kernels_have_a_folder_for_each_core(tmp_path: Path) -> None:
    for number in (0, 1):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text("interactive\n")
        (folder / "related_cpus").write_text("0 1\n")
    found = cpu_policies(str(tmp_path))
    assert [(policy["name"], policy["cpus"], policy["governor"]) for policy in found] == [
        ("cpu0", "0 1", "interactive"), ("cpu1", "0 1", "interactive"),
    ]  # fmt: skip
    assert found[0]["available"] == []


def test_a_virtual_machine_has_none(tmp_path: Path) -> None:
    assert cpu_policies(str(tmp_path)) == []
    assert thermal_zones(str(tmp_path)) == []


def test_who_may_set_the_governor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write every file, so the system's answer is given here."""
    folder = tmp_path / "sys/devices/system/cpu/cpufreq/policy0"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text("powersave\n")
    for writable in (True, False):

        def access(path: str, mode: int, answer: bool = writable) -> bool:
            return answer and (path, mode) == (str(folder / "scaling_governor"), os.W_OK)

        monkeypatch.setattr(os, "access", access)
        assert cpu_policies(str(tmp_path))[0]["settable"] is writable


def test_power_sensors_say_what_they_measure_and_why_not(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "energy_uj").write_text("1000\n")
    (found,) = power_sensors(str(tmp_path))
    assert found == {"name": "rapl", "scope": "processor packages", "rails": ["package-0"], "reason": ""}
    (zone / "energy_uj").write_text("broken\n")
    assert "energy_uj" in power_sensors(str(tmp_path))[0]["reason"]
    assert power_sensors(str(tmp_path / "none")) == []


def test_free_space_where_the_folder_is_not_made_yet(tmp_path: Path) -> None:
    free = disk_free_bytes(str(tmp_path / "a" / "b"))
    assert free is not None
    there = os.statvfs(tmp_path)
    assert abs(free - there.f_bavail * there.f_frsize) < 1 << 30
