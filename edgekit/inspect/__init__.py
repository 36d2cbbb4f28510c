"""What is in a model, and how it was compressed before it came here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..targets import ONNX_FORMATS, Reading, own_formats
from ..types import JSON
from .types import Content, Finding, Inspection, Layer, RangeTable, TensorRanges

if TYPE_CHECKING:
    import onnx

    from ..model import Model
    from ..targets import Target

__all__ = ["Content", "Finding", "Inspection", "Layer", "RangeTable", "TensorRanges", "find_compression", "inspect_model"]


def inspect_model(model: Model, *, targets: Sequence[Target] = ()) -> Inspection:
    """Say what is in ``model`` and how it was compressed, where that can be seen.

    Args:
        targets: for each finding, what it is worth on these; without them, in general.

    Raises:
        ModelError: the file changed or vanished since it was loaded.
    """
    from ..frontends.external_data import load_external_data
    from ..frontends.onnx_clean import inline_functions
    from ..frontends.onnx_file import parse
    from ..frontends.onnx_frontend import read_clean
    from .content import describe
    from .weights import find_weights
    from .worth import CANNOT_TELL, worth_of

    if model.format not in ONNX_FORMATS:
        return _of_its_own_format(model, targets)
    raw = parse(model.onnx_path)  # cleaning merges duplicates, which are a finding
    load_external_data(raw, model.onnx_path.parent)
    inline_functions(raw)
    findings = find_compression(raw)
    clean = read_clean(model)
    return Inspection(
        fingerprint=model.fingerprint,
        format=model.format,
        opset=model.opset,
        size_bytes=model.size_bytes,
        inputs=model.inputs,
        outputs=model.outputs,
        notes=model.notes,
        content=describe(clean, raw, find_weights(clean)),
        findings=tuple(replace(finding, worth=worth_of(finding.kind, targets)) for finding in findings),
        cannot_tell=CANNOT_TELL,
    )


def _of_its_own_format(model: Model, targets: Sequence[Target]) -> Inspection:
    """What the target that reads the file tells; arithmetic and the traces of compression are looked for in ONNX only."""
    from .content import zipped_file
    from .worth import worth_of

    reader = own_formats()[model.format]
    assert isinstance(reader, Reading)
    facts = reader.read_file(model.path)
    zip_bytes, zip_sampled = zipped_file(model.path)
    content = Content(
        operators=dict(sorted(facts.operators.items(), key=lambda item: (-item[1], item[0]))),
        n_nodes=sum(facts.operators.values()),
        parameters=facts.parameters,
        weight_bytes=dict(sorted(facts.weight_bytes.items(), key=lambda item: (-item[1], item[0]))),
        macs=None,
        macs_reason=f"not counted in .{model.format} files",
        zip_bytes=zip_bytes,
        zip_sampled=zip_sampled,
        layers=(),
    )
    found = []
    if model.quantized is not None:
        evidence: dict[str, JSON] = {"form": model.quantized}
        found.append(Finding("quantized", f"already quantized ({model.quantized})", evidence, worth_of("quantized", targets)))
    return Inspection(
        fingerprint=model.fingerprint,
        format=model.format,
        opset=model.opset,
        size_bytes=model.size_bytes,
        inputs=model.inputs,
        outputs=model.outputs,
        notes=model.notes,
        content=content,
        findings=tuple(found),
        cannot_tell=(f"how a .{model.format} file was compressed before it was quantized or converted",),
    )


def find_compression(proto: onnx.ModelProto) -> tuple[Finding, ...]:
    """Every kind of compression that the weights and the structure of ``proto`` show. Its weights must be loaded."""
    from .lattice import find_few_values
    from .quantized import find_quantized
    from .sparsity import find_sparsity
    from .structure import find_duplicated, find_factorized, find_shared
    from .weights import find_weights

    weights = find_weights(proto)
    few_values, coarse = find_few_values(weights)
    structural = [find_factorized(proto, weights), find_shared(weights), find_duplicated(proto), find_quantized(proto, weights)]
    found = [*find_sparsity(weights, rounded_to_zero=coarse), *few_values, *structural]
    return tuple(finding for finding in found if finding is not None)
