"""A report in which every field is filled: what bundles and schemas are tested on."""

from __future__ import annotations

from typing import Any

from edgekit.devices.energy import EnergyResult
from edgekit.devices.meters import FoundMeter
from edgekit.devices.plan import EnergyPlan
from edgekit.measure.energy import EnergyEstimate, MeterFacts, RailEnergy
from edgekit.metering import Metered, with_energy
from edgekit.request import Drop, LatencyLimit
from edgekit.request_parsing import parse_request
from edgekit.schemes import Float32, Int8Static
from edgekit.types import (
    Agreement,
    BaselineReport,
    Candidate,
    CandidateReport,
    ConditionSummary,
    DeployReport,
    Fidelity,
    Latency,
    Measurement,
    Ratio,
    SliceVerdict,
    SustainBucket,
    SustainReport,
    SustainRow,
    WarmUp,
    Winner,
)
from edgekit.values import to_json

FLOAT = Candidate("onnx", Float32())
DIM = SliceVerdict(0.9, 40, 0.95, 0.05, 0.05, accepted=True, resolution_limited=True)
STATIC = Candidate("onnx", Int8Static(), frozenset({"conv1"}), {"level": 2}, {"threads": 1})


CONDITIONS = ConditionSummary(
    governor="ondemand", clock_hz=(1.5e9, 2.4e9), temperature_c=(44.0, 61.5), waited=0.0, others=0.01, others_machine=0.02,
    throttled=("get_throttled",), reasons={"pressure": "not kept"},
)  # fmt: skip


def sustained(n_buckets: int = 60) -> SustainReport:
    """Two candidates that change places when they are hot."""
    cool, hot = (Latency(p50, 1.1 * p50, 1.2 * p50, 1.3 * p50, p50, 900, (p50, p50)) for p50 in (0.001, 0.002))
    buckets = tuple(SustainBucket(10.0 * n, 100, 0.001 + 2e-5 * n, 0.0012, 2.4e9 - 1e7 * n, 45.0 + n) for n in range(n_buckets))
    rows = (
        SustainRow("onnx/float32", buckets, cool, hot, held_down="the clock fell from 2.40 to 1.80 GHz during the run"),
        SustainRow("onnx/int8", buckets, hot, cool),
        SustainRow("onnx/float16", failure="crash: it ended"),
    )
    return SustainReport(
        planned_s=600.0, elapsed_s=600.4, first_s=60.0, last_s=150.1, rows=rows, ranking_first=("onnx/float32", "onnx/int8"),
        ranking_last=("onnx/int8", "onnx/float32"), would_change=True, reason="in the last quarter onnx/int8 is 2.00x the speed",
    )  # fmt: skip


def request(**changes: Any) -> Any:
    """A request in which every option was given."""
    given: dict[str, Any] = {
        "model": "net.onnx", "target": "onnx", "calib": "data/photos", "eval": "eval.npz", "metric": "accuracy", "budget": "2m",
        "max_drop": Drop(0.01), "min_agreement": 0.97, "max_latency": LatencyLimit(0.012), "baseline": "b.onnx",
        "shape": "x=1x1x8x8", "samples": 100, "device": "local", "grid_intensity": 400, "embodied": "250kg/4y",
    }  # fmt: skip
    return parse_request({**given, **changes})


def measurement() -> Measurement:
    return Measurement(
        loop="agent/1",
        rounds=((0.001, 0.0011), (0.00105, 0.001)),
        warm_up=WarmUp(12, 0.2, True),
        load_s=0.03,
        first_inference_s=0.002,
        peak_memory_bytes=50_000_000,
        mode="resident",
        requested={"threads": 1},
        effective={"threads": 1, "providers": ["CPUExecutionProvider"]},
        threads=1,
    )


FACTS = MeterFacts("ina3221", "power", {"VDD_IN": "module", "VDD_SOC": "rail"}, ("VDD_IN",), "module (VDD_IN)", 0.05, 0.005)
ESTIMATE = EnergyEstimate(
    gross_j=0.0072, gross_ci95=(0.0071, 0.0073), net_j=0.0031, ci95=(0.003, 0.0032), net_reason="", load_w=7.0, idle_w=4.0,
    rails={"VDD_IN": RailEnergy("module", True, 0.0072, 0.0031), "VDD_SOC": RailEnergy("rail", False, 0.002, None)},
    gross_of_repeats=(0.0072, 0.0071, 0.0073, 0.0072, 0.0072), n=5000, inference_s=0.001,
)  # fmt: skip
METERED = Metered(FoundMeter(FACTS), EnergyPlan(5.0, 0.2), {FLOAT.id: EnergyResult(ESTIMATE)})


def row(candidate: Candidate, *, accepted: bool) -> CandidateReport:
    ratio = Ratio(2.0, (1.9, 2.1))
    return CandidateReport(
        id=candidate.id,
        target="onnx",
        scheme=candidate.scheme.slug,
        stage="measured",
        accepted=accepted,
        reason="" if accepted else "accuracy falls",
        candidate=candidate,
        fidelity=Fidelity(31.0, 0.999, 0.99, "accuracy", 0.97, 0.975, True, 1000, {"dim": DIM}, "the metric is blind", 0.98),
        agreement=Agreement(0.99, "predictions", 1000),
        quality_measured_on="host",
        latency_s=Latency(0.001, 0.0011, 0.0012, 0.0013, 0.001, 4, (0.0009, 0.0011)),
        latency_reason="",
        speedup_vs_reference=ratio,
        speedup_vs_own_float=ratio,
        trust="steady",
        trust_reason="the medians of 20 rounds spread by 1.0%",
        conditions=CONDITIONS,
        loop="agent/1",
        size_bytes=1000,
        peak_memory_bytes=50_000_000,
        load_s=0.03,
        provenance={"tools": {"onnxruntime": "1.0"}, "from_cache": False},
    )


def full_report(*, asked: Any = None, winner: Winner | None = Winner("onnx/float32", provisional=False)) -> DeployReport:  # noqa: B008 - frozen
    """Float has won over a static candidate that was refused."""
    agreement = Agreement(0.99, "argmax", 48)
    rows = with_energy((row(FLOAT, accepted=True), row(STATIC, accepted=False)), METERED, asked or request())
    return DeployReport(
        model={"name": "net.onnx", "fingerprint": "ab" * 32, "opset": 17},
        target="onnx",
        profile="generic-x86-64",
        device={"name": "local", "kind": "real"},
        winner=winner,
        reason="onnx/float32 is kept: nothing is faster",
        candidates=rows,
        calibration={"n_fit": 192, "n_held_out": 48, "samples": 100},
        evaluation={"n": 1000, "digest": "cd" * 32},
        baseline=BaselineReport(
            {"name": "b.onnx"}, Ratio(1.0, (0.9, 1.1)), 1.0, 0.4, 0.97, 0.975, agreement, Ratio(1.0, (0.9, 1.1)), 0.97, "0 % faster"
        ),
        request=to_json(asked or request()),
        tools={"edgekit-sdk": "0.1.0", "onnxruntime": "1.0"},
        n_compared=1,
        timed_input={"x": [1, 1, 8, 8]},
        bundle="out",
        wall_s=12.5,
        peak_rss_bytes=100_000_000,
        warnings=("the governor is powersave",),
        sustain=sustained(2),  # few: the schemas are tested with every key left out in turn
    )
