"""ONNX Runtime on the CPU: float32, dynamic int8, static int8 (Q/DQ) and weight-only int8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import DependencyError, ModelError
from edgekit.schemes import AsIs, Float32, Int8Dynamic, Int8Static, Scalar, WeightOnly
from edgekit.targets import DeviceRuntime
from edgekit.types import JSON, Artifact, BuildData, Candidate, NodeId, Reject, Runner, Site, TensorMap, sha256_file

from . import refusals
from .content import DYNAMIC_OPERATORS, STATIC_OPERATORS, content_of
from .limits import limits
from .worth import COMPRESSION_WORTH

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model
    from edgekit.quantize.types import Sparable

ENTRY = "model.onnx"
PRODUCTS = ("MatMul", "Gemm", "LSTM")


class OnnxTarget:
    """The ``onnx`` plugin; see :class:`edgekit.targets.Target`."""

    name = "onnx"
    version = "3"
    supports_keep_float = True
    compression_worth = COMPRESSION_WORTH
    device_runtime = DeviceRuntime(("onnxruntime",))

    def candidates(self, model: Model, site: Site) -> Sequence[Candidate]:
        """Float first, as everything is compared with it; then what usually wins on convolutions or on matrix products.

        ``Int8Dynamic("uint8")``, the default recipe that everybody runs, is always among them: cheap to build, often wrong, and the
        verdict says so with numbers.
        """
        if model.quantized:
            return [Candidate(self.name, AsIs())]
        operators = content_of(model).operators
        products = sorted(set(operators) & set(PRODUCTS))
        static = [Candidate(self.name, Int8Static())] if set(operators) & set(STATIC_OPERATORS) else []
        if static and limits(site).processor == "x86":  # weights of 7 bits are faster there, those of 8 closer to float
            static.append(Candidate(self.name, Int8Static(), build_options={"wide_weights": True}))
        dynamic = [Candidate(self.name, Int8Dynamic())] if operators else []
        if "Conv" in operators and products:
            only_products: dict[str, Any] = {"operators": ",".join(products)}
            dynamic.append(Candidate(self.name, Int8Dynamic(), build_options=only_products))
            static.append(Candidate(self.name, Int8Static(), build_options={"dynamic_operators": ",".join(products)}))
        likeliest = (
            [*static, *dynamic] if operators.get("Conv", 0) > sum(operators[name] for name in products) else [*dynamic, *static]
        )
        naive = [Candidate(self.name, Int8Dynamic("uint8"))] if operators else []
        weight_only = [Candidate(self.name, WeightOnly(8))] if content_of(model).large_weights else []
        if content_of(model).large_products:
            weight_only.append(Candidate(self.name, WeightOnly(4)))
        return [Candidate(self.name, Float32()), *likeliest, *weight_only, *naive]

    def refinements(self, model: Model, candidate: Candidate, site: Site) -> Sequence[Mapping[str, Scalar]]:  # noqa: ARG002
        """See :class:`edgekit.targets.Refining`."""
        from . import recipes

        return recipes.refinements(model, candidate)

    def sparable(self, model: Model, candidate: Candidate, site: Site) -> Sparable | None:
        """The operators that ``candidate`` quantizes, and how that is simulated."""
        from . import sparing

        if content_of(model).cannot_be_raised:
            return None
        scheme = candidate.scheme
        given = _listed(candidate, "dynamic_operators" if isinstance(scheme, Int8Static) else "operators")
        dynamic = given or (DYNAMIC_OPERATORS if isinstance(scheme, Int8Dynamic) else ())
        return sparing.sparable(model, candidate, site, dynamic_operators=dynamic)

    def operator_seconds(self, model: Model, folder: Path, artifact: Artifact, layers: JSON) -> dict[NodeId, float]:  # noqa: ARG002
        """See :class:`edgekit.targets.Sparing`."""
        from edgekit.frontends import onnx_frontend

        from .node_times import node_times

        return node_times(layers, onnx_frontend.read_raised(model).graph)

    def reject(self, model: Model, candidate: Candidate, site: Site) -> Reject | None:
        return refusals.reject(model, candidate, site)

    def build_key(self, site: Site) -> JSON:
        found = limits(site)
        return {"max_opset": found.max_opset, "max_ir": found.max_ir, "processor": found.processor}

    def build(self, model: Model, candidate: Candidate, data: BuildData | None, site: Site, out: Path) -> Artifact:
        from edgekit.frontends import onnx_frontend
        from edgekit.frontends.graph import opset_of

        tools = _tools()
        refused = self.reject(model, candidate, site)
        if refused is not None:
            raise ModelError(refused.what, why=refused.why, hint=refused.instead)
        made, quantized = _make(model, candidate, data, site)
        if not quantized and not candidate.keep_float and not isinstance(candidate.scheme, (AsIs, Float32)):
            raise ModelError(
                f"{candidate.scheme.slug} changed nothing", why="every operator that it covers is better left in float here"
            )
        max_ir = limits(site).max_ir
        if max_ir is not None and made.ir_version > max_ir:
            made.ir_version = max_ir
        files = onnx_frontend.save(made, out / ENTRY)
        _check(out / ENTRY)
        return Artifact(
            files={path.relative_to(out).as_posix(): sha256_file(path) for path in sorted(files)},
            entry=ENTRY,
            io=(
                *(TensorMap("input", spec, spec) for spec in model.inputs),
                *(TensorMap("output", spec, spec) for spec in model.outputs),
            ),
            provenance={
                "recipe": _recipe(candidate),
                "tools": tools,
                "opset": opset_of(made),
                "ir_version": made.ir_version,
                "weight_bits": _weight_bits(candidate, site) if quantized else None,
                "nodes_quantized": dict(sorted(quantized.items())),
                "nodes_with_float_weights": dict(sorted(_float_nodes(made).items())),
                "nodes_kept_float_on_request": sorted(candidate.keep_float),
                "fold_weights": candidate.scheme == WeightOnly(8),
            },
        )

    def runner(self, artifact: Artifact, site: Site) -> Runner:  # noqa: ARG002 - the same code runs on every device
        options: dict[str, JSON] = {"entry": artifact.entry, "threads": 1, "graph_optimization": "all"}
        if artifact.provenance.get("fold_weights"):
            options["fold_weights"] = True
        return Runner(
            code=(Path(__file__).with_name("device.py"),),
            entry="device",
            requires=("onnxruntime",),
            files=tuple(sorted(artifact.files)),
            options=options,
            # Kernels differ between processors in the order of additions; a uint8 activation on a border moves by one step.
            tolerance=2e-2 if artifact.provenance.get("nodes_quantized") else 1e-3,
            host_options=_host_options(artifact),
        )


def _host_options(artifact: Artifact) -> dict[str, JSON]:
    """Q/DQ that is not fused is computed as it is written. Fused on x86 without VNNI, 8-bit weights that are meant for another
    processor overflow (see .placements): a digits net for ARM lay 17 % of its largest output away from what ARM computes.
    """
    is_static = artifact.provenance.get("nodes_quantized") and artifact.provenance["recipe"].get("slug") == Int8Static().slug
    return {"graph_optimization": "none"} if is_static else {}


def _make(model: Model, candidate: Candidate, data: BuildData | None, site: Site) -> tuple[onnx.ModelProto, Counter[str]]:
    """The model that the candidate's scheme asks for, and how many nodes of each type were quantized."""
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize import graphs

    from .block_weights import DEFAULT_BLOCK, quantize_blocks
    from .placements import placement_of
    from .quantize_dynamic import quantize_dynamic
    from .quantize_static import quantize_static
    from .weight_only import quantize_weights

    scheme, keep_float, bits = candidate.scheme, candidate.keep_float, limits(site).weight_bits
    if isinstance(scheme, (AsIs, Float32)):
        if keep_float:
            graphs.require_known(onnx_frontend.read_raised(model).graph, keep_float)
        made = onnx_frontend.read_clean(model)
        if isinstance(scheme, Float32):
            _name_by_node_id(made)
        return made, Counter()
    made = onnx_frontend.read_raised(model)
    _name_by_node_id(made)
    if isinstance(scheme, Int8Dynamic):
        operators = _listed(candidate, "operators") or DYNAMIC_OPERATORS
        return made, quantize_dynamic(
            made, weight_type=scheme.weight_type, operators=operators, keep_float=keep_float, weight_bits=bits
        )
    if scheme == WeightOnly(8):
        return made, quantize_weights(made, keep_float=keep_float)
    if isinstance(scheme, WeightOnly):
        done = quantize_blocks(
            made,
            bits=scheme.bits,
            block_size=scheme.block_size or DEFAULT_BLOCK,
            accuracy_level=int(candidate.build_options.get("accuracy_level", 0)),
            keep_float=keep_float,
        )
        return made, done + quantize_weights(made, operators=(), keep_float=keep_float)
    if isinstance(scheme, Int8Static):
        if data is None:
            raise ModelError("static int8 needs calibration data", hint="give some with --calib")
        dynamic_operators = _listed(candidate, "dynamic_operators")
        later = frozenset(graphs.node_id(node) for node in graphs.select(made.graph, dynamic_operators, keep_float))
        done = quantize_static(
            made,
            model,
            data,
            placement_of(candidate, site),
            range_method=scheme.range_method,
            keep_float=keep_float | later,
            passes=_listed(candidate, "passes"),
        )
        if later:
            done += quantize_dynamic(
                made, weight_type="per-operator", operators=dynamic_operators, keep_float=keep_float, weight_bits=bits
            )
        return made, done
    raise AssertionError(f"reject() lets {scheme} pass")


