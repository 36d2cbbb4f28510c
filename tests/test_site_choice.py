"""What --target and --device mean together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit import profiles, site_choice
from edgekit.devices.inventory import Device
from edgekit.devices.transport import local_transport
from edgekit.errors import DependencyError, UnknownNameError, UsageError
from edgekit.request import DeployRequest
from edgekit.schemes import Float16, Float32
from edgekit.site_choice import check_names, device_profile, sites_of
from edgekit.types import Candidate, DeviceFacts, Reject, Site

FACTS = DeviceFacts("real", "Linux", "aarch64", "3.11", "Cortex", (), 4, None, None, {"onnxruntime": "1.20"})
ORIN = replace(FACTS, kernel="5.15.148-tegra", board="NVIDIA Jetson Orin Nano", board_ids=("nvidia,tegra234",))
MODEL: Any = SimpleNamespace(format="onnx")


@dataclass
class Fake:
    """A target whose runtime must be among the device's; float16 is refused everywhere."""

    name: str
    runtime: str
    supports_keep_float: bool = False
    version: str = "1"
    asked: list[str] = field(default_factory=list)

    def candidates(self, model: Any, site: Site) -> list[Candidate]:
        return [Candidate(self.name, Float32()), Candidate(self.name, Float16())]

    def reject(self, model: Any, candidate: Candidate, site: Site) -> Reject | None:
        if isinstance(candidate.scheme, Float16):
            return Reject("float16", "never")
        if site.device is not None and self.runtime not in site.device.runtimes:
            return Reject("it", f"{self.runtime} is not on the device", "install it there")
        return None


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Fake]:
    found = {
        "onnx": Fake("onnx", "onnxruntime"),
        "openvino": Fake("openvino", "openvino"),
        "tensorrt": Fake("tensorrt", "tensorrt"),
        "tflite": Fake("tflite", "ai-edge-litert"),
    }
    monkeypatch.setattr(profiles, "registry", lambda: found)
    monkeypatch.setattr(site_choice, "get_target", found.__getitem__)
    return found


def device(profile: str | None = None) -> Device:
    return Device("lab", "ssh://lab", local_transport(), profile)


def chosen(target: str, facts: DeviceFacts, of: Device | None = None, **options: Any) -> tuple[list[str], str, tuple[str, ...]]:
    """Names of the targets, the run's profile, and what was left out."""
    request = DeployRequest("m.onnx", target=tuple(target.split(",")), device="lab", **options)
    sites, not_measured, left_out = sites_of(request, MODEL, of or device(), facts)
    assert not_measured == ""
    assert all(site.device == facts for _, site in sites)
    (profile,) = {site.profile.name for _, site in sites}
    return [target.name for target, _ in sites], profile, left_out


def test_the_device_s_profile_wins_over_an_alias_of_its_family() -> None:
    assert chosen("jetson", ORIN, device("jetson-xavier-nx")) == (["tensorrt"], "jetson-xavier-nx", ())
    assert chosen("onnx", ORIN, device("jetson-xavier-nx"))[1] == "jetson-xavier-nx"
    assert chosen("generic-arm64", ORIN, device("jetson-xavier-nx"))[:2] == (["onnx"], "jetson-xavier-nx")


def test_another_family_is_refused_with_both_names() -> None:
    with pytest.raises(UsageError, match=r"'lab' is a generic-arm64, not a raspberry-pi-5.*generic/aarch64.*raspberry-pi/aarch64"):
        chosen("rpi5", FACTS)
    with pytest.raises(UsageError, match="generic-x86-64"):
        chosen("generic-x86-64", FACTS)


def test_a_pc_with_a_gpu_may_be_named_by_its_processor_or_by_its_gpu() -> None:
    words = {"machine": "x86_64", "cpu_model": "Intel(R) Core(TM) Ultra 9 285K", "kernel": "6.8.0"}
    pc = replace(FACTS, **words, runtimes={"openvino": "2026.4", "tensorrt": "10.3", "cuda-compute-capability": "8.9"})  # type: ignore[arg-type]
    assert chosen("cuda", pc)[:2] == (["tensorrt"], "generic-cuda")
    assert chosen("core-ultra", pc)[:2] == (["openvino"], "generic-cuda")
    with pytest.raises(UsageError, match="not a generic-cuda"):
        chosen("cuda", replace(pc, runtimes={"openvino": "2026.4"}))


def test_an_entry_says_what_the_probe_cannot() -> None:
    assert chosen("rpi5", FACTS, device("raspberry-pi-4"))[1] == "raspberry-pi-4"
    with pytest.raises(UsageError, match="is not a generic-x86-64, as its entry says"):
        chosen("onnx", FACTS, device("generic-x86-64"))
    with pytest.raises(UnknownNameError):
        device_profile(device("no-such-profile"), FACTS)


@pytest.mark.parametrize("kind", ["emulated", "stand-in"])
def test_a_stand_in_stands_for_the_one_that_is_named(kind: Any) -> None:
    assert chosen("rpi5,onnx", replace(FACTS, kind=kind))[1] == "raspberry-pi-5"
    with pytest.raises(UsageError):
        chosen("generic-x86-64", replace(FACTS, kind=kind))


def test_auto_is_what_is_installed_here_and_present_there() -> None:
    targets, profile, left_out = chosen("auto", FACTS)
    assert (targets, profile) == (["onnx"], "generic-arm64")
    assert "--target auto left out openvino: openvino is not on the device (install it there)" in left_out
    assert chosen("auto,openvino", FACTS)[0] == ["onnx", "openvino"], "asked for by name"
    with pytest.raises(DependencyError, match="onnxruntime is not on the device") as caught:
        chosen("auto", replace(FACTS, runtimes={}))
    assert caught.value.exit_code == 3


def test_no_profile_for_a_processor() -> None:
    with pytest.raises(UsageError, match=r"no device profile fits device 'lab'.*riscv64"):
        chosen("onnx", replace(FACTS, machine="riscv64"))


def test_names_are_checked_before_a_device_is_asked() -> None:
    check_names(("auto",))
    with pytest.raises(UnknownNameError):
        check_names(("auto", "onxx"))
    with pytest.raises(UsageError, match="raspberry-pi-5 and jetson"):
        check_names(("rpi5", "jetson"))


def test_a_model_in_one_runtime_s_own_format_is_for_that_target_alone(
    installed: dict[str, Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Reader(Fake):
        formats: tuple[str, ...] = ("tflite",)

        def read_file(self, path: Any) -> None: ...

    installed["tflite"] = Reader("tflite", "ai-edge-litert")
    monkeypatch.setattr(site_choice, "own_formats", lambda: {"tflite": installed["tflite"]})
    facts = replace(FACTS, runtimes={"ai-edge-litert": "2.1", "onnxruntime": "1.20"})
    given = SimpleNamespace(format="tflite")
    sites, _, left_out = sites_of(DeployRequest("m.tflite", target=("auto",), device="lab"), given, device(), facts)  # type: ignore[arg-type]
    assert [target.name for target, _ in sites] == ["tflite"]
    assert any(text.startswith("onnx was left out") for text in left_out)
    with pytest.raises(UsageError, match=r"onnx cannot take a \.tflite model.*--target tflite"):
        sites_of(DeployRequest("m.tflite", target=("onnx",), device="lab"), given, device(), facts)  # type: ignore[arg-type]
