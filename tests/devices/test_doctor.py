from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edgekit.agent.controls import power_sensors
from edgekit.devices.doctor import DeviceFinding, diagnose_device, examine, install_steps
from edgekit.devices.inventory import Device, open_device
from edgekit.devices.plan import Timeouts
from edgekit.devices.session import AgentSession
from edgekit.devices.transport import local_transport
from edgekit.errors import DeviceUnavailableError
from edgekit.targets import DeviceRuntime, Needing, registry
from edgekit.types import CpuPolicy, DeviceFacts, PowerSensor

ONNX, OPENVINO = DeviceRuntime(("onnxruntime",)), DeviceRuntime(("openvino",))
TFLITE = DeviceRuntime(("ai-edge-litert", "tflite-runtime"))
TENSORRT = DeviceRuntime(("tensorrt",), comes_with="sudo apt-get install -y nvidia-jetpack")
VENV_PYTHON = ".local/share/edgekit/venv/bin/python"
BOARD = DeviceFacts(
    kind="real", system="Linux", machine="aarch64", python="3.11.2", cpu_model="Raspberry Pi 5", cpu_features=("asimddp",), cores=4,
    memory_bytes=8_000_000_000, memory_available_bytes=7_000_000_000, runtimes={"numpy": "2.1", "onnxruntime": "1.23"},
    kernel="6.6.51+rpt-rpi-2712", board="Raspberry Pi 5 Model B Rev 1.0", address_bits=64, libc="glibc 2.36",
    disk_free_bytes=20_000_000_000, policies=(CpuPolicy("policy0", "0 1 2 3", "ondemand", ("performance",), settable=True),),
    thermal_zones=("cpu-thermal",), power_sensors=(PowerSensor("rpi-pmic", "board", ("VDD_CORE",)),),
)  # fmt: skip


def device(**changes: object) -> Device:
    plain = Device("pi", "ssh://pi", local_transport(), python="python3")
    return replace(plain, **changes)  # type: ignore[arg-type]


def looked(facts: DeviceFacts, *runtimes: DeviceRuntime, on: Device | None = None) -> dict[str, DeviceFinding]:
    found = examine(facts, on or device(), runtimes or (ONNX,))
    return {finding.subject: finding for finding in found}


def commands(facts: DeviceFacts, *packages: str, on: Device | None = None) -> list[str]:
    return [" ".join(step.argv) for step in install_steps(facts, on or device(), packages or ("onnxruntime",))]


def test_a_board_that_has_everything() -> None:
    assert {finding.level for finding in examine(BOARD, device(), [ONNX])} == {"ok"}


def test_what_is_missing_comes_with_its_commands() -> None:
    found = looked(replace(BOARD, runtimes={}), ONNX, OPENVINO)
    runtimes = ("numpy", "onnxruntime", "openvino")
    assert [found[name].level for name in runtimes] == ["problem"] * 3
    assert [" ".join(step.argv) for step in found["numpy"].steps] == [
        "python3 -m venv --system-site-packages .local/share/edgekit/venv",
        f"{VENV_PYTHON} -m pip install --disable-pip-version-check --only-binary :all: --upgrade pip",
        *(f"{VENV_PYTHON} -m pip install --disable-pip-version-check --only-binary :all: {name}" for name in runtimes),
    ]
    assert found["numpy"].steps[0].sets_python == VENV_PYTHON
    assert not any(step.as_root for step in found["numpy"].steps)
    assert found["onnxruntime"].steps == (), "the commands stand once"


def test_one_runtime_of_several_is_enough() -> None:
    found = looked(BOARD, ONNX, OPENVINO)
    assert found["openvino"].level == "note"
    assert found["onnxruntime"].level == "ok"
    assert looked(replace(BOARD, runtimes={"numpy": "2"}), ONNX)["onnxruntime"].level == "problem"


