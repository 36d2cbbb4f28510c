"""The host against agents that do not behave: noise, silence, garbage, hostile text."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.devices import AgentSession, LocalTransport, Timeouts
from edgekit.devices import channel as channel_module
from edgekit.devices.facts import facts_from_probe
from edgekit.devices.text import clean, clean_json
from edgekit.devices.transport import ProcessPipes
from edgekit.errors import DeviceRunError, DeviceUnavailableError


class Script(LocalTransport):
    """An agent played by a Python program; ``sys.argv[1]`` is the real zipapp."""

    def __init__(self, program: str) -> None:
        super().__init__()
        object.__setattr__(self, "program", program)

    def spawn(self, zipapp: Path) -> ProcessPipes:
        argv = [sys.executable, "-c", self.program, str(zipapp)]  # type: ignore[attr-defined]
        pipe = subprocess.PIPE
        return ProcessPipes(subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True))


def test_text_before_the_banner_is_skipped() -> None:
    noise = """
import os, sys
os.write(1, b"Welcome to board 7!\\nedgekit-agent/2 0123\\n\\xff\\xfe binary \\x00\\nedgekit-agent/1 short\\nno line end")
os.execv(sys.executable, [sys.executable, sys.argv[1], "--allow-paths"])
"""
    with AgentSession(Script(noise), {}) as session:
        assert session.probe().cores >= 1
        assert "Welcome to board 7!" in session.log_text


BANNER = """
import json, os, sys, time
def say(**header): os.write(1, json.dumps({"n": 0, **header}).encode() + b"\\n")
os.write(1, b"edgekit-agent/1 " + b"0" * 32 + b"\\n")
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("import sys; sys.exit('python: not today')", "python: not today"),
        ("import time; time.sleep(60)", "no agent answered within"),
        (BANNER + "os.write(1, b'garbage\\n'); time.sleep(60)", "not JSON"),
        (BANNER + "os.write(1, b'x' * (2 << 20)); time.sleep(60)", "header line of over"),
        (BANNER + "say(id=1, op='result', n=1 << 50); time.sleep(60)", "over the cap"),
        (BANNER + "say(id=1, op='result', n=100); os.write(1, b'short')", "100 bytes before the end|95 bytes before the end"),
        (BANNER + "os._exit(4)", "it ended"),
        (BANNER + "time.sleep(60)", "no heartbeat for 2 s"),
    ],
)
def test_an_agent_that_does_not_speak_is_a_typed_error_and_gone(program: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    if text == "no heartbeat for 2 s":  # else the time-outs are the slow machine's alone
        monkeypatch.setattr(channel_module, "DEAD_AFTER_S", 2)
    timeouts = Timeouts(connect_s=2.0 if text == "no agent answered within" else 30.0)
    with pytest.raises(DeviceUnavailableError, match=text), AgentSession(Script(program), {}, timeouts=timeouts):
        pass
    assert time.monotonic() - started < 20


def test_no_heartbeat_means_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "DEAD_AFTER_S", 1)
    program = BANNER + "say(id=1, op='result'); time.sleep(60)"
    with AgentSession(Script(program), {}) as session, pytest.raises(DeviceUnavailableError, match="no heartbeat for 1 s"):
        session.probe()


def test_an_agent_that_takes_long_to_start_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "DEAD_AFTER_S", 1)
    program = "import time; time.sleep(2.5)\n" + BANNER + "say(id=1, op='result')"
    with AgentSession(Script(program), {}):
        pass


@pytest.mark.waits
def test_an_agent_that_first_puts_settings_back_is_waited_for() -> None:
    """jetson_clocks of a small board takes longer than an agent may take to start."""
    put_back = "for _ in range(5): time.sleep(0.5); say(id=0, op='heartbeat')\n"
    program = BANNER + "".join(put_back + f"say(id={number}, op='result')\n" for number in (1, 2)) + "say(id=3, op='result')"
    with AgentSession(Script(program), {}, timeouts=Timeouts(connect_s=2.0)) as session, session.lease():
        assert session.usable


