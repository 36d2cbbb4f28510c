"""How much a calibration can be relied on, from statistics that are in the cache and a look at the held-out data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from ..frontends.onnx_frontend import read_raised
from ..progress import Progress
from ..types import JSON, BuildData
from .calibration import collect
from .range_cache import statistics_for
from .stability import calibration_report

if TYPE_CHECKING:
    from ..model import Model

MOST_HELD_OUT = 32


def check_calibration(
    model: Model, data: BuildData, tensors: Sequence[str], *, progress: Progress | None = None
) -> dict[str, JSON]:
    """The report of :func:`edgekit.quantize.stability.calibration_report` on ``tensors`` of the raised model.

    At most 32 held-out feeds, evenly spread, are looked at.

    Raises:
        ModelError, DataError, OutputError: as :func:`edgekit.quantize.range_cache.statistics_for`.
    """
    fit = statistics_for(model, data, tensors, progress=progress)
    every = max(1, math.ceil(len(data.held_out) / MOST_HELD_OUT))
    return calibration_report(fit, collect(read_raised(model), tensors, islice(data.held_out, 0, None, every)))
