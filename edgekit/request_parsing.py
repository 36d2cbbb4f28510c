"""The small languages that options are written in: from a command line or a TOML file to a request.

Numbers and lists from a TOML file read like the text that they would be on a command line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from .errors import UnknownNameError, UsageError
from .measure.sci import YEAR_S, Embodied
from .request import OPTIONS, PERCENTILES, DeployRequest, Drop, LatencyLimit, field_of, option_of
from .types import Samples

_SHAPE_FORM = "input=1x3x48x320, every size at least 1"
_NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)"
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def parse_request(options: Mapping[str, Any]) -> DeployRequest:
    """A request from options as they stand on a command line or in a TOML file.

    ``options``: {field name of :class:`DeployRequest`: text, number or list}; a missing one takes its default. ``budget`` and
    ``min_agreement`` may be text ("2m", "98%"); ``target`` and ``shape`` may be one text or a list.

    Raises:
        UsageError: a value that cannot be read; says which option and how it is written.
    """
    known = {f.name for f in fields(DeployRequest)}
    unknown = sorted(set(options) - known - {option_of(name) for name in known})
    if unknown:
        raise UnknownNameError("option", unknown[0], [*OPTIONS, *(option_of(name) for name in known if option_of(name) != name)])
    values = {field_of(name): value for name, value in options.items() if value is not None}
    if "model" not in values:
        raise UsageError("no model is named", hint="edgekit deploy MODEL --target TARGET")
    return DeployRequest(**{name: _PARSERS[name](value) for name, value in values.items()})


def parse_targets(value: Any) -> tuple[str, ...]:
    """``"onnx,jetson"`` or a list of such texts -> ``("onnx", "jetson")``, each once, in order."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise _unreadable("--target", value, "names separated by commas, or auto")
    names = [name.strip() for text in texts for name in text.split(",")]
    if not names or not all(names):
        raise _unreadable("--target", value, "names separated by commas, or auto")
    return tuple(dict.fromkeys(names))


def parse_drop(value: Any) -> Drop:
    """``"1%"`` is relative to the float value, ``"0.01"`` (or a number) is absolute, in the metric's own unit."""
    if isinstance(value, Drop):
        return value
    match = re.fullmatch(rf"\s*{_NUMBER}\s*(%?)\s*", _text(value))
    if not match or float(match[1]) == math.inf:
        raise _unreadable("--max-drop", value, "1% (of the float value) or 0.01 (in the metric's own unit)")
    number = float(match[1])
    return Drop(number / 100, relative=True) if match[2] else Drop(number, relative=False)


def parse_fraction(value: Any) -> float:
    """``0.98`` or ``"98%"``."""
    match = re.fullmatch(rf"\s*{_NUMBER}\s*(%?)\s*", _text(value))
    if not match:
        raise _unreadable("--min-agreement", value, "0.98 or 98%")
    return float(match[1]) / (100 if match[2] else 1)


def parse_latency(value: Any) -> LatencyLimit:
    """``"12ms"``, ``"12ms p50"`` or ``"12ms (p50)"``; p90 unless said."""
    if isinstance(value, LatencyLimit):
        return value
    match = re.fullmatch(rf"\s*{_NUMBER}\s*(us|µs|ms|s)\s*(?:\(\s*(\w+)\s*\)|\s(\w+))?\s*", _text(value))
    percentile = (match[3] or match[4] or "p90").lower() if match else ""
    if not match or percentile not in PERCENTILES or not 0 < float(match[1]) < math.inf:
        raise _unreadable("--max-latency", value, f"12ms, or 12ms p50 (of {', '.join(PERCENTILES)}; p90 unless said)")
    return LatencyLimit(float(match[1]) * _SECONDS[match[2]], percentile)  # type: ignore[arg-type]  # checked against PERCENTILES


def parse_duration(value: Any, option: str = "--budget") -> float:
    """``"120s"``, ``"2m"``, ``"1h"`` or a number of seconds, in seconds."""
    match = re.fullmatch(rf"\s*{_NUMBER}\s*(ms|s|min|m|h)?\s*", _text(value))
    seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
    if not 0 < seconds < math.inf:
        raise _unreadable(option, value, "120s, 2m or 1h")
    return seconds


def parse_wait(value: Any) -> float:
    """As :func:`parse_duration`, and 0 for not at all."""
    if _text(value).strip() == "0":
        return 0.0
    try:
        return parse_duration(value)
    except UsageError as problem:
        raise _unreadable("--wait", value, "30s, 10m, or 0 for not at all") from problem


