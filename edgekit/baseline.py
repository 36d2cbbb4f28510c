"""What the compression that came before edgekit bought on this hardware: the given model beside the one it was made from."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import DeviceRunError, ModelError
from .judging import FloatView, open_worker, predictor, view_float
from .measure.statistics import speedup
from .types import BaselineReport, Measurement, RunFailure

if TYPE_CHECKING:
    from .building import Built
    from .fidelity import Comparison
    from .model import Model
    from .search import Setting

BASELINE_KEY = "baseline"
_CHUNK_BYTES = 1 << 20


def check_same_contract(model: Model, original: Model) -> None:
    """The two models must take and give the same tensors.

    Raises:
        ModelError: names differ.
    """
    for kind, ours, theirs in (("inputs", model.inputs, original.inputs), ("outputs", model.outputs, original.outputs)):
        a, b = [t.name for t in ours], [t.name for t in theirs]
        if a != b:
            raise ModelError(
                f"the baseline's {kind} are {', '.join(b)}, the model's are {', '.join(a)}",
                why="they cannot be compared sample by sample",
                hint="export both with the same tensor names",
            )


def view_baseline(setting: Setting, original: Built) -> FloatView:
    """The original's outputs on held-out feeds and its score; its worker stays open for the measurement.

    Raises:
        DeviceRunError: the original does not run.
    """
    setting.progress.stage("running the baseline in float")
    failure = open_worker(setting.session, BASELINE_KEY, original)
    if failure is not None:
        raise DeviceRunError("the baseline model does not run in ONNX Runtime", why=failure.message)
    predict = predictor(setting.session, BASELINE_KEY, original)
    return view_float(predict, setting.held_out, synthetic=setting.synthetic, evaluation=setting.evaluation, guard=setting.guard)


def compare_with_baseline(
    view: FloatView,
    original: FloatView,
    reference: Built,
    baseline: Built,
    results: Mapping[str, Measurement | RunFailure],
    findings: Sequence[str],
    describe_model: Mapping[str, object],
) -> BaselineReport:
    """Speed, size and quality of the given model's float against the original's.

    Args:
        findings: kinds of compression that were seen in the given model, for the summary.
    """
    from .fidelity import Comparison, prediction_agreement

    comparison: Comparison = Comparison(original.kinds)
    for theirs, ours in zip(original.outputs, view.outputs, strict=True):
        comparison.add(theirs, ours)
    agreement = comparison.agreement(synthetic=view.synthetic)
    if view.score and original.score and view.score.predictions and original.score.predictions:
        agreement = prediction_agreement(original.score.predictions, view.score.predictions)
    slower, faster = results.get(BASELINE_KEY), results.get(reference.id)
    ratio = speedup(slower.rounds, faster.rounds) if isinstance(slower, Measurement) and isinstance(faster, Measurement) else None
    size_ratio = reference.size_bytes / baseline.size_bytes
    zipped_ratio = zipped_bytes(reference) / zipped_bytes(baseline)
    speed = f"{(ratio.value - 1) * 100:+.0f} % faster" if ratio else "speed not measured"
    if ratio and ratio.ci95[0] <= 1.03 and ratio.ci95[1] >= 1 / 1.03:
        speed = "0 % faster (within the interval)"
    what = ", ".join(findings) or "the earlier compression"
    return BaselineReport(
        model=dict(describe_model),
        speedup=ratio,
        size_ratio=size_ratio,
        zipped_ratio=zipped_ratio,
        metric=view.score.value if view.score else None,
        metric_float=original.score.value if original.score else None,
        agreement=agreement,
        summary=f"{what}: {speed}, {_smaller(size_ratio)} as a file, {_smaller(zipped_ratio)} zipped",
    )


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
