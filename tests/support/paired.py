"""Whether a winner holds on a set that edgekit was never given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit.measure.statistics import paired_drop_bound


def assert_holds(float_score: Mapping[str, Any], score: Mapping[str, Any], *, max_drop: float = 0.01, least_n: int = 500) -> str:
    """The drop on the third set is at most 1 % of float's value, or its paired 95 % interval reaches that.

    Returns a line that says what was found.
    """
    assert float_score["n"] == score["n"] >= least_n
    drop = float_score["value"] - score["value"]
    allowed = max_drop * float_score["value"]
    low, high = paired_drop_bound(float_score["per_sample"], score["per_sample"])
    line = f"{score['name']} on the third set: {float_score['value']:.4f} -> {score['value']:.4f}"
    line += f", drop {drop:+.4f} [{low:+.4f}, {high:+.4f}]"
    assert drop <= allowed or low <= allowed, line
    return line
