"""What the compression that came before edgekit bought on this hardware: the given model beside the one it was made from."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import DeviceRunError, ModelError
from .fidelity import Comparison, prediction_agreement
from .judging import FloatView, open_worker, predictor
from .measure.statistics import speedup
from .search import view_float_in
from .types import JSON, BaselineReport, CandidateReport, Measurement, Ratio, RunFailure, TensorSpec
from .verdict import FASTER

if TYPE_CHECKING:
    from .building import Built
    from .model import Model
    from .search import Setting

BASELINE_KEY = "baseline"
_CHUNK_BYTES = 1 << 20


def check_same_contract(model: Model, original: Model) -> None:
    """The two models must take and give the same tensors, by name, dtype and number of axes.

    Raises:
        ModelError: they do not.
    """
    for kind, ours, theirs in (("inputs", model.inputs, original.inputs), ("outputs", model.outputs, original.outputs)):
        a, b = [_contract(t) for t in ours], [_contract(t) for t in theirs]
        if sorted(a) != sorted(b):
            raise ModelError(
                f"the baseline's {kind} are {', '.join(b)}, the model's are {', '.join(a)}",
                why="they cannot be compared sample by sample",
                hint="export both with the same tensor names and types",
            )


def _contract(tensor: TensorSpec) -> str:
    return f"{tensor.name}: {tensor.dtype} of {len(tensor.shape)} axes"


def view_baseline(setting: Setting, original: Built) -> FloatView:
    """The original's outputs on held-out feeds and its score; its worker stays open for the measurement.

    Raises:
        DeviceRunError: the original does not run.
    """
    setting.progress.stage("running the baseline in float")
    failure = open_worker(setting.session.host, BASELINE_KEY, original)
    if failure is not None:
        raise DeviceRunError("the baseline model does not run in ONNX Runtime", why=failure.message)
    return view_float_in(setting, predictor(setting.session.host, BASELINE_KEY, original), BASELINE_KEY)


def compare_with_baseline(
    views: tuple[FloatView, FloatView],
    floats: tuple[Built, Built],
    results: Mapping[str, Measurement | RunFailure],
    findings: Sequence[str],
    winner: CandidateReport | None,
    describe_model: Mapping[str, JSON],
) -> BaselineReport:
    """Speed, size and quality of the given model's float, and of the winner, against the original's float.

    Args:
        views, floats: of the given model, and of the original.
        results: of the measurement, by key.
        findings: kinds of compression that were seen in the given model, for the summary.
    """
    (view, original), (given, baseline) = views, floats
    comparison = Comparison(original.kinds)
    for theirs, ours in zip(original.outputs, view.outputs, strict=True):
        comparison.add(theirs, ours)
    agreement = comparison.agreement(synthetic=view.synthetic)
    if view.score and original.score and view.score.predictions and original.score.predictions:
        agreement = prediction_agreement(original.score.predictions, view.score.predictions)
    size_ratio = given.size_bytes / baseline.size_bytes
    zipped_ratio = zipped_bytes(given) / zipped_bytes(baseline)
    ratio = _speedup(results, given.id)
    what = ", ".join(findings) or "the earlier compression"
    return BaselineReport(
        model=dict(describe_model),
        speedup=ratio,
        size_ratio=size_ratio,
        zipped_ratio=zipped_ratio,
        metric=view.score.value if view.score else None,
        metric_float=original.score.value if original.score else None,
        agreement=agreement,
        winner_speedup=_speedup(results, winner.id) if winner else None,
        winner_metric=winner.fidelity.metric if winner and winner.fidelity else None,
        summary=f"{what}: {_faster(ratio)}, {_smaller(size_ratio)} as a file, {_smaller(zipped_ratio)} zipped",
    )


def _speedup(results: Mapping[str, Measurement | RunFailure], key: str) -> Ratio | None:
    slower, faster = results.get(BASELINE_KEY), results.get(key)
    return speedup(slower.rounds, faster.rounds) if isinstance(slower, Measurement) and isinstance(faster, Measurement) else None


def _faster(ratio: Ratio | None) -> str:
    if ratio is None:
        return "speed not measured"
    low, high = ratio.ci95
    if low >= 1 / FASTER and high <= FASTER:
        return "0 % faster"
    if low <= 1 <= high:
        return f"not measurably faster (95 % interval {low:.2f}x to {high:.2f}x)"
    percent = round(abs(ratio.value - 1) * 100)
    return f"{percent} % {'faster' if ratio.value > 1 else 'slower'}"


def _smaller(ratio: float) -> str:
    change = round((1 - ratio) * 100)
    return f"{change} % smaller" if change >= 0 else f"{-change} % larger"


def zipped_bytes(built: Built) -> int:
    """What the artifact's files weigh deflated, as in a zip: what a download costs."""
    return sum(_deflated(built.folder / name) for name in built.artifact.files)


def _deflated(path: Path) -> int:
    packer, size = zlib.compressobj(6), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(packer.compress(chunk))
    return size + len(packer.flush())
