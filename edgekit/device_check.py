"""Whether a device says what this machine says of the same artifact: then quality that was judged here holds there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from .distance import distance, fraction
from .errors import DeviceRunError
from .judging import compare, failure_of, predictor
from .search import failed_row
from .types import JSON, DeviceDifference, DeviceFacts, RunFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .building import Built
    from .evaluation import Predict
    from .judging import FloatView
    from .search import Compared, Setting
    from .types import Array, Feed

CHECKED_FEEDS = 16
TIMED_OPERATORS = "time of each operator"  # what the trail says of a step that timed them


def check_on_device(setting: Setting, view: FloatView, compared: Compared) -> tuple[dict[str, DeviceDifference], tuple[str, ...]]:
    """Opens every candidate on the device and compares its outputs there with those here.

    One that does not run there leaves ``compared`` with that as its row. One that differs is compared with float anew, on the
    device, which judges it from then on.

    Returns:
        The differences by candidate, and a warning for each that is too large.
    """
    judge = setting.session
    setting.progress.stage("comparing the device with this machine")
    differences: dict[str, DeviceDifference] = {}
    warnings: list[str] = []
    items = [item for item in compared.built.values() if not judge.is_judged_there(item.id)]
    for index, item in enumerate(items):
        setting.progress.advance(index, len(items), item.id)
        found = _checked(setting, view, item)
        failure = found if isinstance(found, RunFailure) else None
        if isinstance(found, DeviceDifference):
            differences[item.id] = found
            if not found.is_small:
                warnings.append(_warning(item.id, found))
                failure = _judged_there(setting, view, compared, item)
        if failure is not None:
            del compared.built[item.id], compared.comparisons[item.id]
            compared.refused[item.id] = failed_row(item, failure)
    setting.progress.advance(len(items), len(items), "compared")
    return differences, tuple(warnings)


def _checked(setting: Setting, view: FloatView, item: Built) -> DeviceDifference | RunFailure:
    judge = setting.session
    failure = judge.open_on_device(item.id, item)
    if failure is not None:
        return failure
    feeds = list(islice(view.feeds, CHECKED_FEEDS))
    here = [predictor(judge.host, item.id, item)(feed) for feed in feeds]
    try:
        return difference(here, feeds, predictor(judge.device, item.id, item), item.runner.tolerance)
    except DeviceRunError as problem:
        return failure_of(problem)


def _judged_there(setting: Setting, view: FloatView, compared: Compared, item: Built) -> RunFailure | None:
    setting.session.judge_on_device(item.id, item)
    try:
        compared.comparisons[item.id] = compare(predictor(setting.session, item.id, item), view)
    except DeviceRunError as problem:
        return failure_of(problem)
    return None


def difference(here: Iterable[Mapping[str, Array]], feeds: Iterable[Feed], there: Predict, tolerance: float) -> DeviceDifference:
    """How far ``there``'s outputs lie from those taken ``here`` on the same feeds (see :class:`DeviceDifference`)."""
    largest: dict[str, float] = {}
    furthest: dict[str, float] = {}
    n, comparable = 0, True
    for feed, ours in zip(feeds, here, strict=True):
        theirs = there(feed)
        n += 1
        for name, array in ours.items():
            found = distance(array, theirs[name])
            if found is None:
                comparable = False
                continue
            furthest[name] = max(furthest.get(name, 0.0), found[0])
            largest[name] = max(largest.get(name, 0.0), found[1])
    value = max((fraction(furthest[name], largest[name]) for name in furthest), default=0.0) if comparable else None
    return DeviceDifference(value, tolerance, n)


def _warning(key: str, found: DeviceDifference) -> str:
    if found.value is None:
        what = "have another shape than this machine's, or are not finite where those are"
    else:
        what = f"differ from this machine's by {found.value:.2g} of their largest magnitude (tolerance {found.tolerance:g})"
    return f"{key}: the device's outputs {what} on {found.n} held-out feeds; its quality was judged on the device"


def timing_remark(name: str, facts: DeviceFacts) -> tuple[str, ...]:
    """A warning where what was measured is not the hardware that is meant; none for a real device."""
    if facts.kind == "real":
        return ()
    what = "emulated" if facts.kind == "emulated" else f"a {facts.kind}"
    return (f"device {name} is {what}: its timing is no evidence of performance",)


def with_place_of_timing(steps: Sequence[dict[str, JSON]], name: str) -> tuple[tuple[dict[str, JSON], ...], tuple[str, ...]]:
    """The trail of a search that timed operators on this machine instead of the device, and the warning that says so."""
    if not any(step["what"] == TIMED_OPERATORS for step in steps):
        return tuple(steps), ()
    marked = tuple({**step, "timed_on": "host"} if step["what"] == TIMED_OPERATORS else step for step in steps)
    return marked, (f"what stays in float was chosen by operator times of this machine, not of {name}",)
