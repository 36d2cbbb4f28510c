"""What trtexec prints and writes, of TensorRT 8.2 to 11, as values. Pure functions: whatever cannot be read is left out.

A guest file: it is copied to the device on its own, imports the standard library alone, and keeps to Python 3.8.

Formats: TensorRT's own samples (samples/common/sampleReporting.cpp, logger.h and sampleOptions.cpp of each release).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

MAX_NAME_CHARACTERS = 4000

_BANNER = re.compile(r"TensorRT\.trtexec \[TensorRT v(\d{4,6})\]")
_STATUS = re.compile(r"^&&&& (PASSED|FAILED|WAIVED) TensorRT\.trtexec\b")
_PREFIX = re.compile(r"^\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[([VIWEF])\] ?(?:\[TRT\] ?)?")
_OPTION = re.compile(r"^\s+(--[A-Za-z][A-Za-z0-9]*)")
_NUMBER = r"(-?(?:\d+\.?\d*(?:[eE][-+]?\d+)?))"
_ROW = re.compile(r"^([A-Z][A-Za-z0-9 -]{2,40}): (min = .*)$")
_STATISTIC = re.compile(r"(min|max|mean|median|percentile\(\d+(?:\.\d+)?%\)) = " + _NUMBER + r" ms")
_THROUGHPUT = re.compile(r"^Throughput: " + _NUMBER + r" qps$")
_LAYER = re.compile(
    r'^\s*,?\s*\{ "name" : "(.*)", "timeMs" : ' + _NUMBER + r', "averageMs" : ' + _NUMBER + r'(?:, "\w+" : [^,{}]*)* \}\s*$'
)
_COUNT = re.compile(r'^\s*,?\s*\{ "count" : (\d{1,9}) \}\s*$')
_OUTPUT_NAME = re.compile(r'^\s*,?\s*\{ "name" : "(.*)"\s*$')
_OUTPUT_SHAPE = re.compile(r'^\s*, "dimensions" : "([0-9x]*)"\s*$')
_OUTPUT_VALUES = re.compile(r'^\s*, "values" : \[ ?(.*?) ?\]\s*$')
#: What tells how far a build is, and what then follows; the first match counts.
_STAGES = (
    (re.compile(r"^Start parsing network model"), "reading the model"),
    (re.compile(r"^Finish(?:ed)? parsing network model"), "building the engine: this may take many minutes"),
    (re.compile(r"^Graph optimization time: "), "graph optimized; timing kernels"),
    (re.compile(r"timing cache in use", re.IGNORECASE), "timing kernels"),
    (re.compile(r"^Loaded (\d+) bytes of timing cache"), "kernels timed earlier are reused"),
    (re.compile(r"^Engine generation completed in [0-9.]+ seconds"), "engine generated"),
    (re.compile(r"^Engine built in ([0-9.]+) sec"), "engine built"),
)


class Query(NamedTuple):
    """Seconds of one inference, as the GPU's own clock saw them; ``latency_s`` is the sum of the others."""

    h2d_s: float
    compute_s: float
    d2h_s: float
    latency_s: float


class Layer(NamedTuple):
    name: str
    time_s: float  # over all ``n`` inferences
    n: int


class Output(NamedTuple):
    shape: tuple[int, ...]
    values: list[float]


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The version in the banner: ``v8201`` is 8.2.1, ``v100300`` is 10.3.0; ``None`` where there is no banner."""
    found = _BANNER.search(text)
    if found is None:
        return None
    number = int(found.group(1))
    if number >= 100000:
        return number // 10000, number // 100 % 100, number % 100
    return number // 1000, number // 100 % 10, number % 100


def message(line: str) -> tuple[str, str]:
    """A line's severity (``V I W E F``; empty where it has none) and its text without stamp and marks."""
    line = line.rstrip("\r\n")
    found = _PREFIX.match(line)
    return (found.group(1), line[found.end() :].strip()) if found else ("", line.strip())


def passed(text: str) -> bool | None:
    """What the last status line says; ``None`` where there is none: it was killed, or the text is cut off."""
    for line in reversed(text.split("\n")):
        found = _STATUS.match(line)
        if found:
            return found.group(1) == "PASSED"
    return None


