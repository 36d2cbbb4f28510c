"""The repository keeps its promises: layout, the README's commands, documents that are current, layers that hold."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgekit
from edgekit import doctor

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["pyproject.toml", "edgekit", "targets", "device_profiles", "tests", "scripts"])
def test_the_six_top_level_names_exist(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", ".pre-commit-config.yaml", ".ci/run"])
def test_the_papers_are_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 500


def test_the_readmes_two_commands_can_be_run() -> None:
    text = (ROOT / "README.md").read_text()
    for script in ("scripts/demo", "scripts/test"):
        assert f"    {script} " in text
        assert os.access(ROOT / script, os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "scripts/test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/design.md", "docs/cli.md"])
def test_links_within_the_repository_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), f"{document} links to {target}"


def test_every_exit_code_is_in_the_readme() -> None:
    from edgekit.errors import EdgekitError

    def classes(cls: type[EdgekitError]) -> list[type[EdgekitError]]:
        return [cls, *(c for child in cls.__subclasses__() for c in classes(child))]

    text = (ROOT / "README.md").read_text()
    for code in {0, 130, *(cls.exit_code for cls in classes(EdgekitError))}:
        assert f"| {code} | " in text, code


def test_the_command_line_document_is_current() -> None:
    done = subprocess.run([sys.executable, "scripts/docs", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_shell_scripts_parse() -> None:
    for shell, script in (("sh", "scripts/demo"), ("sh", "scripts/test"), ("sh", "scripts/environment.sh"), ("bash", ".ci/run")):
        done = subprocess.run([shell, "-n", script], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_layers_hold() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_public_names_have_docstrings() -> None:
    for name in edgekit.__all__:
        value = getattr(edgekit, name)
        assert inspect.getdoc(value), name
        if inspect.isfunction(value):
            summary = inspect.getdoc(value) or ""
            assert "Raises:" in summary or ":func:" in summary, f"{name} does not say what it raises"


def test_every_module_says_what_it_is_for() -> None:
    for module in pkgutil.walk_packages(edgekit.__path__, "edgekit."):
        if module.name.endswith("__main__"):
            continue
        assert importlib.import_module(module.name).__doc__, module.name


def test_doctor_knows_the_requirements_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[><=\[ ;]", line)[0] for line in project["dependencies"]}
    assert set(doctor.requirements()[""]) == names
    assert set(doctor.requirements()) == {"", *project["optional-dependencies"]}


def test_no_text_names_the_machine_it_was_written_on() -> None:
    """Paths and hosts of one machine have no place in a file that others get."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: there is no list of its files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    home = str(Path.home())
    for name in filter(None, listed):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" in data:
            continue
        assert f"{ROOT}/".encode() not in data, name
        assert len(home) < 6 or f"{home}/".encode() not in data, name


def test_scripts_on_a_machine_without_python_say_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("demo", "test", "environment.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    for tool in ("sh", "dirname", "cat"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or "")
    for script in ("demo", "test"):
        done = subprocess.run(
            [tmp_path / "scripts" / script], env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 3
        assert "no Python 3.11 or newer was found" in done.stderr
        assert "hint: " in done.stderr
        assert not (tmp_path / ".venv").exists()
