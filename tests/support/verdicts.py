"""A verdict made by hand, with one candidate of every kind: what reports are tested on."""

from __future__ import annotations

from dataclasses import replace

from edgekit.schemes import Float32, Int8Dynamic, Int8Static, Vendor
from edgekit.types import (
    Agreement,
    Candidate,
    CandidateReport,
    DeployReport,
    Fidelity,
    Latency,
    Ratio,
    SliceVerdict,
    Winner,
)


def latency(p50: float) -> Latency:
    return Latency(p50=p50, p90=p50 * 1.1, p95=p50 * 1.2, p99=p50 * 1.3, mean=p50, n=640, ci95=(p50 * 0.98, p50 * 1.02))


def fidelity(metric: float, **more: object) -> Fidelity:
    whole = Fidelity(
        sqnr_db=31.25,
        cosine=0.999,
        agreement=0.991,
        metric_name="top-1",
        metric=metric,
        metric_float=0.975,
        higher_is_better=True,
        n=1000,
    )
    return replace(whole, **more)  # type: ignore[arg-type]


FLOAT = CandidateReport(
    id="onnx/float32",
    target="onnx",
    scheme="float32",
    stage="measured",
    accepted=True,
    reason="",
    candidate=Candidate("onnx", Float32()),
    fidelity=fidelity(0.975),
    agreement=Agreement(1.0, "predictions", 1000),
    quality_measured_on="host",
    latency_s=latency(0.00214),
    speedup_vs_reference=Ratio(1.0, (1.0, 1.0)),
    trust="measured on this device",
    loop="agent/1",
    size_bytes=1_240_000,
    peak_memory_bytes=61_000_000,
)
STATIC = replace(
    FLOAT,
    id="onnx/int8",
    scheme="int8",
    candidate=Candidate("onnx", Int8Static()),
    fidelity=fidelity(0.974),
    agreement=Agreement(0.991, "predictions", 1000),
    latency_s=latency(0.00101),
    speedup_vs_reference=Ratio(2.12, (2.05, 2.19)),
    size_bytes=330_000,
)
BROKEN_SLICE = replace(
    FLOAT,
    id="onnx/int8-dynamic~3fa9c1d2",
    scheme="int8-dynamic",
    accepted=False,
    reason="slice 'night [red]photos' falls by 0.31",
    candidate=Candidate("onnx", Int8Dynamic(weight_type="uint8")),
    fidelity=fidelity(
        0.97,
        slices={
            "night [red]photos": SliceVerdict(
                value=0.6, n=40, value_float=0.91, drop=0.31, allowed=0.05, accepted=False, resolution_limited=True
            ),
            "day": SliceVerdict(
                value=0.98, n=960, value_float=0.98, drop=0.0, allowed=0.01, accepted=True, resolution_limited=False
            ),
        },
        suspicious="top-1 holds while agreement falls",
    ),
    agreement=Agreement(0.93, "predictions", 1000),
    speedup_vs_reference=Ratio(1.5, (1.4, 1.6)),
)
REJECTED = CandidateReport(
    id="onnx/fp8",
    target="onnx",
    scheme="fp8",
    stage="rejected",
    accepted=False,
    reason="fp8: this runtime has none; instead: int8",
    candidate=Candidate("onnx", Vendor("fp8")),
    latency_reason="not built",
)
REPORT = DeployReport(
    model={"name": "digits.onnx", "fingerprint": "ab" * 32},
    target="onnx",
    profile="generic-x86-64",
    device={"kind": "real", "cpu_model": "Example CPU \x1b[31mv2"},
    winner=Winner("onnx/int8", provisional=False),
    reason="2.12x faster (95 % interval 2.05 to 2.19) than onnx/float32 and holds every gate",
    candidates=(FLOAT, STATIC, BROKEN_SLICE, REJECTED),
    calibration=None,
    evaluation=None,
    baseline=None,
    request={},
    tools={},
    n_compared=3,
    timed_input={"image": [1, 1, 28, 28]},
    bundle="/tmp/a place/digits-onnx-edgekit",
    wall_s=12.34,
    peak_rss_bytes=None,
    warnings=("the governor is [bold]powersave[/bold]",),
)