def parse_options(help_text: str) -> frozenset[str]:
    """The options that ``--help`` lists."""
    return frozenset(found.group(1) for found in map(_OPTION.match, help_text.split("\n")) if found)


def parse_stage(line: str) -> str | None:
    """What a line of a build says about how far it is; ``None`` for all the others."""
    _, said = message(line)
    for pattern, stage in _STAGES:
        found = pattern.search(said)
        if found:
            return "%s (%s s)" % (stage, found.group(1)) if stage == "engine built" else stage
    return None


def parse_errors(text: str) -> list[str]:
    """The texts of error lines, in order, each once."""
    found: dict[str, None] = {}
    for line in text.split("\n"):
        severity, said = message(line)
        if severity in ("E", "F") and said:
            found.setdefault(said[:500])
    return list(found)


def parse_summary(text: str) -> dict[str, dict[str, float]]:
    """The rows of the performance summary: ``{"GPU Compute Time": {"min": s, "percentile(99%)": s, ..}}``, in seconds.

    ``{"Throughput": {"per_s": ..}}`` is the throughput. 8.2 has a row "End-to-End Host Latency" that later releases left out.
    """
    rows: dict[str, dict[str, float]] = {}
    for line in text.split("\n"):
        _, said = message(line)
        throughput = _THROUGHPUT.match(said)
        if throughput:
            rows["Throughput"] = {"per_s": float(throughput.group(1))}
        row = _ROW.match(said)
        if row:
            values = {name: float(value) * 1e-3 for name, value in _STATISTIC.findall(row.group(2))}
            rows[row.group(1)] = {name: value for name, value in values.items() if math.isfinite(value)}
    return rows


def parse_times(text: str, warm_up_s: float) -> list[Query]:
    """``--exportTimes``: every inference that began after the warm-up.

    8.x exports those of the warm-up too. Stamps lose digits in a long run, so durations are taken from fields that hold them.

    Raises:
        ValueError: it is no such list.
    """
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise ValueError("not a list of times")
    found: list[Query] = []
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        start, h2d, compute, d2h, latency = (
            _milliseconds(entry.get(name)) for name in ("startComputeMs", "h2dMs", "computeMs", "d2hMs", "latencyMs")
        )
        if h2d is None or compute is None or d2h is None or latency is None or (start is not None and start < warm_up_s):
            continue
        found.append(Query(h2d, compute, d2h, latency))
    return found


def parse_profile(text: str) -> list[Layer]:
    """``--exportProfile``: each layer's time. Names are not escaped there, so this is read line by line and not as JSON."""
    n = 0
    layers: list[Layer] = []
    for line in text.split("\n"):
        count = _COUNT.match(line)
        if count:
            n = int(count.group(1))
        row = _LAYER.match(line)
        if row and len(row.group(1)) <= MAX_NAME_CHARACTERS:
            time_s = float(row.group(2)) * 1e-3
            if math.isfinite(time_s) and time_s >= 0:
                layers.append(Layer(row.group(1), time_s, n))
    return layers if n else []


def parse_outputs(text: str) -> dict[str, Output]:
    """``--exportOutput``: ``{name: (shape, values)}``. Six significant digits are printed; nan and inf as C++ prints them."""
    found: dict[str, Output] = {}
    name: str | None = None
    shape: tuple[int, ...] | None = None
    for line in text.split("\n"):
        named, shaped, valued = _OUTPUT_NAME.match(line), _OUTPUT_SHAPE.match(line), _OUTPUT_VALUES.match(line)
        if named:
            name, shape = named.group(1), None
        elif shaped:
            shape = tuple(int(size) for size in shaped.group(1).split("x") if size)
        elif valued and name is not None and shape is not None:
            values = _floats(valued.group(1))
            if values is not None and len(values) == math.prod(shape):
                found[name] = Output(shape, values)
            name = None
    return found


def _floats(text: str) -> list[float] | None:
    try:
        return [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        return None


def _milliseconds(value: Any) -> float | None:
    """A number of milliseconds as seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        seconds = float(value) * 1e-3
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
