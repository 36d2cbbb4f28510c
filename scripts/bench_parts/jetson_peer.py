"""edgekit's int8 beside NVIDIA's Model Optimizer's: the same float graph, the same samples, the same arithmetic on a CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx
from edgekit_tensorrt.simulation import Session

from edgekit.errors import EdgekitError
from edgekit.fidelity import Comparison, output_kinds
from edgekit.progress import Progress
from edgekit.toolchain_locks import get_toolchain
from edgekit.toolchain_run import Limits, run
from edgekit.types import Feed

from .contestants import write_calibration
from .jetson_graphs import coverage
from .jetson_records import Beside, Int8

METHODS = ("entropy", "max")  # its default and its other
SCRIPT = Path(__file__).with_name("jetson_modelopt_run.py")
OURS, PLAIN = "edgekit", "edgekit, nothing refined"


def beside(
    float_model: Path,
    ours: Path,
    plain: Path,
    calibration: Sequence[Feed],
    unseen: Sequence[Feed],
    scratch: Path,
    progress: Progress,
) -> Beside:
    """The two compared. What stays float is float32 in both, so that int8 alone makes the difference.

    Args:
        float_model: edgekit's own float artifact; modelopt quantizes this very file.
        ours, plain: edgekit's int8 artifacts of it, of the same inputs, as handed over and before anything was refined.
        calibration: feeds that both may calibrate with.
        unseen: feeds that neither has.
    """
    write_calibration(calibration, scratch / "calibration.npz")
    (scratch / "float.onnx").write_bytes(float_model.read_bytes())
    reference = _outputs(float_model, unseen)
    kinds = output_kinds(reference)

    def closeness(path: Path) -> float | None:
        comparison = Comparison(kinds)
        for expected, found in zip(reference, _outputs(path, unseen), strict=True):
            comparison.add(expected, found)
        return comparison.sqnr_db

    own = coverage(onnx.load(ours))
    mine, unrefined = (
        Int8(who, closeness(path), len(own.convolutions), len(own.products)) for who, path in ((OURS, ours), (PLAIN, plain))
    )
    theirs = []
    first = None
    for method in METHODS:
        who = f"modelopt {method}"
        progress.stage(f"-- {who}")
        try:
            made = _modelopt(scratch, method)
        except EdgekitError as problem:
            theirs.append(Int8(who, fails=str(problem)[:300]))
            continue
        found = coverage(onnx.load(made))
        first = first or found
        theirs.append(Int8(who, closeness(made), len(found.convolutions), len(found.products)))
    if first is None:
        return Beside(len(unseen), mine, unrefined, tuple(theirs))
    common = own.additions.keys() | first.additions.keys()
    return Beside(
        len(unseen),
        mine,
        unrefined,
        tuple(theirs),
        only_ours=tuple(sorted(own.convolutions - first.convolutions)),
        only_theirs=tuple(sorted(first.convolutions - own.convolutions)),
        additions=len(common),
        differing=tuple(sorted(name for name in common if own.additions.get(name) != first.additions.get(name))),
    )


def _modelopt(scratch: Path, method: str) -> Path:
    """Its int8 model; the toolchain is installed when it is first needed.

    Raises:
        EdgekitError: it failed, or cannot be installed.
    """
    out = f"{method}.onnx"
    arguments = ["float.onnx", "calibration.npz", out, method, "fp32"]
    limits = Limits(time_s=3600.0, memory_bytes=24 << 30)
    run(get_toolchain("modelopt"), SCRIPT, arguments, work=scratch, what=f"modelopt ({method}) failed", limits=limits)
    return scratch / out


def _outputs(path: Path, feeds: Iterable[Feed]) -> list[dict[str, object]]:
    session = Session({path.name: str(path)}, {"entry": path.name})
    return [session.run(dict(feed)) for feed in feeds]
