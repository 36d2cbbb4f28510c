"""OpenVINO on x86 and Arm CPUs: full and half precision, static int8 by NNCF, int8 and 4-bit weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ModelError
from edgekit.quantize.content import Content
from edgekit.schemes import AsIs, BFloat16, Float16, Float32, Int8Dynamic, Int8Static, Scalar, Scheme, Vendor, WeightOnly
from edgekit.targets import DeviceRuntime
from edgekit.types import JSON, Artifact, BuildData, Candidate, NodeId, Reject, Runner, Site, sha256_file

from . import limits, vendor
from .content import STATIC_OPERATORS, content_of
from .worth import COMPRESSION_WORTH

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.quantize.types import Sparable

    from .convert import Converted

ENTRY = "model.xml"
#: Activations that share a scale when they are quantized at run time: what OpenVINO's kernels are made for.
GROUP = 32
#: Half precision for the operations that do the work, float for the others: nearly as fast, and much closer to float.
MIXED = Vendor("bfloat16+float32")
FULL_PRECISION = (AsIs, Float32)
HALF_PRECISION: dict[Scheme, str] = {BFloat16(): "bf16", MIXED: "bf16", Float16(): "f16"}


class OpenVINOTarget:
    """The ``openvino`` plugin; see :class:`edgekit.targets.Target`."""

    name = "openvino"
    version = "2"
    supports_keep_float = True
    compression_worth = COMPRESSION_WORTH
    device_runtime = DeviceRuntime(("openvino",))

    def candidates(self, model: Model, site: Site) -> Sequence[Candidate]:
        """Float first, as everything is compared with it. OpenVINO by itself would run bfloat16 where the processor has it; here
        that is a candidate like any other, also for what integers leave in float.
        """
        if model.quantized:
            return [self._candidate(AsIs())]
        content, has_bf16 = content_of(model), limits.known_to_compute(site, "bf16")
        found = [self._candidate(Float32())]
        if set(STATIC_OPERATORS) & set(content.operators):
            found.append(self._candidate(Int8Static()))
            if has_bf16 and content.is_mostly_products:  # 1.7 times as fast as int8 with float in MiniLM; slower among convolutions
                found.append(self._candidate(Int8Static(), inference_precision="bf16"))
        if has_bf16:
            found += [self._candidate(BFloat16()), self._candidate(MIXED)]
        if content.n_large_products:
            found.append(self._candidate(Int8Dynamic()))
        if content.n_large_products > 1:
            found.append(self._candidate(WeightOnly(4, GROUP), dynamic_quantization_group_size=GROUP))
        if content.large:
            beside: dict[str, Scalar] = {"inference_precision": "bf16"} if has_bf16 else {}
            found.append(self._candidate(WeightOnly(8), **beside))
        if limits.known_to_compute(site, "f16"):
            found.append(self._candidate(Float16()))
        return found

    def _candidate(self, scheme: Scheme, **run_options: Scalar) -> Candidate:
        return Candidate(self.name, scheme, run_options=run_options)

    def refinements(self, model: Model, candidate: Candidate, site: Site) -> list[dict[str, Scalar]]:
        """Build options worth trying on top of ``candidate``, one change each; each is kept only if the held-out error falls."""
        from . import recipes

        return recipes.refinements(model, candidate, site)

    def sparable(self, model: Model, candidate: Candidate, site: Site) -> Sparable | None:  # noqa: ARG002 - one kind of kernel
        """The operators that ``candidate`` quantizes, and how that is simulated."""
        from . import sparing

        return None if content_of(model).cannot_be_raised else sparing.sparable(model, candidate)

    def operator_seconds(self, model: Model, folder: Path, artifact: Artifact, layers: JSON) -> dict[NodeId, float]:
        """See :class:`edgekit.targets.Sparing`."""
        from . import sparing

        return sparing.operator_seconds(model, folder / artifact.entry, layers)

    def reject(self, model: Model, candidate: Candidate, site: Site) -> Reject | None:
        scheme = candidate.scheme
        what = f"{scheme.slug} with openvino"
        # Where this machine has no OpenVINO either, nothing can be built, and the build says what is to be installed here.
        if site.device is not None and "openvino" not in site.device.runtimes and vendor.versions():
            return Reject(what, "OpenVINO is not on the device", "install it there: pip install openvino")
        unknown = sorted({spec.dtype for spec in (*model.inputs, *model.outputs)} - limits.DTYPES)
        if unknown:
            return Reject(what, f"OpenVINO has no tensors of {', '.join(unknown)}", "the onnx target")
        if model.quantized and not isinstance(scheme, AsIs):
            return Reject(what, f"the model is quantized already ({model.quantized})", "give the float model it was made from")
        refused = _reject_precision_option(what, candidate) or limits.reject_run_options(what, candidate.run_options, site)
        if refused is not None or isinstance(scheme, FULL_PRECISION):
            return refused
        if scheme in HALF_PRECISION:
            if candidate.keep_float:
                return Reject(what, "OpenVINO does not reliably spare single operations", MIXED.slug)
            return limits.reject_precision(what, HALF_PRECISION[scheme], site)
        return _reject_format(what, scheme) or _reject_content(what, scheme, content_of(model))

    def build_key(self, site: Site) -> JSON:  # noqa: ARG002 - an IR is the same for every processor
        """Nothing of the device; the versions of the tools that an IR depends on."""
        return vendor.versions()

    def build(self, model: Model, candidate: Candidate, data: BuildData | None, site: Site, out: Path) -> Artifact:
        vendor.openvino()
        refused = self.reject(model, candidate, site)
        if refused is not None:
            raise ModelError(refused.what, why=refused.why, hint=refused.instead)
        from . import convert, half_precision, nodes

        converted = convert.convert(model)
        made, quantized = converted.ir, Counter[str]()
        known = {operation.get_friendly_name() for operation in made.get_ops()}
        ignored = nodes.find_operations(made, candidate.keep_float, converted.graph)  # names what is not there
        if isinstance(candidate.scheme, Int8Static):
            made, quantized = _quantize_static(converted, candidate, data, ignored)
        elif isinstance(candidate.scheme, (Int8Dynamic, WeightOnly)):
            made, quantized = _compress(made, candidate.scheme, ignored)
        in_float = half_precision.light_operations(made) if candidate.scheme == MIXED else ()
        files = convert.write(made, out / ENTRY, known, half_weights=isinstance(candidate.scheme, Float16), in_float=in_float)
        convert.check(out / ENTRY)
        return Artifact(
            files={path.relative_to(out).as_posix(): sha256_file(path) for path in sorted(files)},
            entry=ENTRY,
            io=converted.io,
            provenance={
                "recipe": _recipe(candidate),
                "tools": vendor.versions(),
                "operations_quantized": dict(sorted(quantized.items())),
                "operations_kept_float_on_request": sorted(candidate.keep_float),
                "inference_precision": HALF_PRECISION.get(candidate.scheme, "f32"),
                "dynamic_quantization_group_size": GROUP if isinstance(candidate.scheme, Int8Dynamic) else 0,
                "cannot_be_raised": content_of(model).cannot_be_raised or None,
            },
        )

    def runner(self, artifact: Artifact, site: Site) -> Runner:  # noqa: ARG002 - the same code runs on every device
        provenance = artifact.provenance
        options: dict[str, JSON] = {
            "entry": artifact.entry, "threads": 1, "streams": 1, "performance_hint": "latency",
            "inference_precision": provenance["inference_precision"],
            "dynamic_quantization_group_size": provenance["dynamic_quantization_group_size"],
        }  # fmt: skip
        is_exact = options["inference_precision"] == "f32" and not provenance["operations_quantized"]
        return Runner(
            code=(Path(__file__).with_name("device.py"),),
            entry="device",
            requires=("openvino",),
            files=tuple(sorted(artifact.files)),
            options=options,
            # Kernels differ between processors in the order of additions; an int8 activation on a border moves by one step, and a
            # processor without half precision computes in float.
            tolerance=1e-3 if is_exact else 3e-2,
        )


def _reject_precision_option(what: str, candidate: Candidate) -> Reject | None:
    """What integers leave over may run in bfloat16; the precision of other schemes is their meaning."""
    precision = candidate.run_options.get("inference_precision")
    if precision is not None and (isinstance(candidate.scheme, FULL_PRECISION) or candidate.scheme in HALF_PRECISION):
        return Reject(what, "the scheme says which precision it runs in, a run option may not", "the scheme of that precision")
    if precision == "f16":
        return Reject(what, "beside integers, float16 runs in reference code (measured: 200 times slower)", "bf16 or f32")
    return None


def _reject_format(what: str, scheme: Scheme) -> Reject | None:
    if isinstance(scheme, Int8Static):
        if scheme.range_method == "minmax":
            return None
        return Reject(what, f"ranges by {scheme.range_method!r} are not available", "the range method 'minmax'")
    if isinstance(scheme, Int8Dynamic):
        if scheme.weight_type != "uint8":
            return None
        return Reject(what, "its kernels take symmetric int8 weights, not uint8", "the weight type 'int8'")
    if isinstance(scheme, WeightOnly):
        if scheme.bits == 4 or not scheme.block_size:
            return None
        return Reject(what, "NNCF's 8-bit weights have one scale a channel, no blocks", "block size 0, or 4 bits")
    return Reject(what, "OpenVINO's CPU plugin has no such format", "float32, bf16, mixed, int8, int8-dynamic, w8 or w4")


def _reject_content(what: str, scheme: Scheme, content: Content) -> Reject | None:
    if content.cannot_be_raised:
        return Reject(what, f"the model cannot be raised to a current opset: {content.cannot_be_raised}", "float32")
    if isinstance(scheme, Int8Static):
        if set(STATIC_OPERATORS) & set(content.operators):
            return None
        return Reject(what, f"no {', '.join(STATIC_OPERATORS)} of its main graph has constant float32 weights", "float32")
    if isinstance(scheme, WeightOnly) and scheme.bits == 8:
        return None if content.large else Reject(what, "no weight is large enough to be worth it", "float32")
    if isinstance(scheme, Int8Dynamic):
        return None if content.n_large_products else Reject(what, "no matrix product has weights that are worth it", "float32")
    why = "the last matrix product keeps 8 bits, and no other has weights that are worth it"
    return None if content.n_large_products > 1 else Reject(what, why, "w8")


def _quantize_static(
    converted: Converted, candidate: Candidate, data: BuildData | None, ignored: Collection[str]
) -> tuple[Any, Counter[str]]:
    from .quantize_static import quantize

    if data is None:
        raise ModelError("static int8 needs calibration data", hint="give some with --calib")
    made, done = quantize(converted.ir, data.fit, converted.io, ignored=ignored, options=candidate.build_options)
    if not done and not candidate.keep_float:
        raise ModelError("int8 changed nothing", why="NNCF left every operation of this model in float")
    return made, done


def _compress(ir: Any, scheme: Int8Dynamic | WeightOnly, ignored: Collection[str]) -> tuple[Any, Counter[str]]:
    from .weight_only import compress

    bits, block_size = (scheme.bits, scheme.block_size) if isinstance(scheme, WeightOnly) else (8, 0)
    return compress(ir, bits=bits, block_size=block_size, ignored=ignored)


def _recipe(candidate: Candidate) -> dict[str, JSON]:
    from edgekit.values import to_json

    return {"scheme": to_json(candidate.scheme), "slug": candidate.scheme.slug, **candidate.build_options}


TARGET = OpenVINOTarget()
