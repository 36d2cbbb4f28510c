"""The ``null`` target: the whole pipeline in seconds, with no vendor's package and no hardware.

It runs the model in ONNX's reference evaluator, so its outputs are true, but **its latencies are evidence of nothing**: each
candidate sleeps for a fixed time first. One candidate for every fate that a real one can meet:

===================== ============ ==================================================================
scheme                behaviour    what becomes of it
===================== ============ ==================================================================
``Float32``           agrees       the baseline; sleeps 4 ms
``Int8Dynamic``       agrees       weights rounded to 8 bits, sleeps 1 ms: wins
``Int8Static``        disagrees    fastest, and wrong: refused by the gates
``WeightOnly(8)``     crashes      its worker aborts at the first inference
``Float16``           -            rejected before anything is built
``Vendor("error")``   raises       not offered; for tests that ask for it, as "hang" and "out-of-memory"
===================== ============ ==================================================================

``--target auto`` never takes it.
"""
# ruff: noqa: ARG002 - there is no hardware to look at, and no calibration: most arguments of the protocol go unused here

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import ModelError
from edgekit.schemes import AsIs, Float16, Float32, Int8Dynamic, Int8Static, Scheme, Vendor, WeightOnly
from edgekit.state import write_file
from edgekit.types import JSON, Artifact, BuildData, Candidate, NodeId, Reject, Runner, Site, TensorMap, sha256_file

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model

SETTINGS = "null.json"
MODEL = "model.onnx"
FAILURES = ("error", "hang", "out-of-memory")


class NullTarget:
    """See the module's text, and :class:`edgekit.targets.Target` for what each method promises."""

    name = "null"
    version = "1"
    supports_keep_float = True
    stand_in = True  # what it measures is evidence of nothing: a winner of it is provisional

    def candidates(self, model: Model, site: Site) -> Sequence[Candidate]:
        if model.quantized:
            return [Candidate(self.name, AsIs())]
        schemes: tuple[Scheme, ...] = (Float32(), Int8Dynamic(), Int8Static(), WeightOnly(8), Float16())
        return [Candidate(self.name, scheme) for scheme in schemes]

    def reject(self, model: Model, candidate: Candidate, site: Site) -> Reject | None:
        what = f"{candidate.scheme.slug} with null"
        if model.quantized and not isinstance(candidate.scheme, AsIs):
            return Reject(what, f"the model is quantized already ({model.quantized})", "give the float model it was made from")
        if _behaviour(candidate.scheme) is None:
            return Reject(what, "the null target has no such number format", "float32 or int8-dynamic")
        return None

    def build_key(self, site: Site) -> JSON:
        return {}

    def build(self, model: Model, candidate: Candidate, data: BuildData | None, site: Site, out: Path) -> Artifact:
        import onnx
        from onnx.reference import ReferenceEvaluator

        from edgekit.frontends import onnx_frontend
        from edgekit.quantize import graphs

        settings = _behaviour(candidate.scheme)
        if settings is None:
            raise ModelError(f"the null target does not build {candidate.scheme.slug}")
        proto = onnx_frontend.read_raised(model)
        rounded = _round_weights(proto.graph, candidate.keep_float) if isinstance(candidate.scheme, Int8Dynamic) else 0
        graphs.require_known(proto.graph, candidate.keep_float)
        files = onnx_frontend.save(proto, out / MODEL)
        try:
            ReferenceEvaluator(str(out / MODEL))
        except (NotImplementedError, RuntimeError, TypeError) as problem:
            raise ModelError("ONNX's reference evaluator cannot run this model", why=str(problem)) from problem
        write_file(out / SETTINGS, json.dumps({**settings, "model": MODEL}, sort_keys=True).encode())
        return Artifact(
            files={path.relative_to(out).as_posix(): sha256_file(path) for path in sorted([*files, out / SETTINGS])},
            entry=SETTINGS,
            io=(
                *(TensorMap("input", spec, spec) for spec in model.inputs),
                *(TensorMap("output", spec, spec) for spec in model.outputs),
            ),
            provenance={"tools": {"onnx": onnx.__version__}, "weights_rounded": rounded, **settings},
        )

    def runner(self, artifact: Artifact, site: Site) -> Runner:
        return Runner(
            code=(Path(__file__).with_name("null_runner.py"),),
            entry="null_runner",
            requires=("onnx",),
            files=tuple(sorted(artifact.files)),
            options={"entry": artifact.entry, "threads": 1},
        )


def _behaviour(scheme: Scheme) -> dict[str, JSON] | None:
    """How the runner is to behave for ``scheme``; None when the target does not know it."""
    if isinstance(scheme, (Float32, AsIs)):
        return {"behaviour": "agree", "delay_s": 0.004}
    if isinstance(scheme, Int8Dynamic):
        return {"behaviour": "agree", "delay_s": 0.001}
    if isinstance(scheme, Int8Static):
        return {"behaviour": "disagree", "delay_s": 0.0005}
    if scheme == WeightOnly(8):
        return {"behaviour": "crash", "delay_s": 0.0}
    if isinstance(scheme, Vendor) and scheme.slug in FAILURES and not scheme.params:
        return {"behaviour": scheme.slug, "delay_s": 0.0}
    return None


def _round_weights(graph: onnx.GraphProto, keep_float: Collection[NodeId]) -> int:
    """Round float32 weights of two or more axes to 255 steps, in place; how many there were."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    from edgekit.frontends.graph import node_id

    kept = {name for node in graph.node if node_id(node) in keep_float for name in node.input}
    rounded = 0
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2 or tensor.name in kept:
            continue
        weight = numpy_helper.to_array(tensor)
        step = float(np.abs(weight).max(initial=0.0)) / 127 or 1.0
        tensor.CopyFrom(numpy_helper.from_array((np.rint(weight / step) * step).astype(np.float32), tensor.name))
        rounded += 1
    return rounded


TARGET = NullTarget()
