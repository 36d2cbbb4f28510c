"""What is tried: build options that the user sets reach the targets that know them, and nobody else."""

from __future__ import annotations

import pytest
from edgekit_onnx.target import TARGET as ONNX
from edgekit_tensorrt.target import TARGET as TENSORRT
from support.requirements import ROOT

from edgekit.errors import UsageError
from edgekit.model import load_model
from edgekit.plan import plan
from edgekit.profiles import get_profile
from edgekit.request import DeployRequest
from edgekit.types import Site

MODEL = ROOT / "tests" / "assets" / "digits" / "digits.onnx"
JETSON = Site(get_profile("jetson-orin-nano"))


def test_a_setting_reaches_every_candidate_of_the_targets_that_know_it() -> None:
    asked = DeployRequest("net.onnx", sparsity="on").build_options()
    planned = plan(load_model(MODEL), [(TENSORRT, JETSON), (ONNX, JETSON)], precision="auto", calibrated=True, build_options=asked)
    sparse = {item.candidate.target for item in planned if item.candidate.build_options.get("sparsity") == "on"}
    left = {item.candidate.target for item in planned if "sparsity" not in item.candidate.build_options}
    assert (sparse, left) == ({"tensorrt"}, {"onnx"})
    assert not any(item.reject for item in planned if item.candidate.target == "tensorrt")


def test_what_is_left_to_the_target_changes_no_candidate() -> None:
    assert DeployRequest("net.onnx").build_options() == {}


def test_a_setting_that_no_target_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="none of the targets onnx knows --sparsity"):
        plan(load_model(MODEL), [(ONNX, JETSON)], precision="auto", calibrated=False, build_options={"sparsity": "on"})
