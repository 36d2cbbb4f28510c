"""The comparison with benchmark_app: what is said of pairs, without running any."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from support.requirements import ROOT

from edgekit.errors import DeviceRunError

sys.path.insert(0, str(ROOT / "scripts"))
from bench_parts.measure import Pair, ratio_of, read_median_s, report, verdict_of


def pairs(ratio: float, spread: float, *, latency_s: float = 0.02, n: int = 10) -> list[Pair]:
    logs = np.random.default_rng(1).normal(0, spread, n)
    logs += np.log(ratio) - logs.mean()
    return [Pair(latency_s * float(np.exp(value)), latency_s, "steady") for value in logs]


def test_the_ratio_is_a_geometric_mean_with_its_interval() -> None:
    ratio = ratio_of(pairs(1.01, 0.01))
    assert ratio.value == pytest.approx(1.01)
    assert ratio.ci95[0] < 1.01 < ratio.ci95[1]
    assert ratio.ci95[1] - ratio.ci95[0] < 0.03


def test_verdicts() -> None:
    assert verdict_of(pairs(1.01, 0.01)) == "met"
    assert verdict_of(pairs(1.10, 0.01)) == "missed"
    assert verdict_of(pairs(0.90, 0.01)) == "missed"
    assert "too noisy" in verdict_of(pairs(1.01, 0.3)), "an interval that meets everything proves nothing"
    assert "under 5 ms" in verdict_of(pairs(1.01, 0.01, latency_s=0.001))


def test_the_section_has_every_pair_and_says_how_it_was_made() -> None:
    pytest.importorskip("openvino")
    text = "\n".join(report(pairs(1.01, 0.01), 4.0))
    assert "-hint none -nstreams 1 -nthreads 1" in text
    assert ": met. 10 of edgekit's 10 runs were steady" in text
    assert text.count(" ms |") == 20


def test_the_report_of_benchmark_app_is_in_milliseconds() -> None:
    assert read_median_s('{"execution_results": {"latency (ms)": "66.50"}}') == pytest.approx(0.0665)
    for text in ("", "[]", "{}", '{"execution_results": {"latency (ms)": "N/A"}}'):
        with pytest.raises(DeviceRunError):
            read_median_s(text)
