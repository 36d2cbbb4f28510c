"""edgekit's own loop beside OpenVINO's benchmark_app: the same IR, input, thread and CPU, in interleaved pairs; written to
docs/results.md."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.agent.affinity import timing_cpus
from edgekit.devices.plan import BenchPlan, Opened
from edgekit.devices.session import AgentSession
from edgekit.devices.transport import local_transport
from edgekit.errors import DependencyError, DeviceRunError, EdgekitError, MissingExtraError, UsageError
from edgekit.measure.statistics import student_t_975, summarize
from edgekit.measure.trust import trust
from edgekit.types import Measurement, Ratio, Runner, sha256_file

from . import engine_models, results

TITLE = "Measurement"
LEAST_S = 5e-3  # of an inference: below that the call itself is a part of what edgekit measures
PROMISE = (0.97, 1.03)
MAX_WIDTH = 0.12  # of the interval: twice the width of what is promised
MIN_PAIRS = 3
ROUNDS = 10
LEASE_S = 600.0
KEY = "net"


@dataclass(frozen=True)
class Pair:
    """Median latencies in seconds, taken one right after the other, and edgekit's verdict on its own."""

    edgekit_s: float
    benchmark_app_s: float
    trust: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=10, help="interleaved pairs (10 unless said)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of timing in each half of a pair (4 unless said)")
    parser.add_argument("--output", default=str(results.DOCUMENT), help="document to write; - prints to stdout and keeps nothing")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 unless the interval of the ratio meets what is promised, 130 after Ctrl-C."""
    try:
        if arguments.pairs < MIN_PAIRS or arguments.seconds <= 0:
            raise UsageError(f"at least {MIN_PAIRS} pairs of more than 0 seconds", hint="leave --pairs and --seconds out")
        with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as scratch:
            pairs = _pairs(Path(scratch), arguments.pairs, arguments.seconds)
    except EdgekitError as problem:
        print(f"measure: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("measure: interrupted; nothing is written", file=sys.stderr)
        return 130
    lines = report(pairs, arguments.seconds)
    if arguments.output == "-":
        print("\n".join(lines))
    else:
        results.replace(TITLE, lines, Path(arguments.output))
    return 0 if verdict_of(pairs) == "met" else 1


def ratio_of(pairs: Sequence[Pair]) -> Ratio:
    """edgekit's median over benchmark_app's: geometric mean over pairs, Student's t on the logarithms."""
    logs = [math.log(pair.edgekit_s / pair.benchmark_app_s) for pair in pairs]
    mean = float(np.mean(logs))
    margin = student_t_975(len(logs) - 1) * float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), (math.exp(mean - margin), math.exp(mean + margin)))


def verdict_of(pairs: Sequence[Pair]) -> str:
    """``met``, ``missed``, or why neither can be said.

    A wide interval meets everything, so one of more than twice the width of what is promised proves nothing.
    """
    fastest_s = min(pair.benchmark_app_s for pair in pairs)
    if fastest_s < LEAST_S:
        return f"not said: the net takes {fastest_s * 1e3:.1f} ms, under {LEAST_S * 1e3:g} ms"
    low, high = ratio_of(pairs).ci95
    if high - low > MAX_WIDTH:
        return f"not said: the interval is wider than {MAX_WIDTH:g}, the machine was too noisy"
    return "met" if low <= PROMISE[1] and high >= PROMISE[0] else "missed"


def report(pairs: Sequence[Pair], seconds: float) -> list[str]:
    """The section's lines."""
    ratio = ratio_of(pairs)
    low, high = ratio.ci95
    quiet = sum(pair.trust == "steady" for pair in pairs)
    return [
        f"Commit {results.commit()}, {results.cpu()}, Python {platform.python_version()}, OpenVINO {_openvino_version()}, "
        f"{datetime.now(UTC):%Y-%m-%d}.",
        "",
        "Made by `scripts/bench measure`: a residual net with seeded weights as OpenVINO IR, once in edgekit's own loop and once",
        "in OpenVINO's `benchmark_app -hint none -nstreams 1 -nthreads 1 -api sync`, every time in new processes: the same file,",
        f"input, precision (f32), thread and CPU; {len(pairs)} pairs in alternating order, {seconds:g} s each. Medians; the",
        "interval of the ratio is Student's t over pairs. It is to meet "
        f"[{PROMISE[0]:g}, {PROMISE[1]:g}] and be at most {MAX_WIDTH:g} wide: a wide",
        "one meets everything.",
        "",
        f"edgekit / benchmark_app: {ratio.value:.3f} [{low:.3f}, {high:.3f}]: {verdict_of(pairs)}. "
        f"{quiet} of edgekit's {len(pairs)} runs were steady.",
        "",
        "| pair | edgekit | benchmark_app | ratio | trust |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {number} | {pair.edgekit_s * 1e3:.2f} ms | {pair.benchmark_app_s * 1e3:.2f} ms | "
            f"{pair.edgekit_s / pair.benchmark_app_s:.3f} | {pair.trust} |"
            for number, pair in enumerate(pairs, start=1)
        ),
    ]


