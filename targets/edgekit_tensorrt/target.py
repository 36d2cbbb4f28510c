"""TensorRT on NVIDIA GPUs: an ONNX file that says in its graph which precision each operator has, and is built on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import DependencyError, ModelError
from edgekit.schemes import AsIs, Float16, Float32, Int8Static, Scalar, Vendor
from edgekit.targets import DeviceRuntime, RuleFinding
from edgekit.types import JSON, Artifact, BuildData, Candidate, NodeId, Reject, Runner, Site, TensorMap, sha256_file

from . import guest_code, parser_evidence, refusals
from .limits import dotted, installed_version, limits
from .refusals import MIXED
from .worth import COMPRESSION_WORTH

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model
    from edgekit.quantize.types import Sparable

    from .make import Made

ENTRY = "model.onnx"


class TensorRTTarget:
    """The ``tensorrt`` plugin; see :class:`edgekit.targets.Target`."""

    name = "tensorrt"
    version = "2"
    supports_keep_float = True
    compression_worth = COMPRESSION_WORTH
    settings = ("sparsity",)
    device_runtime = DeviceRuntime(("tensorrt", "trtexec"), comes_with="sudo apt-get install -y nvidia-jetpack")

    def candidates(self, model: Model, site: Site) -> Sequence[Candidate]:
        """Float first, as everything is compared with it; then what is fastest on tensor cores."""
        from .content import content_of

        if model.quantized:
            halved = [Candidate(self.name, Vendor(MIXED))] if model.quantized == "Q/DQ" else []
            return [Candidate(self.name, AsIs()), *halved]
        found = [Candidate(self.name, Float32())]
        if content_of(model).operators and limits(site).has_int8:
            found += [Candidate(self.name, Vendor(MIXED)), Candidate(self.name, Int8Static())]
        return [*found, Candidate(self.name, Float16())]

    def refinements(self, model: Model, candidate: Candidate, site: Site) -> Sequence[Mapping[str, Scalar]]:  # noqa: ARG002
        """See :class:`edgekit.targets.Refining`."""
        from . import recipes

        return recipes.refinements(model, candidate)

    def sparable(self, model: Model, candidate: Candidate, site: Site) -> Sparable | None:
        """The operators that ``candidate`` quantizes, and how that is simulated."""
        from . import sparing
        from .content import content_of

        return None if content_of(model).cannot_be_raised else sparing.sparable(model, candidate, limits(site))

    def operator_seconds(self, model: Model, folder: Path, artifact: Artifact, layers: JSON) -> dict[NodeId, float]:  # noqa: ARG002
        """See :class:`edgekit.targets.Sparing`."""
        from edgekit.frontends import onnx_frontend

        from .sparing import node_seconds

        return node_seconds(layers, onnx_frontend.read_raised(model).graph)

    def check(self, path: Path, site: Site) -> Sequence[RuleFinding]:
        """See :class:`edgekit.targets.Checking`."""
        from .check_file import check_file

        return check_file(path, limits(site))

    def reject(self, model: Model, candidate: Candidate, site: Site) -> Reject | None:
        return refusals.reject(model, candidate, site)

    def build_key(self, site: Site) -> JSON:
        return {"tensorrt": installed_version(site), "compute_capability": dotted(limits(site).capability)}

    def build(self, model: Model, candidate: Candidate, data: BuildData | None, site: Site, out: Path) -> Artifact:
        from edgekit.frontends import onnx_frontend
        from edgekit.frontends.graph import opset_of

        from .make import make
        from .shapes import plain_names, profile

        tools = _tools()
        refused = self.reject(model, candidate, site)
        if refused is not None:
            raise ModelError(refused.what, why=refused.why, hint=refused.instead)
        found = limits(site)
        made = make(model, candidate, data, found)
        _require_change(candidate, made)
        made.proto.ir_version = min(made.proto.ir_version, found.max_ir if found.release else 10)
        inputs, outputs = plain_names(made.proto, model.inputs), plain_names(made.proto, model.outputs)
        warnings = _require_legal(made.proto, site)
        files = onnx_frontend.save(made.proto, out / ENTRY)
        shapes, sparsity = profile(tuple(inputs.values()), _renamed(data, inputs)), _sparsity(model, candidate, site)
        return Artifact(
            files={path.relative_to(out).as_posix(): sha256_file(path) for path in sorted(files)},
            entry=ENTRY,
            io=(
                *(TensorMap("input", spec, inputs[spec.name]) for spec in model.inputs),
                *(TensorMap("output", spec, outputs[spec.name]) for spec in model.outputs),
            ),
            needs_device_build=True,
            provenance={
                "recipe": _recipe(candidate),
                "tools": tools,
                "precision": _precision(candidate),
                "strongly_typed": found.strongly_typed,
                "opset": opset_of(made.proto),
                "ir_version": made.proto.ir_version,
                "built_for": {"tensorrt": dotted(found.release), "compute_capability": dotted(found.capability)},
                "nodes_quantized": dict(sorted(made.quantized.items())),
                "nodes_in_half": dict(sorted(made.halved.items())),
                "nodes_too_narrow": dict(sorted(made.narrow.items())),
                "nodes_kept_float_on_request": sorted(candidate.keep_float),
                "completed": dict(sorted(made.completed.items())),
                "sparsity": sparsity,
                "shapes": shapes,
                "inputs": _listed(spec for spec in inputs.values()),
                "outputs": _listed(spec for spec in outputs.values()),
                "rules": {"errors": 0, "warnings": [str(each) for each in warnings]},
            },
        )

    def attest(self, folder: Path, artifact: Artifact, site: Site) -> Mapping[str, JSON]:
        """See :class:`edgekit.targets.Attesting`: what a parser says that is not TensorRT's own, but the same."""
        facts = artifact.provenance
        sparse = facts["sparsity"] == "enable"
        question = parser_evidence.Question(folder / artifact.entry, limits(site).capability, facts["shapes"], sparsity=sparse)
        return {"parser_evidence": parser_evidence.evidence(question)}

    def runner(self, artifact: Artifact, site: Site) -> Runner:  # noqa: ARG002 - the device's side reads its own facts
        facts = artifact.provenance
        return Runner(
            code=guest_code.CODE,
            entry="device",
            requires=("tensorrt",),
            files=tuple(sorted(artifact.files)),
            options={
                "entry": artifact.entry,
                "precision": facts["precision"],
                "strongly_typed": facts["strongly_typed"],
                "sparsity": facts["sparsity"],
                "shapes": facts["shapes"],
                "inputs": facts["inputs"],
                "outputs": facts["outputs"],
                "timing_cache": True,
                "memory_pool_bytes": None,
            },
            # Kernels differ in the order of additions and in what they fuse; an int8 activation on a border moves by one step.
            tolerance=1e-3 if facts["precision"] == "float32" else 3e-2,
            host_options={"simulate": True},
        )