def parse_grid_intensity(value: Any) -> float:
    """``"400"`` or ``"400 g/kWh"``: grams CO2e a kilowatt-hour of the electricity that the device runs on."""
    match = re.fullmatch(rf"\s*{_NUMBER}\s*(?:g/kWh)?\s*", _text(value))
    if not match or not 0 <= float(match[1]) <= 10_000:
        raise _unreadable("--grid-intensity", value, "grams CO2e a kWh, for example 400")
    return float(match[1])


def parse_embodied(value: Any) -> Embodied:
    """``"250kg/4y"``: emissions from making the device, and the years that it will be in use."""
    if isinstance(value, Embodied):
        return value
    match = re.fullmatch(rf"\s*{_NUMBER}\s*(g|kg)\s*/\s*{_NUMBER}\s*y\s*", _text(value))
    grams = float(match[1]) * (1000.0 if match[2] == "kg" else 1.0) if match else 0.0
    if not match or not 0 < grams < math.inf or not 0 < float(match[3]) <= 100:
        raise _unreadable("--embodied", value, "250kg/4y: CO2e of making the device, and its years in use")
    return Embodied(grams, float(match[3]) * YEAR_S)


def parse_samples(value: Any) -> Samples:
    """``"200"`` or 200: at most so many samples; ``"auto"``: as many as it takes until the ranges are stable."""
    if value == "auto":
        return "auto"
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        return int(value)
    if type(value) is not int:
        raise _unreadable("--samples", value, "a whole number, or auto")
    return value


def parse_shape(value: Any) -> dict[str, tuple[int, ...]]:
    """``"n=1x3x48x320"``, several of them in a list, or a table ``{n = [1, 3, 48, 320]}``. ``"n="`` is a scalar."""
    items: list[tuple[str, Any]] = [("", None)]
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, (str, list, tuple)):
        items = [_shape_item(text) for text in ([value] if isinstance(value, str) else value)]  # each names itself if unreadable
    shape: dict[str, tuple[int, ...]] = {}
    for name, sizes in items:
        if not name or not isinstance(sizes, (list, tuple)) or not all(type(size) is int for size in sizes):
            raise _unreadable("--shape", value, _SHAPE_FORM)
        if any(size < 1 for size in sizes):
            raise UsageError(f"--shape {name}={'x'.join(map(str, sizes))} has a size below 1", hint=f"write it as {_SHAPE_FORM}")
        if name in shape:
            raise UsageError(f"--shape names the input {name!r} twice")
        shape[name] = tuple(sizes)
    return shape


def _shape_item(text: Any) -> tuple[str, list[int]]:
    match = re.fullmatch(r"(.+)=((?:[0-9]{1,20}(?:x[0-9]{1,20})*)?)", text) if isinstance(text, str) else None
    if not match:
        raise _unreadable("--shape", text, _SHAPE_FORM)
    return match[1], [int(d) for d in match[2].split("x")] if match[2] else []


def _text(value: Any) -> str:
    """Numbers from a TOML file read like the text they would be on a command line."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return value if isinstance(value, str) else repr(value)


def _unreadable(option: str, value: Any, how: str) -> UsageError:
    return UsageError(f"{option} {value!r} cannot be read", hint=f"write it as {how}")


def _plain(option: str, kind: type) -> Any:
    def check(value: Any) -> Any:
        if kind is int and isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
            return int(value)
        if type(value) is not kind:
            raise _unreadable(f"--{option.replace('_', '-')}" if option != "model" else "MODEL", value, f"a {_KINDS[kind]}")
        return value

    return check


_KINDS = {int: "whole number", str: "text", bool: "switch: true or false"}
_TEXTS = (
    "model",
    "device",
    "calib",
    "eval",
    "metric",
    "precision",
    "objective",
    "baseline",
    "eval_on",
    "energy",
    "governor",
    "power_mode",
    "sparsity",
)
_PARSERS: dict[str, Any] = {
    "samples": parse_samples,
    **{name: _plain(name, str) for name in _TEXTS},
    "threads": _plain("threads", int),
    "lock_clocks": _plain("lock_clocks", bool),
    "target": parse_targets,
    "max_drop": parse_drop,
    "min_agreement": parse_fraction,
    "max_latency": parse_latency,
    "shape": parse_shape,
    "budget_s": parse_duration,
    "sustain_s": partial(parse_duration, option="--sustain"),
    "grid_intensity": parse_grid_intensity,
    "embodied": parse_embodied,
}
