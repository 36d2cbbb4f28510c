from __future__ import annotations

import io

from rich.console import Console

from edgekit.profiling import ProfileReport, ProfileRow
from edgekit.report.profile import print_profile
from edgekit.types import Latency

MEASURED = ProfileRow(
    id="onnx/float32",
    target="onnx",
    latency_s=Latency(p50=0.0012, p90=0.0013, p95=0.0014, p99=0.0019, mean=0.0012, n=900, ci95=(0.00119, 0.00121)),
    load_s=0.0214,
    first_inference_s=0.00153,
    peak_memory_bytes=60_500_000,
    size_bytes=338_000,
    trust="noisy",
    trust_reason="the medians of 10 rounds spread by 9 %",
    loop="agent/1",
    requested={},
    effective={},
)
FAILED = ProfileRow(
    id="other/as-is",
    target="other",
    latency_s=None,
    load_s=None,
    first_inference_s=None,
    peak_memory_bytes=None,
    size_bytes=338_000,
    trust=None,
    trust_reason="",
    loop=None,
    requested={},
    effective={},
    failure="the runtime \x1b[31mcrashed",
)


def test_each_row_has_its_numbers_its_trust_or_its_failure() -> None:
    report = ProfileReport(
        model={"name": "digits.onnx"}, profile="generic-x86-64", device={"cpu_model": "Example CPU"}, threads=2, input="synthetic",
        rows=(MEASURED, FAILED),
    )  # fmt: skip
    stream = io.StringIO()
    print_profile(report, Console(file=stream, width=80, markup=False, emoji=False, highlight=False))
    text = stream.getvalue()
    for part in (
        "digits.onnx on Example CPU, 2 threads, synthetic input",
        "1.20",
        "[1.19..1.21]",
        "1.30",
        "21.4",
        "1.53",
        "60.5 MB",
    ):
        assert part in text, part
    flat = " ".join(text.split())
    assert "onnx/float32: 900 timed inferences, trust: noisy: the medians of 10 rounds spread by 9 %" in flat
    assert "other/as-is failed: the runtime \ufffd[31mcrashed" in flat
    assert "energy: not measured" in flat
    assert max(len(line) for line in text.splitlines()) <= 80
