"""How long `edgekit --help` takes, beside an interpreter that does nothing."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from . import results

LIMIT_S = 0.150


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=21, help="runs of each, interleaved (at least 15)")
    parser.add_argument("--write", action="store_true", help="append the result to docs/results.md")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 when the fastest run is not under the limit: neighbours on the machine only add to what the program takes."""
    if arguments.runs < 15:
        print("startup: at least 15 runs", file=sys.stderr)
        return 2
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "edgekit --help": [sys.executable, "-m", "edgekit", "--help"],
    }
    elapsed_s: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():  # once each unmeasured: byte code and file cache
        timed(command)
    for _ in range(arguments.runs):
        for name, command in commands.items():
            elapsed_s[name].append(timed(command))
    lines = [f"- `{name}`: {summary(samples)}" for name, samples in elapsed_s.items()]
    print("\n".join(lines))
    if arguments.write:
        results.append("Start-up", lines)
    return 0 if min(elapsed_s["edgekit --help"]) < LIMIT_S else 1


def timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def summary(samples_s: list[float]) -> str:
    low, _, high = statistics.quantiles(samples_s, n=4)
    return (
        f"median {statistics.median(samples_s) * 1e3:.0f} ms, quartiles {low * 1e3:.0f} to {high * 1e3:.0f} ms, "
        f"fastest {min(samples_s) * 1e3:.0f} ms, n={len(samples_s)}"
    )
