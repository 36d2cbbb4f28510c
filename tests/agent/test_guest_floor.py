"""The agent is a guest: an old Python and nothing but its standard library must do."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgekit.agent
from edgekit.devices import AgentSession, local_transport

AGENT = Path(edgekit.agent.__file__).parent
SOURCES = sorted(AGENT.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(AGENT)))
def test_syntax_and_imports(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 8))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom):
            within = 1 <= node.level <= len(path.relative_to(AGENT).parts)
            assert within or (node.level == 0 and str(node.module).split(".")[0] in sys.stdlib_module_names)


def old_python() -> str | None:
    """A Python 3.8 that starts, if there is one."""
    for candidate in ("python3.8", *map(str, Path.home().glob(".pyenv/versions/3.8.*/bin/python3.8"))):
        found = shutil.which(candidate)
        if found:
            said = subprocess.run(
                [found, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True, check=False
            )
            if said.stdout.strip() == "(3, 8)":
                return found
    return None


def test_an_agent_on_python_3_8_without_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = old_python()
    if python is None:
        pytest.skip("no Python 3.8 on this machine")
    monkeypatch.setenv("EDGEKIT_LEASE_DIR", str(tmp_path))
    with AgentSession(local_transport(python), {}) as session:
        facts = session.probe()
        assert facts.python.startswith("3.8.")
        with session.lease():
            pass


def test_modules_come_from_the_zipapp_with_site_packages_absent(tmp_path: Path) -> None:
    """An interpreter without any packages: neither edgekit nor numpy can be imported, and hello and probe are answered."""
    from edgekit.devices.zipapp import build_zipapp

    program = (
        "import sys, runpy; sys.argv = [sys.argv[1]]; sys.modules['numpy'] = sys.modules['edgekit'] = None; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    agent = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, str(build_zipapp({}))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert agent.stdin is not None
    assert agent.stdout is not None
    with agent:
        assert agent.stdout.readline() == b"\n"
        nonce = agent.stdout.readline().split()[1].decode()
        for number, (op, fields) in enumerate(
            (("hello", {"nonce": "wrong"}), ("hello", {"nonce": nonce}), ("probe", {}), ("nonsense", {}))
        ):
            agent.stdin.write(json.dumps({"id": number, "op": op, "n": 0, **fields}).encode() + b"\n")
            agent.stdin.flush()
        answers = [json.loads(agent.stdout.readline()) for _ in range(4)]
        agent.stdin.close()
        assert agent.wait(10) == 0
    assert [answer["op"] for answer in answers] == ["error", "result", "result", "error"]
    assert answers[1]["zipapp"].endswith(".pyz")
    assert answers[2]["facts"]["runtimes"] == {}
