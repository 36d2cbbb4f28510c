from __future__ import annotations

import platform

import pytest

from edgekit.agent import probe as probe_module
from edgekit.agent.probe import cpu_features, cpu_model, emulation_sign, probe

XEON = "vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Processor\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\n"
PI_5 = "Features\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
QEMU_ARM = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x00\nCPU part\t: 0x051\n"
QEMU_X86 = "vendor_id\t: AuthenticAMD\nmodel name\t: QEMU Virtual CPU version 2.5+\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "sign"),
    [
        ("x86_64", XEON, None),
        ("aarch64", PI_5, None),
        ("aarch64", XEON, "x86 processor"),
        ("armv7l", XEON, "x86 processor"),
        ("aarch64", QEMU_ARM, "QEMU"),
        ("x86_64", QEMU_X86, "QEMU Virtual CPU"),
        ("x86_64", "", None),
    ],
)
def test_emulation_is_told_by_documented_signs(
    machine: str, cpuinfo: str, sign: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "read_text", lambda *_: "")
    found = emulation_sign(machine, cpuinfo)
    assert found is None if sign is None else sign in str(found)


def test_an_interpreter_for_its_own_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "read_text", lambda path: "enabled\n" if path.endswith("/qemu-aarch64") else "")
    assert "qemu-aarch64" in str(emulation_sign("aarch64", PI_5))
    assert emulation_sign("x86_64", XEON) is None


def test_the_program_that_runs_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What user-mode QEMU shows of itself, seen with its 7.2 on a board whose /proc/cpuinfo says nothing of it."""
    monkeypatch.setattr(probe_module, "read_text", lambda *_: "")
    monkeypatch.setattr(probe_module, "program_of_this_thread", lambda: "/usr/bin/qemu-aarch64-static")
    assert emulation_sign("aarch64", PI_5) == "this program is run by /usr/bin/qemu-aarch64-static"


def test_processor_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert cpu_model(XEON) == "Intel(R) Xeon(R) Processor"
    assert cpu_model(PI_5) == "Raspberry Pi 5 Model B Rev 1.0"
    assert "implementer 0x00 part 0x051" in cpu_model(QEMU_ARM)
    assert cpu_features(XEON) == ["avx2", "avx512_vnni", "fpu"]
    assert cpu_features(PI_5) == ["asimd", "asimddp", "fp"]
    assert cpu_features("") == []


def test_this_machine() -> None:
    facts = probe()
    assert facts["machine"] == platform.machine()
    assert facts["memory_bytes"] > 1 << 28
    assert "onnxruntime" in facts["runtimes"]
    assert set(facts["runtimes"]) <= set(probe_module.RUNTIMES)