def _precision(candidate: Candidate) -> str:
    """In the words of the device's side. A model with Q/DQ of its own is int8 where it says so, float32 elsewhere."""
    slug = candidate.scheme.slug
    return {"as-is": "int8"}.get(slug, slug)


def _require_change(candidate: Candidate, made: Made) -> None:
    slug = candidate.scheme.slug
    if candidate.keep_float or isinstance(candidate.scheme, (AsIs, Float32)):
        return
    if (slug == "int8" and not made.quantized) or (slug != "int8" and not made.halved):
        raise ModelError(f"{slug} changed nothing", why="every operator that it covers is better left in float here")


def _require_legal(proto: onnx.ModelProto, site: Site) -> list[RuleFinding]:
    """The linter's warnings on what is about to be written.

    Raises:
        ModelError: TensorRT would refuse it, or compute something else.
    """
    from .lint import errors, lint

    found = lint(proto, limits(site))
    wrong = errors(found)
    if wrong:
        more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ModelError("TensorRT would not take what was built", why=f"{wrong[0]}{more}", hint=wrong[0].fix)
    return [finding for finding in found if finding.severity == "warning"]


def _sparsity(model: Model, candidate: Candidate, site: Site) -> str:
    """Sparse kernels are tried where the weights are 2:4 and the GPU has them, unless the build option says otherwise."""
    from .content import content_of

    asked = candidate.build_options.get("sparsity", "auto")
    if asked != "auto":
        return "enable" if asked == "on" else "disable"
    return "enable" if limits(site).has_sparse_units and content_of(model).is_sparse else "disable"


def _renamed(data: BuildData | None, inputs: Mapping[str, Any]) -> BuildData | None:
    """Feeds under the artifact's names, for their sizes."""
    import dataclasses

    if data is None or all(old == spec.name for old, spec in inputs.items()):
        return data

    class Renamed:
        def __init__(self, feeds: Any) -> None:
            self.feeds = feeds

        def __iter__(self) -> Any:
            return ({inputs[name].name: value for name, value in feed.items()} for feed in self.feeds)

        def __len__(self) -> int:
            return len(self.feeds)

    return dataclasses.replace(data, fit=Renamed(data.fit), held_out=Renamed(data.held_out))


def _listed(specs: Any) -> list[JSON]:
    return [{"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)} for spec in specs]


def _recipe(candidate: Candidate) -> dict[str, JSON]:
    from edgekit.values import to_json

    return {"scheme": to_json(candidate.scheme), "slug": candidate.scheme.slug, **candidate.build_options}


def _tools() -> dict[str, str]:
    try:
        import onnx
        import onnxruntime
    except ImportError as problem:
        raise DependencyError(
            f"{problem.name} is not installed", why="the tensorrt target needs it", hint="pip install edgekit-sdk"
        ) from problem
    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


TARGET = TensorRTTarget()