def test_any_package_of_a_runtime_will_do_and_the_first_is_installed() -> None:
    older = looked(replace(BOARD, runtimes={"numpy": "1.24", "tflite-runtime": "2.14"}), TFLITE)
    assert older["tflite-runtime"] == DeviceFinding("ok", "tflite-runtime", "2.14")
    assert "ai-edge-litert" not in older
    none = looked(replace(BOARD, runtimes={"numpy": "1.24"}), TFLITE)["ai-edge-litert"]
    assert none.level == "problem"
    assert none.steps[-1].argv[-1] == "ai-edge-litert"


def test_every_target_with_hardware_says_what_it_needs() -> None:
    needing = {name: target.device_runtime for name, target in registry().items() if isinstance(target, Needing)}
    assert set(needing) == set(registry()) - {"null"}
    assert needing["onnx"] == ONNX


def test_inside_an_environment_only_pip_is_needed() -> None:
    inside = replace(BOARD, in_venv=True)
    assert commands(inside, on=device(python="/opt/venv/bin/python")) == [
        "/opt/venv/bin/python -m pip install --disable-pip-version-check --only-binary :all: --upgrade pip",
        "/opt/venv/bin/python -m pip install --disable-pip-version-check --only-binary :all: onnxruntime",
    ]


@pytest.mark.parametrize(
    ("python", "package"), [("3.11.2", "python3.11-venv"), ("3.8.18", "python3.8-venv"), ("3.x; reboot", "python3-venv")]
)
def test_debian_keeps_environments_apart(python: str, package: str) -> None:
    first = install_steps(replace(BOARD, can_make_venv=False, python=python), device(), ["numpy"])[0]
    assert first.argv == ("apt-get", "install", "-y", package)
    assert first.as_root


def test_this_machine_has_a_path_of_its_own() -> None:
    here = commands(BOARD, on=device(address="local"))
    assert here[0].endswith(f"{Path.home()}/.local/share/edgekit/venv")


def test_what_comes_with_the_system_is_not_taken_from_an_index() -> None:
    found = looked(BOARD, TENSORRT, ONNX)["tensorrt"]
    assert found.level == "note"
    assert "nvidia-jetpack" in found.hint
    assert found.steps == ()
    assert looked(replace(BOARD, runtimes={**BOARD.runtimes, "tensorrt": "10.3"}), TENSORRT)["tensorrt"].level == "ok"


@pytest.mark.parametrize(
    ("changes", "subject", "level", "said"),
    [
        ({"address_bits": 32}, "system", "problem", "32-bit"),
        ({"libc": ""}, "system", "note", "glibc 2.27"),
        ({"libc": "glibc 2.26"}, "system", "note", "glibc 2.27"),
        ({"libc": "glibc 2.27"}, "system", "ok", "glibc 2.27"),
        ({"libc": "glibc x.y"}, "system", "note", "glibc 2.27"),
        ({"kind": "emulated"}, "kind", "note", "times say nothing"),
        ({"board": None}, "board", "note", "does not say"),
        ({"memory_bytes": 512_000_000}, "memory", "note", "will not fit"),
        ({"disk_free_bytes": 1_000_000_000}, "disk", "note", "1.0 GB"),
        ({"disk_free_bytes": 100_000_000}, "disk", "problem", "0.1 GB"),
        ({"disk_free_bytes": None}, "disk", "note", "cannot be read"),
        ({"policies": ()}, "governor", "note", "no clocks"),
        ({"thermal_zones": ()}, "temperature", "note", "no thermal zone"),
        ({"power_sensors": (), "power_reason": "none here"}, "power", "note", "none here"),
        ({"power_sensors": (PowerSensor("hwmon", "board", (), "busy"),)}, "power", "note", "hwmon: busy"),
    ],
)
def test_what_the_facts_say(changes: dict[str, object], subject: str, level: str, said: str) -> None:
    found = looked(replace(BOARD, **changes))[subject]  # type: ignore[arg-type]
    assert found.level == level
    assert said in found.text


