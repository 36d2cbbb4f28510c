"""What a verdict on a device that is not at hand needs: who may win there, and what float says to inputs that anybody may see.

It goes into the bundle, and ``deploy-on-device.pyz`` gives the verdict where the device is (:mod:`edgekit.on_device`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .errors import DeviceRunError
from .fidelity import Comparison
from .judging import predictor
from .on_device.packing import MayWin, OnDevice
from .verdict import FASTER, is_full_precision

if TYPE_CHECKING:
    from .building import Built
    from .judging import FloatView
    from .request import DeployRequest
    from .search import Compared, Setting
    from .types import CandidateReport, Feed, Feeds

MOST_FEEDS = 16  # as many as a device at hand must agree on
MOST_BYTES = 32 << 20  # of golden inputs in a bundle; one is always kept


def leave_open(
    setting: Setting,
    view: FloatView,
    reference: Built,
    compared: Compared,
    rows: Mapping[str, CandidateReport],
    feeds: Feeds,
    request: DeployRequest,
) -> tuple[OnDevice | None, tuple[str, ...]]:
    """Every candidate that holds the gates, with each target's own float; compared with float on ``feeds`` by their open workers.

    Args:
        reference: float, whose worker is open on this machine.
        feeds: synthetic ones.

    Returns:
        None where float itself fails on such inputs; and a warning for everyone that was left out.
    """
    inputs: list[Feed] = []
    for feed in itertools.islice(feeds, MOST_FEEDS):
        inputs.append(dict(feed))
        if sum(array.nbytes for each in inputs for array in each.values()) > MOST_BYTES:
            break
    if len(inputs) > 1 and sum(array.nbytes for each in inputs for array in each.values()) > MOST_BYTES:
        inputs.pop()
    float_predict = predictor(setting.session.host, reference.id, reference)
    try:
        outputs = [float_predict(feed) for feed in inputs]
    except DeviceRunError as problem:
        return None, (f"the bundle cannot be judged on a device: float fails on synthetic input ({problem.why or problem.what})",)
    candidates, warnings = [], []
    for key, item in compared.built.items():
        is_float = is_full_precision(item.planned.candidate)
        if not rows[key].accepted and not is_float:
            continue
        comparison = Comparison(view.kinds)
        predict = float_predict if key == reference.id else predictor(setting.session, key, item)
        try:
            for feed, expected in zip(inputs, outputs, strict=True):
                comparison.add(expected, predict(feed))
        except DeviceRunError as problem:
            warnings.append(f"{key} is not in the bundle: it fails on synthetic input ({problem.why or problem.what})")
            continue
        agreement = comparison.agreement()
        candidates.append(
            MayWin(
                item.planned.candidate,
                item.artifact,
                item.folder,
                item.runner,
                is_float,
                agreement.value if agreement else None,
                comparison.sqnr_db,
            )
        )
    found = OnDevice(
        tuple(candidates),
        tuple(inputs),
        tuple(outputs),
        view.kinds,
        setting.gates.agreement_needed(labels=setting.evaluation is not None),
        FASTER,
        request.objective,
        request.has_chosen_precision,
    )
    return found, tuple(warnings)