def _name_by_node_id(model: onnx.ModelProto) -> None:
    """So that a profile can be brought back to the operators. Once, before outputs are renamed: a recipe may have several steps."""
    from edgekit.quantize import graphs

    for node in model.graph.node:
        node.name = graphs.node_id(node)


def _weight_bits(candidate: Candidate, site: Site) -> int:
    """Of the weights that are multiplied as integers, or stored as such; where operators differ, the fewest."""
    from .placements import placement_of

    scheme = candidate.scheme
    if isinstance(scheme, WeightOnly):
        return scheme.bits
    if isinstance(scheme, Int8Static):
        return placement_of(candidate, site).weight_bits
    return 8 if scheme == Int8Dynamic("uint8") else limits(site).weight_bits


def _listed(candidate: Candidate, option: str) -> tuple[str, ...]:
    text = str(candidate.build_options.get(option, ""))
    return tuple(text.split(",")) if text else ()


def _recipe(candidate: Candidate) -> dict[str, JSON]:
    from edgekit.values import to_json

    return {"scheme": to_json(candidate.scheme), "slug": candidate.scheme.slug, **candidate.build_options}


def _float_nodes(model: onnx.ModelProto) -> Counter[str]:
    from edgekit.quantize.graphs import nodes_with_weights

    return Counter(node.op_type for node in nodes_with_weights(model.graph))


def _tools() -> dict[str, str]:
    try:
        import onnx
        import onnxruntime
    except ImportError as problem:
        raise DependencyError(
            f"{problem.name} is not installed", why="the onnx target needs it", hint="pip install edgekit-sdk"
        ) from problem
    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


def _check(path: Path) -> None:
    """Load what was written once, so that a file that no runtime reads never leaves the build.

    Raises:
        ModelError: with what the checker or the runtime says.
    """
    import onnx
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        onnx.checker.check_model(str(path))
        onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except (MemoryError, OSError):
        raise
    except Exception as problem:  # the runtime raises a dozen classes of its own, one a status code
        raise ModelError(
            "ONNX Runtime does not accept the model that was built", why=f"{type(problem).__name__}: {problem}"
        ) from problem


TARGET = OnnxTarget()
