"""TensorRT on NVIDIA GPUs: an ONNX file that says in its graph which precision each operator has, and is built on the device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import ModelError
from edgekit.schemes import Float32
from edgekit.types import JSON, Artifact, BuildData, Candidate, Reject, Runner, Site, TensorMap, sha256_file

if TYPE_CHECKING:
    from edgekit.model import Model

ENTRY = "model.onnx"


class TensorRTTarget:
    """The ``tensorrt`` plugin; see :class:`edgekit.targets.Target`."""

    name = "tensorrt"
    version = "1"
    supports_keep_float = True

    def candidates(self, model: Model, site: Site) -> Sequence[Candidate]:  # noqa: ARG002
        return [Candidate(self.name, Float32())]

    def reject(self, model: Model, candidate: Candidate, site: Site) -> Reject | None:  # noqa: ARG002
        if isinstance(candidate.scheme, Float32):
            return None
        return Reject(f"{candidate.scheme.slug} with tensorrt", "the target does not know this format", "float32")

    def build_key(self, site: Site) -> JSON:
        return {"tensorrt": site.device.runtimes.get("tensorrt") if site.device else None, "compute_capability": None}

    def build(self, model: Model, candidate: Candidate, data: BuildData | None, site: Site, out: Path) -> Artifact:  # noqa: ARG002
        from edgekit.frontends import onnx_frontend
        from edgekit.quantize import graphs

        if self.reject(model, candidate, site) is not None:
            raise ModelError(f"{candidate.scheme.slug} with tensorrt")
        graphs.require_known(onnx_frontend.read_raised(model).graph, candidate.keep_float)
        files = onnx_frontend.save(onnx_frontend.read_clean(model), out / ENTRY)
        return Artifact(
            files={path.relative_to(out).as_posix(): sha256_file(path) for path in sorted(files)},
            entry=ENTRY,
            io=(
                *(TensorMap("input", spec, spec) for spec in model.inputs),
                *(TensorMap("output", spec, spec) for spec in model.outputs),
            ),
            needs_device_build=True,
            provenance={"precision": "float32"},
        )

    def runner(self, artifact: Artifact, site: Site) -> Runner:  # noqa: ARG002
        return Runner(
            code=(Path(__file__).with_name("device.py"),),
            entry="device",
            requires=("tensorrt",),
            files=tuple(sorted(artifact.files)),
            options={"entry": artifact.entry, "precision": "float32", "strongly_typed": True},
        )


TARGET = TensorRTTarget()
