from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from edgekit.schemes import Float16, Float32, Int8Dynamic, Int8Static, Vendor, WeightOnly
from edgekit.testing.conformance import TargetConformance
from edgekit.testing.harness import Workbench, relative_error
from edgekit.testing.models import CASES
from edgekit.testing.null_target import TARGET
from edgekit.types import Candidate, Profile, Site


class TestNull(TargetConformance):
    entry_point = "edgekit.testing.null_target:TARGET"
    vendor_modules = ("onnx", "onnxruntime", "numpy")
    fails_when_run: ClassVar = frozenset({"w8"})
    wrong_when_run: ClassVar = frozenset({"int8"})
    gaps: ClassVar = {
        "test_an_empty_batch_is_empty[conv]": "ONNX's reference evaluator has no convolution of an empty batch",
    }


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return Workbench(TARGET, Site(Profile("none", "generic", "x86_64", ("null",))), tmp_path)


def test_every_fate_is_offered(bench: Workbench) -> None:
    offered = [candidate.scheme for candidate in bench.candidates(CASES["conv"])]
    assert offered == [Float32(), Int8Dynamic(), Int8Static(), WeightOnly(8), Float16()]
    assert TARGET.reject(bench.model(CASES["conv"]), Candidate("null", Float16()), bench.site) is not None


def test_int8_dynamic_is_rounded_but_right_and_int8_is_wrong(bench: Workbench) -> None:
    case = CASES["embedding"]
    feed = case.feed(4, 9)
    want = bench.reference(case, feed)
    right = bench.run(bench.build(case, Candidate("null", Int8Dynamic())), feed)
    assert 0 < relative_error({"logits": right["logits"]}, {"logits": want["logits"]}) < 0.05
    wrong = bench.run(bench.build(case, Candidate("null", Int8Static())), feed)
    assert relative_error(wrong, want) > 0.5
    assert not np.array_equal(wrong["label"], want["label"])


@pytest.mark.parametrize(
    ("scheme", "kind"), [(WeightOnly(8), "crash"), (Vendor("error"), "error"), (Vendor("out-of-memory"), "out-of-memory")]
)
def test_a_failure_on_the_device_is_the_candidates_result(bench: Workbench, scheme, kind: str) -> None:
    from edgekit.devices import AgentSession, Opened, WorkerFailedError, local_transport

    case = CASES["static_shape"]
    bad = bench.build(case, Candidate("null", scheme))
    good = bench.build(case, Candidate("null", Float32()))
    runner = TARGET.runner(bad.artifact, bench.site)
    feed = case.feed(1, 0)
    with AgentSession(local_transport(), {"null": runner}) as session:
        for one in (bad, good):
            session.push(one.folder, one.artifact.files)
        with session.lease(wait_s=120):
            assert isinstance(session.open("bad", "null", runner, bad.artifact.files), Opened)
            with pytest.raises(WorkerFailedError) as failed:
                session.infer("bad", feed)
            assert failed.value.failure.kind == kind
            session.open("good", "null", runner, good.artifact.files)
            assert relative_error(session.infer("good", feed), bench.reference(case, feed)) < 1e-5