def test_nothing_is_installed_on_a_32_bit_system() -> None:
    found = looked(replace(BOARD, address_bits=32, runtimes={}))
    assert found["numpy"].level == "problem"
    assert found["numpy"].steps == ()


def test_a_governor_that_the_user_may_not_set() -> None:
    fixed = replace(BOARD, policies=(replace(BOARD.policies[0], settable=False),))
    found = looked(fixed)["governor"]
    assert found.level == "note"
    assert 'edgekit devices add pi --update --become "sudo -n"' in found.hint
    assert looked(fixed, on=device(become=("sudo", "-n")))["governor"].level == "ok"


def test_rapl_that_only_root_reads() -> None:
    sensor = PowerSensor("rapl", "processor packages", ("package-0",), "/sys/... can be read by root only; until ...")
    found = looked(replace(BOARD, power_sensors=(sensor,)))["power"]
    (step,) = found.steps
    assert step.as_root
    assert step.argv[:3] == ("find", "-L", "/sys/class/powercap")
    assert "a+r" in step.argv


def test_what_the_reader_of_rapl_says_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads every file, so that the counter cannot be read is arranged: it is empty, and not for this user."""
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "energy_uj").write_text("")
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = power_sensors(str(tmp_path))
    sensor = PowerSensor(found["name"], found["scope"], tuple(found["rails"]), found["reason"])
    assert looked(replace(BOARD, power_sensors=(sensor,)))["power"].steps


def test_this_machine_is_looked_at() -> None:
    found = diagnose_device(open_device(None), lambda _: [ONNX], timeouts=Timeouts())
    assert found.facts is not None
    assert found.exit_code == 0
    assert {finding.subject: finding.level for finding in found.findings}["lease"] == "ok"


def test_a_lease_that_is_held_is_named() -> None:
    with AgentSession(local_transport(), {}) as other, other.lease(purpose="something else"):
        found = diagnose_device(open_device(None), lambda _: [ONNX], timeouts=Timeouts())
    lease = found.findings[-1]
    assert (lease.subject, lease.level) == ("lease", "note")
    assert "something else" in lease.text
    assert found.exit_code == 0


def test_a_lease_that_cannot_be_made_is_a_problem(own_lease: Path) -> None:
    (own_lease / "edgekit.lease").symlink_to(own_lease / "elsewhere")
    found = diagnose_device(open_device(None), lambda _: [ONNX], timeouts=Timeouts())
    assert found.findings[-1].level == "problem"
    assert "symbolic link" in found.findings[-1].text
    assert found.exit_code == 3


@dataclass(frozen=True)
class Unreachable:
    address: str = "ssh://board"
    shares_files: bool = False

    def spawn(self, zipapp: Path) -> object:
        raise DeviceUnavailableError(
            "python3 on board is Python 3.6", why="3.8 is needed", hint="sudo apt-get install -y python3.8"
        )


def test_without_an_agent_the_error_is_the_finding() -> None:
    found = diagnose_device(device(transport=Unreachable()), lambda _: [ONNX], timeouts=Timeouts())
    (finding,) = found.findings
    assert (finding.level, finding.subject) == ("problem", "agent")
    assert finding.text == "python3 on board is Python 3.6: 3.8 is needed"
    assert "python3.8" in finding.hint
    assert found.exit_code == 6


def test_the_hint_for_a_governor_is_a_command_that_works() -> None:
    fixed = replace(BOARD, policies=(replace(BOARD.policies[0], settable=False),))
    here = Device("local", "local", local_transport())
    assert 'edgekit devices add local --update --become "sudo -n"' in looked(fixed, on=here)["governor"].hint
    unkept = Device("ssh://edge@pi", "ssh://edge@pi", local_transport())
    assert 'edgekit devices add NAME ssh://edge@pi --become "sudo -n"' in looked(fixed, on=unkept)["governor"].hint
