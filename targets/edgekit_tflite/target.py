"""LiteRT (TensorFlow Lite) on CPUs: float, static and dynamic int8, and smaller weights, by ai-edge-quantizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import ModelError
from edgekit.quantize.content import Content
from edgekit.schemes import AsIs, Float16, Float32, Int8Dynamic, Int8Static, Scalar, Scheme, WeightOnly
from edgekit.state import write_file
from edgekit.targets import DeviceRuntime
from edgekit.types import JSON, Artifact, BuildData, Candidate, NodeId, Reject, Runner, Site, TensorMap, sha256_file

from . import limits, vendor
from .content import content_of
from .worth import COMPRESSION_WORTH

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.quantize.types import Sparable
    from edgekit.targets import FileFacts

    from .convert import Converted

ENTRY = "model.tflite"
#: Weights that share a scale in 4 bits: what LiteRT's kernels are made for, and the finest of them.
BLOCK = 32
BLOCKS = (32, 64, 128, 256)
FULL_PRECISION = (AsIs, Float32)


class TFLiteTarget:
    """The ``tflite`` plugin; see :class:`edgekit.targets.Target`."""

    name = "tflite"
    version = "2"
    supports_keep_float = True
    formats = ("tflite",)
    compression_worth = COMPRESSION_WORTH
    device_runtime = DeviceRuntime(limits.RUNTIMES)

    def read_file(self, path: Path) -> FileFacts:
        """See :class:`edgekit.targets.Reading`."""
        from .model_file import read_file

        return read_file(path)

    def candidates(self, model: Model, site: Site) -> Sequence[Candidate]:
        """Float first, as everything is compared with it; then what usually wins among convolutions or among matrix products.

        Weights that are only stored smaller come behind. So do blocks of 4 bits where the processor cannot multiply bytes.
        """
        if model.quantized:
            return [self._candidate(AsIs())]
        content = content_of(model)
        static = [self._candidate(Int8Static())] if content.operators else []
        dynamic = [self._candidate(Int8Dynamic())] if content.n_products else []
        if content.n_convolutions:
            static.append(self._candidate(Int8Static(), elementwise=True))
            dynamic.append(self._candidate(Int8Dynamic(), convolutions=True))
        integers = [*dynamic, *static] if content.is_mostly_products else [*static, *dynamic]
        blocks = [self._candidate(WeightOnly(4, BLOCK))] if content.n_large_products else []
        smaller = [self._candidate(WeightOnly(8)), self._candidate(Float16())] if content.large else []
        if limits.has_half_precision(site):
            smaller.reverse()
        last = [*smaller, *blocks] if limits.lacks_dot_products(site) else [*blocks, *smaller]
        return [self._candidate(Float32()), *integers, *last]

    def _candidate(self, scheme: Scheme, **build_options: Scalar) -> Candidate:
        return Candidate(self.name, scheme, build_options=build_options)

    def refinements(self, model: Model, candidate: Candidate, site: Site) -> list[dict[str, Scalar]]:  # noqa: ARG002
        """See :class:`edgekit.targets.Refining`."""
        from . import recipes

        return recipes.refinements(candidate)

    def sparable(self, model: Model, candidate: Candidate, site: Site) -> Sparable | None:  # noqa: ARG002 - one kind of kernel
        """The operators that ``candidate`` quantizes, and how that is simulated."""
        from . import sparing

        return None if content_of(model).cannot_be_raised else sparing.sparable(model, candidate)

    def operator_seconds(self, model: Model, folder: Path, artifact: Artifact, layers: JSON) -> dict[NodeId, float]:  # noqa: ARG002
        """See :class:`edgekit.targets.Sparing`."""
        from . import sparing

        return sparing.operator_seconds(model, layers)

    def reject(self, model: Model, candidate: Candidate, site: Site) -> Reject | None:
        scheme = candidate.scheme
        what = f"{scheme.slug} with tflite"
        # Where this machine has no LiteRT either, nothing can be built, and the build says what is to be installed here.
        if site.device is not None and not set(limits.RUNTIMES) & set(site.device.runtimes) and vendor.versions():
            return Reject(what, "LiteRT is not on the device", "install it there: pip install ai-edge-litert")
        unknown = sorted({spec.dtype for spec in (*model.inputs, *model.outputs)} - limits.DTYPES)
        if unknown:
            return Reject(what, f"LiteRT has no tensors of {', '.join(unknown)}", "the onnx target")
        refused = _reject_quantized(what, model, scheme) or limits.reject_run_options(what, candidate.run_options)
        if refused is not None:
            return refused
        if model.format != "tflite":
            from . import convert

            why = convert.refuse(model)
            if why:
                return Reject(what, why, "export the model without branches, or use the onnx target")
        if isinstance(scheme, FULL_PRECISION):
            return None
        return _reject_format(what, scheme) or _reject_content(what, scheme, content_of(model))

    def build_key(self, site: Site) -> JSON:  # noqa: ARG002 - a .tflite is the same for every processor
        """Nothing of the device; the versions of the tools that a file depends on, the converter's included where there is one."""
        from edgekit.toolchain import get_toolchain
        from edgekit.toolchain_locks import lock_sha256

        from .convert import TOOLCHAIN

        toolchain = get_toolchain(TOOLCHAIN)
        return {**vendor.versions(), "toolchain": lock_sha256(toolchain) if toolchain.lock else None}

    def build(self, model: Model, candidate: Candidate, data: BuildData | None, site: Site, out: Path) -> Artifact:
        vendor.litert("interpreter")
        refused = self.reject(model, candidate, site)
        if refused is not None:
            raise ModelError(refused.what, why=refused.why, hint=refused.instead)
        from edgekit.model import check_unchanged

        from . import build, convert, graph, nodes, options, samples
        from .quantize import quantized_operators

        single = samples.single_samples(data, model)
        converted = convert.convert(model, single)
        _require_known(model, converted, candidate)
        kept = nodes.kept_operators(graph.read(converted.path), converted.operators, candidate.keep_float)
        if model.format == "tflite" and isinstance(candidate.scheme, FULL_PRECISION):
            options.read_options(candidate)  # there are none
            write_file(out / ENTRY, model.path.read_bytes())  # to the byte: what is appended to it, labels perhaps, stays as well
        else:
            build.write(converted.path, out / ENTRY, candidate, single, converted.io, kept)
        made = graph.read(out / ENTRY)
        quantized = quantized_operators(made)
        if not quantized and not candidate.keep_float and not isinstance(candidate.scheme, FULL_PRECISION):
            raise ModelError(
                f"{candidate.scheme.slug} changed nothing", why="the quantizer left every operator of this model in float"
            )
        io = build.described(_original(model, converted.io), made)
        build.check(out / ENTRY, io, single)
        if model.format == "tflite":
            check_unchanged(model)
        return Artifact(
            files={ENTRY: sha256_file(out / ENTRY)},
            entry=ENTRY,
            io=io,
            provenance={
                "recipe": _recipe(candidate),
                "tools": vendor.versions(),
                "conversion": dict(converted.provenance),
                "operators_quantized": dict(sorted(quantized.items())),
                "operators_kept_float_on_request": sorted(candidate.keep_float),
                "batch_axes": samples.stored_axes(samples.batch_axes(model.inputs, model.outputs), io),
            },
        )

    def runner(self, artifact: Artifact, site: Site) -> Runner:  # noqa: ARG002 - the same code runs on every device
        provenance = artifact.provenance
        options: dict[str, JSON] = {"entry": artifact.entry, "threads": 1, "xnnpack": True, "batch_axes": provenance["batch_axes"]}
        return Runner(
            code=(Path(__file__).with_name("device.py"),),
            entry="device",
            requires=("ai_edge_litert",),  # or an older package of the same: see device.py
            files=tuple(sorted(artifact.files)),
            options=options,
            # Kernels differ between processors in the order of additions; an int8 activation on a border moves by one step.
            tolerance=3e-2 if provenance["operators_quantized"] else 1e-3,
        )


