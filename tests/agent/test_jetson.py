"""What Jetsons of JetPack 4 to 7 say of themselves, and whatever else may stand where that is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stand_in_jetson import RELEASES, stand_in

from edgekit.agent import jetson
from edgekit.agent.board import read_board
from edgekit.agent.jetson import Clock

CLOCKS = """SOC family:tegra210  Machine:NVIDIA Jetson Nano Developer Kit
Online CPUs: 0-3
cpu0: Online=1 Governor=schedutil MinFreq=921600 MaxFreq=1479000 CurrentFreq=921600 IdleStates: WFI=1 c7=1\x20
cpu1:  Online=1 Governor=schedutil MinFreq=729600 MaxFreq=1344000 CurrentFreq=729600 IdleStates: WFI=1 c7=1
GPU MinFreq=76800000 MaxFreq=614400000 CurrentFreq=460800000
EMC MinFreq=204000000 MaxFreq=1600000000 CurrentFreq=1600000000 FreqOverride=0
Fan: speed=0
NV Power Mode: 5W
"""
THOR = "gpu-gpc-0 MinFreq=1575000000 MaxFreq=1575000000 CurrentFreq=1575000000\nEMC MinFreq=1 MaxFreq=4266000000 CurrentFreq=2\n"


@pytest.mark.parametrize("name", RELEASES)
def test_a_whole_board(name: str, tmp_path: Path) -> None:
    made = stand_in(tmp_path, name)
    facts = jetson.read_jetson(str(tmp_path))
    assert facts is not None
    assert facts["jetpack"] == name
    assert facts["power_mode"] == made.release.modes["0"]
    assert facts["power_modes"] == list(made.release.modes.values())
    assert facts["gpu_clock_hz"] is None
    assert "needs root" in facts["reasons"]["clocks"]
    runtimes = jetson.nvidia_runtimes(str(tmp_path), read_board(str(tmp_path)).ids)
    assert runtimes["tensorrt"] == made.version
    assert runtimes["cuda"] == made.release.cuda
    assert runtimes["cuda-compute-capability"] == {"4": "5.3", "6": "8.7", "7": "11.0"}[name[0]]


def test_clocks_are_read_with_the_rights_that_become_gives(tmp_path: Path) -> None:
    made = stand_in(tmp_path)
    facts = jetson.read_jetson(str(tmp_path), made.become)
    assert facts is not None
    assert facts["gpu_clock_hz"] == [306e6, 624.75e6]
    assert facts["clocks_locked"] is False
    assert facts["reasons"] == {}


def test_any_other_machine_is_no_jetson(tmp_path: Path) -> None:
    assert jetson.read_jetson(str(tmp_path)) is None
    assert jetson.nvidia_runtimes(str(tmp_path), ["raspberrypi,5-model-b", "brcm,bcm2712"]) == {}


def test_a_gpu_in_a_pc(tmp_path: Path) -> None:
    program = tmp_path / "usr/bin/nvidia-smi"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\n[ "$1" = --query-gpu=name,compute_cap ] && echo "NVIDIA GeForce RTX 3060, 8.6"\n')
    program.chmod(0o755)
    library = tmp_path / "usr/lib/x86_64-linux-gnu"
    library.mkdir(parents=True)
    for name in ("libnvinfer.so.10", "libnvinfer.so.10.3.0", "libcudart.so.12.6.77"):
        (library / name).touch()
    assert jetson.nvidia_runtimes(str(tmp_path), []) == {"tensorrt": "10.3.0", "cuda": "12.6.77", "cuda-compute-capability": "8.6"}


def test_the_mode_is_taken_from_its_note_where_nvpmodel_may_not_be_asked(tmp_path: Path) -> None:
    stand_in(tmp_path)
    program = tmp_path / "usr/sbin/nvpmodel"
    program.write_text("#!/bin/sh\necho 'NVPM ERROR: permission denied'\nexit 1\n")
    (tmp_path / "var/lib/nvpmodel/status").write_text("pmode:0002 fmode:quiet\n")
    assert jetson.current_mode(str(tmp_path)) == ("2", "")
    (tmp_path / "var/lib/nvpmodel/status").unlink()
    assert jetson.current_mode(str(tmp_path)) == (None, f"{program} -q ended with 1: NVPM ERROR: permission denied")


@pytest.mark.parametrize(
    ("line", "l4t", "jetpack"),
    [
        ("# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t186ref, EABI: aarch64", "32.7.1", "4.6.1"),
        ("# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref", "35.4.1", "5.1.2"),
        ("# R36 (release), REVISION: 3.0, GCID: 36923193", "36.3", "6.0"),
        ("# R36 (release), REVISION: 9.7, GCID: 1", "36.9.7", "6.x"),
        ("# R38 (release), REVISION: 2.0, GCID: 1", "38.2", "7.0"),
        ("# R99 (release), REVISION: 1.0", "99.1", None),
    ],
)
def test_releases(line: str, l4t: str, jetpack: str | None) -> None:
    assert jetson.parse_release(line) == l4t
    assert jetson.jetpack_of(l4t) == jetpack


def test_modes_and_clocks() -> None:
    assert jetson.parse_mode("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_30W_2CORE\n2\n") == ("MODE_30W_2CORE", "2")
    assert jetson.parse_mode("NV Power Mode: 25W\n") == ("25W", None)
    assert jetson.parse_modes("< POWER_MODEL ID=0 NAME=MAXN >\nX 1\n<POWER_MODEL ID=8 NAME=MODE_10W>\n") == {
        "0": "MAXN",
        "8": "MODE_10W",
    }
    clocks = jetson.parse_clocks(CLOCKS)
    assert clocks["GPU"] == Clock(76.8e6, 614.4e6, 460.8e6)
    assert clocks["cpu1"] == Clock(729.6e6, 1344e6, 729.6e6)
    assert set(clocks) == {"cpu0", "cpu1", "GPU", "EMC"}
    assert jetson.parse_clocks(THOR)["gpu-gpc-0"] == Clock(1575e6, 1575e6, 1575e6)


LINES = [
    *CLOCKS.split("\n"), *THOR.split("\n"), *(release.release for release in RELEASES.values()), "NV Power Mode: MAXN", "0",
    "pmode:0001", "< POWER_MODEL ID=0 NAME=MAXN >", '{"cuda": {"version": "12.6.68"}}', '{"cuda": []}', "CUDA Version 10.2.300",
    "Tesla, 8.6",
]  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=40)), max_size=20).map("\n".join), st.integers(0, 300))
def test_parsers_survive_truncated_reordered_and_garbage_lines(lines: str, cut: int) -> None:
    for written in (lines, lines[:cut], lines[cut:]):
        release = jetson.parse_release(written)
        assert release is None or release.replace(".", "").isdigit()
        mode = jetson.parse_mode(written)
        assert mode is None or mode[0]
        assert all(number.isdigit() and name for number, name in jetson.parse_modes(written).items())
        assert all(value >= 0 for clock in jetson.parse_clocks(written).values() for value in clock)
        status, cuda, smi = jetson.parse_status(written), jetson.parse_cuda(written, written), jetson.parse_smi(written)
        assert status is None or status.isdigit()
        assert cuda is None or cuda[0].isdigit()
        assert smi is None or smi[0]


def test_the_probe_of_a_stand_in_shows_the_board_and_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.agent.probe import probe
    from edgekit.devices.facts import facts_from_probe
    from edgekit.profiles import closest_profile

    for name, value in stand_in(tmp_path, "6.2").environment.items():
        monkeypatch.setenv(name, value)
    facts = facts_from_probe(probe())
    assert (facts.kind, facts.stand_in, facts.machine) == ("stand-in", True, "aarch64")
    assert facts.jetson is not None
    assert (facts.jetson.jetpack, facts.jetson.l4t, facts.jetson.power_mode) == ("6.2", "36.4.3", "15W")
    closest = closest_profile(facts)
    assert closest is not None
    assert closest.name == "jetson-orin-nano"
    assert [sensor.name for sensor in facts.power_sensors] == ["ina3221", "tegrastats"]


def test_of_two_installed_versions_the_later_one_counts() -> None:
    assert jetson.library_version(["libnvinfer.so.8.6.1", "libnvinfer.so.10.3.0", "libnvinfer.so.10"]) == "10.3.0"
    assert jetson.library_version(["libcudart.so.11.4.99", "libcudart.so.11.4.298"]) == "11.4.298"


def test_a_cpu_that_is_switched_off_has_no_clock() -> None:
    off = CLOCKS.replace("cpu1:  Online=1", "cpu1:  Online=0")
    assert off != CLOCKS
    assert set(jetson.parse_clocks(CLOCKS)) - set(jetson.parse_clocks(off)) == {"cpu1"}
