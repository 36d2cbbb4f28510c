from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from edgekit import doctor
from edgekit.doctor import Finding, diagnose


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))


def machine(root: Path, *, flags: str, governor: str | None = None, available_kb: int = 8_000_000) -> Path:
    """A root with the files of /proc and /sys that doctor reads."""
    (root / "proc").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nmodel name\t: Example CPU\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    (root / "proc/meminfo").write_text(f"MemTotal: 16000000 kB\nMemAvailable: {available_kb} kB\n")
    if governor is not None:
        cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
        cpufreq.mkdir(parents=True)
        (cpufreq / "scaling_governor").write_text(governor + "\n")
    return root


def found(root: Path, subject: str) -> Finding:
    return next(finding for finding in diagnose(root) if finding.subject == subject)


def test_features_that_make_int8_fast_are_named(tmp_path: Path) -> None:
    with_vnni = machine(tmp_path / "a", flags="fpu avx2 avx512_vnni")
    assert found(with_vnni, "cpu features").level == "ok"
    assert "avx512_vnni" in found(with_vnni, "cpu features").text
    without = machine(tmp_path / "b", flags="fpu avx2")
    assert found(without, "cpu features").level == "note"
    assert "no int8 dot products" in found(without, "cpu features").text


def test_clocks_that_follow_the_load_are_noted(tmp_path: Path) -> None:
    assert found(machine(tmp_path / "a", flags="", governor="powersave"), "governor").hint
    assert found(machine(tmp_path / "b", flags="", governor="performance"), "governor").level == "ok"
    assert "cannot be read" in found(machine(tmp_path / "c", flags=""), "governor").text


def test_little_memory_is_noted(tmp_path: Path) -> None:
    assert found(machine(tmp_path / "a", flags="", available_kb=500_000), "memory").level == "note"
    assert found(machine(tmp_path / "b", flags=""), "memory").level == "ok"


def test_a_system_without_proc_is_no_failure(tmp_path: Path) -> None:
    findings = diagnose(tmp_path)
    assert not any(finding.broken for finding in findings)
    assert found(tmp_path, "memory").level == "note"


def test_a_broken_core_package_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ModuleType):
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            if name == "cattrs":
                raise OSError("libfoo.so.1: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "cattrs", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken("broken"), *sys.meta_path])
    finding = found(tmp_path, "cattrs")
    assert finding.broken
    assert "libfoo.so.1" in finding.text


def test_a_missing_extra_names_the_pip_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "requirements", lambda: {"": [], "neural": ["no-such-package-anywhere"], "dev": ["missing-too"]})
    finding = found(tmp_path, "extra neural")
    assert finding.hint == "pip install 'edgekit-sdk[neural]'"
    assert not any(f.subject == "extra dev" for f in diagnose(tmp_path))