def _reject_quantized(what: str, model: Model, scheme: Scheme) -> Reject | None:
    if not model.quantized:
        return None
    if not isinstance(scheme, AsIs):
        return Reject(what, f"the model is quantized already ({model.quantized})", "give the float model it was made from")
    if model.format == "tflite":
        return None
    return Reject(
        what, f"the converter does not carry over how it is quantized ({model.quantized})", "give the float model it was made from"
    )


def _reject_format(what: str, scheme: Scheme) -> Reject | None:
    if isinstance(scheme, Int8Dynamic):
        if scheme.weight_type != "uint8":
            return None
        return Reject(what, "its kernels take symmetric int8 weights, not uint8", "the weight type 'int8'")
    if isinstance(scheme, WeightOnly):
        if scheme.bits == 8 and scheme.block_size:
            return Reject(what, "8-bit weights have one scale a channel, no blocks", "block size 0, or 4 bits")
        if scheme.bits == 4 and scheme.block_size not in (0, *BLOCKS):
            return Reject(what, f"blocks of {scheme.block_size} have no kernel", f"one of {', '.join(map(str, BLOCKS))}")
        return None
    if isinstance(scheme, (Int8Static, Float16)):
        return None
    return Reject(what, "LiteRT's CPU kernels have no such format", "float32, float16, int8, int8-dynamic, w8 or w4")


def _reject_content(what: str, scheme: Scheme, content: Content) -> Reject | None:
    if content.cannot_be_raised:
        return Reject(what, f"the model cannot be raised to a current opset: {content.cannot_be_raised}", "float32")
    if isinstance(scheme, WeightOnly) and scheme.bits == 4:
        return None if content.n_large_products else Reject(what, "no matrix product has weights that are worth it", "w8")
    if isinstance(scheme, (WeightOnly, Float16)):
        return None if content.large else Reject(what, "no weight is large enough to be worth it", "float32")
    return None if content.operators else Reject(what, "no operator of its main graph has constant float32 weights", "float32")


def _require_known(model: Model, converted: Converted, candidate: Candidate) -> None:
    from edgekit.frontends import onnx_frontend
    from edgekit.frontends.graph import node_id

    from . import nodes

    if candidate.keep_float:
        ids = (
            list(converted.operators)
            if model.format == "tflite"
            else [node_id(node) for node in onnx_frontend.read_raised(model).graph.node]
        )
        nodes.require_known(ids, candidate.keep_float)


def _original(model: Model, io: Sequence[TensorMap]) -> list[TensorMap]:
    """``io`` with the tensors as the model declares them: a conversion fixes sizes that are free there."""
    specs = {("input", spec.name): spec for spec in model.inputs} | {("output", spec.name): spec for spec in model.outputs}
    return [replace(tensor, original=specs[tensor.role, tensor.original.name]) for tensor in io]


def _recipe(candidate: Candidate) -> dict[str, JSON]:
    from edgekit.values import to_json

    return {"scheme": to_json(candidate.scheme), "slug": candidate.scheme.slug, **candidate.build_options}


TARGET = TFLiteTarget()
