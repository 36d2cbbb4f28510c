from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit import profiles
from edgekit.errors import DependencyError, UnknownNameError, UsageError
from edgekit.profiles import (
    family_of,
    get_profile,
    load_profiles,
    machine_profile,
    parse_profile,
    profile_matches,
    read_profiles,
    require_match,
    resolve,
)
from edgekit.types import DeviceFacts

MINIMAL = 'schema = 1\nname = "board"\nfamily = "jetson"\narch = "aarch64"\ntargets = ["onnx"]\n'


def facts(**changes: object) -> DeviceFacts:
    plain = DeviceFacts(
        kind="real",
        system="Linux",
        machine="x86_64",
        python="3.11",
        cpu_model="AMD",
        cpu_features=(),
        cores=2,
        memory_bytes=None,
        memory_available_bytes=None,
        runtimes={},
        kernel="6.8.0-generic",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


JETSON = facts(machine="aarch64", kernel="5.15.148-tegra")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Two targets and an x86-64 machine, whatever this one is."""
    targets: dict[str, object] = {"null": object(), "onnx": object()}
    monkeypatch.setattr(profiles, "registry", lambda: targets)
    monkeypatch.setattr(profiles.platform, "machine", lambda: "x86_64")
    return targets


def test_the_profiles_that_ship_load_and_agree_with_the_rules() -> None:
    shipped = load_profiles()
    assert {
        "generic-arm64", "generic-cuda", "generic-x86-64", "intel-core-ultra", "intel-n100", "jetson-agx-orin", "jetson-nano",
        "jetson-orin-nano", "jetson-thor", "jetson-xavier-nx", "pixel-8", "raspberry-pi-4", "raspberry-pi-5",
        "raspberry-pi-zero-2-w", "rk3588", "snapdragon-8",
    } == set(shipped)  # fmt: skip
    for name, profile in shipped.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert "null" not in profile.targets
        assert not any("://" in source for source in profile.sources)
        sourced = " ".join(source.partition(": ")[0] for source in profile.sources)
        figures = {"memory": profile.memory_bytes, "bandwidth": profile.bandwidth_bytes_per_s, "peak": profile.peak,
                   "power_modes": profile.power_modes, "rails": profile.rails}  # fmt: skip
        for figure, value in figures.items():
            assert bool(value) == (figure in sourced), f"{name}: {figure} and its source"
    assert get_profile("jetson") is shipped["jetson-orin-nano"]


def test_names_mean_targets(installed: dict[str, object]) -> None:
    def names(*asked: str) -> list[tuple[str, str]]:
        return [(target, profile.name) for target, profile in resolve(asked)]

    assert names("onnx") == [("onnx", "generic-x86-64")]
    assert names("generic-x86-64") == [("onnx", "generic-x86-64")]
    assert names("rpi5") == [("onnx", "raspberry-pi-5")]
    assert names("auto") == [("onnx", "generic-x86-64")]
    assert names("auto", "onnx") == [("onnx", "generic-x86-64")]
    assert names("null", "onnx") == [("null", "generic-x86-64"), ("onnx", "generic-x86-64")]
    assert names("rpi5", "null") == [("onnx", "raspberry-pi-5"), ("null", "raspberry-pi-5")]
    assert names("rpi5", "arm64", "null")[-1] == ("null", "generic-x86-64")
    installed["tensorrt"] = object()
    assert names("jetson") == [("tensorrt", "jetson-orin-nano")]
    assert names("jetson", "auto") == [("tensorrt", "jetson-orin-nano"), ("onnx", "jetson-orin-nano")]


def test_a_connected_device_brings_its_own_profile(installed: dict[str, object]) -> None:
    pi = get_profile("raspberry-pi-5")
    assert resolve(["auto"], device=pi) == [("onnx", pi)]
    assert resolve(["onnx"], device=pi) == [("onnx", pi)]


def test_null_is_never_in_auto(installed: dict[str, object]) -> None:
    assert all(target != "null" for profile in load_profiles().values() for target, _ in resolve(["auto"], device=profile))


def test_a_target_that_is_not_installed_is_a_missing_dependency(installed: dict[str, object]) -> None:
    for name in ("jetson", "tensorrt"):
        with pytest.raises(DependencyError) as error:
            resolve([name])
        assert "'tensorrt' is not installed" in error.value.what
        assert "plugin" in error.value.hint
        assert "edgekit-sdk[tensorrt]" in error.value.hint
    installed.pop("onnx")
    with pytest.raises(DependencyError):
        resolve(["auto"])


def test_unknown_names_are_searched_over_everything(installed: dict[str, object]) -> None:
    with pytest.raises(UnknownNameError) as error:
        resolve(["jetsn"])
    assert "jetson" in error.value.hint
    with pytest.raises(UnknownNameError) as error:
        resolve(["onxx"])
    assert "onnx" in error.value.hint
    with pytest.raises(UnknownNameError, match="device profile"):
        get_profile("jetsn")


@pytest.mark.parametrize(
    ("machine", "name"), [("AMD64", "generic-x86-64"), ("arm64", "generic-arm64"), ("aarch64", "generic-arm64")]
)
def test_this_machine(machine: str, name: str) -> None:
    assert machine_profile(machine).name == name


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(UnknownNameError, match="riscv64"):
        machine_profile("riscv64")


def test_probed_families() -> None:
    assert family_of(JETSON) == "jetson"
    assert family_of(facts(machine="aarch64", kernel="6.6.51+rpt-rpi-2712")) == "raspberry-pi"
    assert family_of(facts(machine="aarch64", kernel="6.8.0-1018-raspi")) == "raspberry-pi"
    assert family_of(facts(machine="aarch64", system="Android")) == "android"
    assert family_of(facts(cpu_model="Intel(R) Core(TM) Ultra 7 155H")) == "intel-core-ultra"
    assert family_of(facts()) == "generic"


def test_matching() -> None:
    orin, x86, ultra = get_profile("jetson"), get_profile("generic-x86-64"), get_profile("core-ultra")
    assert profile_matches(orin, JETSON)
    assert not profile_matches(orin, facts())
    assert not profile_matches(orin, facts(machine="aarch64"))
    assert not profile_matches(x86, JETSON)
    assert profile_matches(x86, facts(cpu_model="Intel(R) Core(TM) Ultra 5"))
    assert not profile_matches(ultra, facts())
    assert profile_matches(orin, facts(machine="aarch64", kind="emulated"))
    assert not profile_matches(orin, facts(kind="stand-in"))
    require_match(orin, JETSON, "lab")
    with pytest.raises(UsageError) as error:
        require_match(orin, facts(), "lab")
    assert "lab" in error.value.what
    assert "jetson-orin-nano" in error.value.what
    assert "x86_64" in error.value.why


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL + 'aliass = ["b"]\n', "aliases"),
        (MINIMAL.replace("schema = 1", "schema = 2"), "schema"),
        (MINIMAL.replace('name = "board"\n', ""), "name"),
        (MINIMAL + 'memory_bytes = "8GB"\n', "memory_bytes"),
        (MINIMAL + "memory_bytes = 8\n", "sources"),
        (MINIMAL + 'sources = ["x"]\npeak = { int8 = "fast" }\n', "peak"),
        (MINIMAL + 'sources = ["x"]\nrails = [{ name = "VDD" }]\n', "rails"),
        (MINIMAL + "aliases = [1]\n", "aliases"),
        (MINIMAL.replace('["onnx"]', '["onnx", "onnx"]'), "each once"),
        (MINIMAL.replace('["onnx"]', '["null"]'), "null"),
        (MINIMAL.replace('["onnx"]', "[]"), "targets"),
        (MINIMAL + "x =\n", "line"),
    ],
)
def test_profiles_are_read_strictly(text: str, expected: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_profile(text.encode(), "board.toml")
    assert expected in str(error.value)
    assert "board.toml" in error.value.what


def test_one_namespace_for_plugins_profiles_and_aliases(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text(MINIMAL + 'aliases = ["b"]\n')
    assert set(read_profiles(tmp_path, plugins=["onnx"])) == {"board"}
    for taken in ("board", "b"):
        with pytest.raises(UsageError, match="taken"):
            read_profiles(tmp_path, plugins=[taken])
    (tmp_path / "other.toml").write_text(MINIMAL.replace('"board"', '"b"'))
    with pytest.raises(UsageError, match="taken"):
        read_profiles(tmp_path, plugins=[])
    (tmp_path / "other.toml").write_text(MINIMAL.replace('"board"', '"auto"'))
    with pytest.raises(UsageError, match="reserved"):
        read_profiles(tmp_path, plugins=[])


def test_missing_profiles_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing"):
        read_profiles(tmp_path / "none", plugins=[])
