"""Mutated bundles and packages are refused by a typed error or read as they are listed; quickly, and nothing is left behind."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.contract_bundles import picture_bundle
from support.mutations import changes
from support.requirements import ROOT

from edgekit.manifest import MANIFEST, SIGNATURE
from edgekit.packaging.api import package
from edgekit.packaging.manifest import PACKAGE_MANIFEST

WORKER = ROOT / "tests" / "support" / "hostile_worker.py"
MAX_CPU_S = 1.0
MAX_PEAK_BYTES = 256 << 20
REFUSED = {2, 3, 4, 8}  # usage, a missing tool, bad data, integrity

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is measured with Linux's proc"
)


@dataclass(frozen=True)
class Case:
    name: str
    folder: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intact")
    bundle = picture_bundle(folder / "bundle", folder / "work")
    package(bundle, format="ios", output=folder / "package")
    return folder


def run_all(kind: str, manifest: str, source: Path, sandbox: Path) -> list[Case]:
    """Every mutation of ``source``, read in one process whose working folder and home are in the sandbox."""
    names, folders = [], []
    for number, (name, change) in enumerate(changes(manifest)):
        folder = Path(shutil.copytree(source, sandbox / f"{number:03d}"))
        change(folder, random.Random(number))
        names.append(name)
        folders.append(folder)
    before = listing(sandbox)
    home = sandbox / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, WORKER, kind, source, *folders],
        cwd=home,
        env={**os.environ, "HOME": str(home), "EDGEKIT_HOME": str(home / "edgekit"), "TMPDIR": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"it ended at {folders[len(lines)]}: {names[len(lines)]}\n{done.stderr[-2000:]}"
    new = {path for path in listing(sandbox) if path not in before and not path.split("/")[0].endswith("-out")}
    assert new <= {"home"}, new
    assert not Path("/tmp/edgekit-outside").exists()
    return [Case(name, folder, found) for name, folder, found in zip(names, folders, lines, strict=True)]


def listing(sandbox: Path) -> set[str]:
    return {path.relative_to(sandbox).as_posix() for path in sandbox.rglob("*")}


@pytest.fixture(scope="module")
def bundles(intact: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return run_all("bundle", MANIFEST, intact / "bundle", tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def packages(intact: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return run_all("package", PACKAGE_MANIFEST, intact / "package", tmp_path_factory.mktemp("packages"))


def is_what_it_lists(folder: Path, manifest: str) -> bool:
    """An opinion that shares no code with edgekit: every file is listed with its hash, and the other way round."""
    listed = json.loads((folder / manifest).read_bytes())["files"]
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            return False
        if path.is_file() and path.name not in (manifest, SIGNATURE):
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found == {name: entry["sha256"] for name, entry in listed.items()}


@pytest.mark.parametrize("kind", ["bundles", "packages"])
def test_each_is_refused_or_read_correctly(kind: str, request: pytest.FixtureRequest) -> None:
    cases: list[Case] = request.getfixturevalue(kind)
    assert len(cases) > 200
    wrong = []
    for case in cases:
        code = case.found["exit_code"]
        if code == 0:
            fine = is_what_it_lists(case.folder, MANIFEST if kind == "bundles" else PACKAGE_MANIFEST)
        else:
            fine = code in REFUSED and not case.found["out"]
        if not fine:
            wrong.append(f"{case.name} ({case.folder.name}): {case.found['outcome']}")
    assert wrong == []
    refused = sum(case.found["exit_code"] != 0 for case in cases)
    assert refused > 0.6 * len(cases)
    assert refused < len(cases)  # some changes are harmless: an honest bundle could have them


@pytest.mark.parametrize("kind", ["bundles", "packages"])
def test_none_costs_much(kind: str, request: pytest.FixtureRequest) -> None:
    cases: list[Case] = request.getfixturevalue(kind)
    slowest = max(cases, key=lambda case: case.found["cpu_s"])
    largest = max(cases, key=lambda case: case.found["peak_bytes"])
    print(f"{len(cases)} {kind}: at most {slowest.found['cpu_s']:.2f} s ({slowest.name}), {largest.found['peak_bytes'] >> 20} MiB")
    assert slowest.found["cpu_s"] < MAX_CPU_S, slowest  # processor time: neighbours do not count
    assert largest.found["peak_bytes"] < MAX_PEAK_BYTES, largest
