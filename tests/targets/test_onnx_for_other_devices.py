"""An artifact for a processor that this machine does not have, judged on this machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from edgekit_onnx.device import Session
from edgekit_onnx.target import TARGET

from edgekit.building import build
from edgekit.data import open_calibration
from edgekit.demo import demo_models
from edgekit.devices.inventory import probe_device
from edgekit.model import load_model
from edgekit.plan import Planned
from edgekit.profiles import load_profiles
from edgekit.schemes import Int8Static
from edgekit.types import Candidate, Site


def test_int8_for_arm_is_judged_by_its_own_arithmetic_whatever_this_processor_does() -> None:
    """8-bit weights overflow in the integer kernels of x86 without VNNI; on ARM they do not."""
    given = demo_models()[1]
    model = load_model(given.model)
    facts = replace(probe_device(), machine="aarch64", cpu_features=("asimd", "asimddp"))
    data = open_calibration(given.calibration, model.inputs, samples=64).build
    planned = Planned(TARGET, Site(load_profiles()["generic-arm64"], facts), Candidate("onnx", Int8Static()))
    made = build(model, planned, data, threads=1)
    assert made.artifact.provenance["weight_bits"] == 8
    assert made.runner.options["graph_optimization"] == "all"
    files = {made.artifact.entry: str(made.folder / made.artifact.entry)}
    as_on_arm = Session(files, {**made.runner.options, **made.runner.host_options})
    exact = Session({"model.onnx": str(given.model)}, {})
    worst = 0.0
    for feed in data.held_out:
        expected = next(iter(exact.run(dict(feed)).values()))
        found = next(iter(as_on_arm.run(dict(feed)).values()))
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    assert worst < 0.05