# ---------------------------------------------------------------- the two loops
def _pairs(folder: Path, count: int, seconds: float) -> list[Pair]:
    """Measures in alternating order, with this machine's lease held by edgekit's half alone."""
    feed = make_net(folder)
    pairs = []
    for number in range(count):
        if number % 2:
            theirs = _benchmark_app(folder, seconds)
            ours, verdict = _edgekit(folder, feed, seconds)
        else:
            ours, verdict = _edgekit(folder, feed, seconds)
            theirs = _benchmark_app(folder, seconds)
        pairs.append(Pair(ours, theirs, verdict))
        print(f"  pair {number + 1}/{count}: {ours * 1e3:.2f} ms and {theirs * 1e3:.2f} ms, {verdict}", file=sys.stderr)
    return pairs


def make_net(folder: Path) -> dict[str, Any]:
    """``net.xml``, ``net.bin`` and ``x.npy`` in ``folder``; returns the feed. Well over 5 ms on one thread."""
    if importlib.util.find_spec("openvino") is None:
        raise MissingExtraError("openvino", "openvino", "the comparison with benchmark_app")
    import openvino

    made, channels = engine_models.Builder(), 32
    x = made.node("Relu", made.conv("x", (3, channels), 3, 2))
    for out in (64, 128, 256):
        x = made.node("Relu", made.conv(x, (channels, out), 3, 2))
        x = made.node("Relu", made.node("Add", made.conv(x, (out, out), 3, gain=0.3), x))
        channels = out
    flat = made.node("Flatten", made.node("GlobalAveragePool", x))
    logits = made.node("Gemm", flat, made.weight(channels, 100, scale=channels**-0.5), made.weight(100, scale=0.01))
    made.save(folder / "net.onnx", engine_models.PICTURE, logits)
    openvino.save_model(openvino.convert_model(folder / "net.onnx"), folder / "net.xml", compress_to_fp16=False)
    feed = next(engine_models.feeds("x", engine_models.PICTURE, 1))
    np.save(folder / "x.npy", feed["x"])
    return feed


def _edgekit(folder: Path, feed: dict[str, Any], seconds: float) -> tuple[float, str]:
    """The median in seconds, and how far it can be trusted."""
    from edgekit_openvino import device

    files = {name: sha256_file(folder / name) for name in ("net.xml", "net.bin")}
    options = {"threads": 1, "streams": 1, "performance_hint": "none", "inference_precision": "f32"}
    runner = Runner((Path(str(device.__file__)),), "device", ("openvino",), tuple(files), options)
    plan = BenchPlan(rounds=ROUNDS, round_s=seconds / ROUNDS)
    with AgentSession(local_transport(), {"openvino": runner}) as session, session.lease(wait_s=LEASE_S):
        session.push(folder, files)
        opened = session.open(KEY, "openvino", runner, files)
        result = session.bench([KEY], {KEY: feed}, plan)[KEY] if isinstance(opened, Opened) else opened
    if not isinstance(result, Measurement):
        raise DeviceRunError("the net does not run in edgekit's loop", why=f"{result.kind}: {result.message}")
    return summarize(result.rounds).p50, trust(result).verdict


def _benchmark_app(folder: Path, seconds: float) -> float:
    """The median in seconds, on the CPU that edgekit's agent times on."""
    program = Path(sys.executable).with_name("benchmark_app")
    if not program.exists():
        raise DependencyError("benchmark_app is missing", why=f"it comes with openvino; {program} is not there")
    out = folder / "report"
    out.mkdir(exist_ok=True)
    command = [
        program, "-m", folder / "net.xml", "-d", "CPU", "-hint", "none", "-nstreams", "1", "-nthreads", "1", "-api", "sync",
        "-infer_precision", "f32", "-ip", "f32", "-i", f"x:{folder / 'x.npy'}", "-t", str(max(1, round(seconds))),
        "-json_stats", "-report_type", "no_counters", "-report_folder", out,
    ]  # fmt: skip
    cpus, before = timing_cpus(1), os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)  # what is started inherits it
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, check=False)
    finally:
        os.sched_setaffinity(0, before)
    if done.returncode:
        raise DeviceRunError("benchmark_app failed", why=(done.stdout + done.stderr).strip()[-400:])
    return read_median_s((out / "benchmark_report.json").read_text())


def read_median_s(text: str) -> float:
    """The median latency of benchmark_app's JSON report, which it gives in milliseconds as text.

    Raises:
        DeviceRunError: there is none.
    """
    try:
        return float(json.loads(text)["execution_results"]["latency (ms)"]) * 1e-3
    except (ValueError, KeyError, TypeError) as problem:
        raise DeviceRunError("benchmark_app's report cannot be read", why=f"{type(problem).__name__}: {problem}") from problem


def _openvino_version() -> str:
    from importlib.metadata import version

    return version("openvino")
