"""Where a candidate is opened, and with which options."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from edgekit.building import Built
from edgekit.devices.session import AgentSession
from edgekit.judge import Elsewhere, Judge
from edgekit.plan import Planned
from edgekit.profiles import machine_profile
from edgekit.progress import WithinStep
from edgekit.schemes import Int8Static
from edgekit.targets import get_target
from edgekit.types import Artifact, Candidate, Runner, Site


class RecordingSession:
    """Loads everything, and remembers with which options."""

    sent_bytes = 0

    def __init__(self) -> None:
        self.options: list[dict[str, Any]] = []

    def push(self, *_: object) -> None:
        return None

    def open(self, key: str, target: str, runner: Runner, files: object) -> object:
        self.options.append(dict(runner.options))
        return object()


def built(tmp_path: Path) -> Built:
    runner = Runner((Path("device.py"),), "device", (), (), {"threads": 1, "exact": False}, host_options={"exact": True})
    planned = Planned(get_target("null"), Site(machine_profile(), None), Candidate("null", Int8Static()))
    return Built(planned, Artifact({}, "model", (), needs_device_build=False, provenance={}), tmp_path, runner, from_cache=False)


def judge(here: RecordingSession, there: RecordingSession | None) -> Judge:
    elsewhere = Elsewhere(lambda: cast(AgentSession, there), lambda: None) if there else None
    return Judge(cast(AgentSession, here), elsewhere, on_device=False, progress=cast(WithinStep, None))


def test_what_is_for_another_device_runs_here_as_that_device_computes(tmp_path: Path) -> None:
    here, there = RecordingSession(), RecordingSession()
    judged = judge(here, there)
    assert judged.open_worker("a", built(tmp_path)) is None
    assert judged.open_on_device("a", built(tmp_path)) is None
    assert here.options == [{"threads": 1, "exact": True}]
    assert there.options == [{"threads": 1, "exact": False}]


def test_what_is_for_this_machine_runs_as_it_will_run(tmp_path: Path) -> None:
    here = RecordingSession()
    judge(here, None).open_worker("a", built(tmp_path))
    assert here.options == [{"threads": 1, "exact": False}]
