"""The golden pair of a bundle: a synthetic input and what the winner makes of it, for a later self-test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import DeviceRunError
from .types import Array, Feed, Feeds

if TYPE_CHECKING:
    from .evaluation import Predict
    from .preparation import Run


@dataclass(frozen=True)
class Golden:
    """A synthetic input and what the winner says to it, with nobody's data in it."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]


NO_GOLDEN = Golden({}, {})


def golden_pair(run: Run, predict: Predict) -> tuple[Golden, tuple[str, ...]]:
    """The golden pair; or none, and the warning that says so: the finished run is worth more than its self-test."""
    feed: Feed = next(iter(synthetic_inputs(run, 1)))
    try:
        return Golden(dict(feed), predict(feed)), ()
    except DeviceRunError as problem:
        return NO_GOLDEN, (f"the bundle has no golden pair: the winner fails on synthetic input ({problem.why or problem.what})",)


def synthetic_inputs(run: Run, n: int) -> Feeds:
    """Golden inputs: of the shapes and within the ranges of the calibration data, and nobody's."""
    from .data import synthetic_feeds
    from .stateful import state_pairs

    seen = run.calibration
    ranges, shapes = (seen.ranges, seen.shapes) if seen else (None, None)
    states = state_pairs(run.model.inputs, run.model.outputs)
    return synthetic_feeds(run.model.inputs, n=n, ranges=ranges, shapes=shapes, states=states)