def test_heartbeats_keep_a_busy_agent_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "DEAD_AFTER_S", 3)
    program = (
        BANNER
        + "say(id=1, op='result')\n"
        + "for _ in range(14): time.sleep(0.25); say(id=0, op='heartbeat')\n"
        + "say(id=2, op='result', facts={})"
    )
    with AgentSession(Script(program), {}) as session, pytest.raises(DeviceRunError, match="not understood"):
        session.probe()


def test_answers_to_other_requests_are_not_mixed_up() -> None:
    program = (
        BANNER
        + "say(id=7, op='error', kind='disk', message=''); say(id=1, op='result'); sys.stdin.readline()\n"
        + "say(id=2, op='error', kind='disk', message='no space left\\x1b[2J')"
    )
    with AgentSession(Script(program), {}) as session, pytest.raises(DeviceRunError) as caught:
        session.probe()
    assert caught.value.exit_code == 7
    assert caught.value.why == "no space left [disk]"
    assert "free some space" in caught.value.hint


def test_facts_are_capped_and_cleaned() -> None:
    answer = {
        "kind": "emulated", "system": "Linux", "machine": "\x1b]0;owned\x07aarch64", "python": "3.8", "cpu_model": "x" * 10_000,
        "cpu_features": [f"f{n}" for n in range(10_000)], "cores": 4, "memory_bytes": None, "memory_available_bytes": 5,
        "runtimes": {"onnx\x1b[31mruntime": "1.2\n3"}, "governor": None, "kernel": "k\u202e",
        "stand_in_sign": None, "address_bits": 64, "libc": "glibc 2.31", "in_venv": 1, "can_make_venv": True,
        "board": "b\x1b[1m", "board_ids": ["i"] * 100,
        "disk_free_bytes": 7, "thermal_zones": ["z\n"], "power_reason": "",
        "policies": [{"name": "policy0", "cpus": "0 1", "governor": None, "available": ["a" * 900], "settable": "yes"}] * 100,
        "power_sensors": [{"name": "n", "scope": "s", "rails": ["r"], "reason": "x" * 9000}],
    }  # fmt: skip
    facts = facts_from_probe(answer)
    assert (facts.board, len(facts.board_ids), facts.thermal_zones) == ("b", 64, ("z ",))
    assert len(facts.policies) == 64
    assert facts.policies[0].settable is False
    assert (facts.in_venv, facts.can_make_venv) == (False, True)
    assert len(facts.policies[0].available[0]) == 200
    assert len(facts.power_sensors[0].reason) == 400
    assert facts.kind == "emulated"
    assert facts.machine == "aarch64"
    assert len(facts.cpu_model) == 200
    assert len(facts.cpu_features) == 512
    assert facts.runtimes == {"onnxruntime": "1.2 3"}
    assert facts.kernel == "k"
    for broken in (None, {}, {**answer, "cores": "many"}, {**answer, "runtimes": [1]}, {**answer, "policies": [1]}):
        with pytest.raises(DeviceRunError):
            facts_from_probe(broken)


@given(st.text(st.characters(max_codepoint=0x2FFF)), st.integers(1, 50))
def test_clean_text_has_no_control_characters(text: str, limit: int) -> None:
    found = clean(text, limit)
    assert len(found) <= limit
    assert all(character.isprintable() or character.isspace() for character in found)
    assert not set(found) & set("\x1b\n\r\t\x07\x9b\u202e")


def test_clean_json_stops_at_depth() -> None:
    value: object = "\x1b[1mdeep"
    for _ in range(3):
        value = [value]
    assert clean_json(value) == [[["deep"]]]
    assert clean_json(value, depth=2) == [[None]]
    assert clean_json({"a\x1b[1m": 1.5, "b": None}) == {"a": 1.5, "b": None}
