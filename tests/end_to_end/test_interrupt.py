"""Ctrl-C at ten seeded points: exit 130, no child, no temporary file, and the next run succeeds."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from support.commands import edgekit
from support.requirements import missing
from support.small_models import calibration, classifier, labelled

from edgekit import cache


def _marked(mark: str) -> list[int]:
    """The processes that carry this mark in their environment: the run and all its children."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return found


def _is_left_over(path: Path) -> bool:
    """A half-written file, or a scratch folder of a run or a session."""
    scratch = path.parent.name in ("work", "sessions") and path.name != ".lock"
    return scratch or path.name.endswith((".tmp", ".old", ".part"))


@pytest.mark.slow
@pytest.mark.usefixtures("signals_as_in_a_terminal")
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, own_home: Path) -> None:
    if not Path("/proc/self/environ").exists():
        missing("the processes of a run are found through /proc")
    model, calib = classifier(tmp_path / "model.onnx"), calibration(tmp_path / "calib.npz")
    data, out = labelled(tmp_path / "data.npz"), tmp_path / "out"
    args = [  # one precision: every stage of a run is there, each with little to do
        "deploy", model, "--target", "onnx", "--precision", "int8", "--calib", calib, "--eval", data, "--metric", "accuracy",
        "--budget", "1s", "-o", out,
    ]  # fmt: skip
    before = set(tmp_path.iterdir())
    started = time.monotonic()
    whole = edgekit(*args)
    whole_s = time.monotonic() - started
    assert whole.returncode == 0, whole.stderr
    shutil.rmtree(out)
    rng = random.Random(7)
    points = sorted(rng.uniform(0.05, 0.95) for _ in range(10))
    interrupted = 0
    for index, point in enumerate(points):
        mark = uuid.uuid4().hex
        cache.clear()  # so that this run builds, as the whole one did; it would refuse if an interrupted one still held it
        run = subprocess.Popen(
            [sys.executable, "-m", "edgekit", *map(str, args)],
            env={**os.environ, "EDGEKIT_TEST_MARK": mark},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started = time.monotonic()
        time.sleep(point * whole_s)
        # A terminal sends the signal to the whole group; kill -INT sends it to the one process.
        os.killpg(run.pid, signal.SIGINT) if index % 2 else run.send_signal(signal.SIGINT)
        _, shown = run.communicate(timeout=30)
        assert "Traceback" not in shown, shown
        if run.returncode == 0:
            shutil.rmtree(out)  # it was done before the signal came: runs are quicker now, a neighbour has gone
            whole_s = min(whole_s, time.monotonic() - started)
            continue
        interrupted += 1
        assert run.returncode == 130, (point, run.returncode, shown)
        deadline = time.monotonic() + 20
        while _marked(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _marked(mark) == []
        assert set(tmp_path.iterdir()) == before
        assert [p for p in own_home.rglob("*") if _is_left_over(p)] == []
    assert interrupted >= 7
    again = edgekit(*args)
    assert again.returncode == 0, again.stderr
