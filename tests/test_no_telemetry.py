"""No runtime leaves a record of its use in the home folder, neither on the host nor on the device."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.small_models import calibration, classifier


def test_a_deploy_writes_nothing_into_the_home_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    model, calib = classifier(tmp_path / "model.onnx"), calibration(tmp_path / "calib.npz")
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "deploy", model, "--target", "onnx", "--calib", calib, "--precision", "int8",
         "--budget", "2s", "-o", tmp_path / "out"],
        env={**environment, "HOME": str(home)}, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []
