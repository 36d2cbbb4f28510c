"""What every package's README says alike: where the model comes from, and what was measured of it."""

from __future__ import annotations

from ..report.text import fraction, size, time_unit
from .names import comment
from .source import PackageSource


def measured_lines(source: PackageSource) -> list[str]:
    """Lines of a list in Markdown; what was not measured is said, with the reason."""
    row = source.row
    lines = [f"- made of `{comment(source.model_name)}` by edgekit {comment(source.edgekit)}: {comment(row.id)}, {_place(source)}"]
    if row.latency_s is not None:
        unit = time_unit([row.latency_s])
        lines.append(
            f"- latency {unit.with_interval(row.latency_s)} {unit.name} (median and its 95 % interval, p90 "
            f"{unit.value(row.latency_s.p90)} {unit.name}), {_threads(source)}, batch 1, without preprocessing"
        )
    else:
        lines.append(f"- latency: not measured ({comment(row.latency_reason or 'the bundle has none')})")
    if row.speedup_vs_reference is not None:
        lines.append(f"- {row.speedup_vs_reference.value:.2f} times the speed of the original in float32 there")
    if row.fidelity is not None and row.fidelity.metric is not None:
        name = comment(row.fidelity.metric_name or "metric")
        lines.append(f"- {name} {fraction(row.fidelity.metric)}; in float {fraction(row.fidelity.metric_float)}")
    if row.agreement is not None:
        on = "synthetic input" if row.agreement.synthetic else "held-out data"
        lines.append(f"- says the same as float on {row.agreement.value:.1%} of {row.agreement.n} feeds ({on})")
    lines.append(f"- the model has {size(source.model_bytes)}; sha256 `{source.entry_sha256}`")
    if source.winner.provisional:
        lines.append("- **provisional**: this was not measured on a device of the kind that it is for")
    return lines


def _place(source: PackageSource) -> str:
    device = source.report.device or {}
    where = device.get("board") or device.get("cpu_model")
    return f"measured on {comment(str(where))}" if where else f"built for {comment(source.report.profile)}"


def _threads(source: PackageSource) -> str:
    return f"{source.threads} thread{'s' * (source.threads != 1)}"


def tensor_lines(source: PackageSource, identifiers: dict[str, str]) -> list[str]:
    """A table in Markdown: each tensor under its name in the model and in the wrapper."""
    lines = ["| | in the model | in the wrapper | type | shape |", "|---|---|---|---|---|"]
    for tensor in (*source.inputs, *source.outputs):
        shape = " x ".join("?" if size is None else str(size) for size in source.shape(tensor)) or "one number"
        shown = comment(tensor.original.name).replace("|", "\\|")
        identifier = identifiers[tensor.role + " " + tensor.original.name]
        lines.append(f"| {tensor.role} | {shown} | `{identifier}` | {tensor.original.dtype} | {shape} |")
    return lines
