"""What is in a model, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..targets import ONNX_FORMATS
from .paragraph import say
from .text import NOT_MEASURED, listing, one_line, short, size

if TYPE_CHECKING:
    from ..inspect.types import Content, Inspection, RangeTable
    from ..types import TensorSpec

SHOWN_LAYERS = 8


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Prints tensors, operators, the layers that cost most, findings, and what cannot be told."""
    content = inspection.content
    version = "opset" if inspection.format in ONNX_FORMATS else "version"
    say(
        console,
        f"{inspection.format} {version} {inspection.opset}, {size(inspection.size_bytes)}, {size(content.zip_bytes)} zipped",
        style="bold",
    )
    _print_tensors("input", inspection.inputs, console)
    _print_tensors("output", inspection.outputs, console)
    macs = count(content.macs) if content.macs is not None else f"not known ({content.macs_reason})"
    say(
        console,
        f"{count(content.parameters)} parameters, {macs} multiply-accumulates an inference, {content.n_nodes} operators",
        hanging=2,
    )
    kinds = sorted(content.operators.items(), key=lambda item: (-item[1], item[0]))
    say(console, f"operators: {listing(f'{name} {n}' for name, n in kinds)}", hanging=2)
    say(console, f"weights: {listing(f'{dtype} {size(n)}' for dtype, n in content.weight_bytes.items())}", hanging=2)
    _print_layers(content, console)
    for note in inspection.notes:
        say(console, f"note: {note}", hanging=2)
    _print_findings(inspection, console)
    if inspection.ranges is not None:
        _print_ranges(inspection.ranges, console)


def _print_tensors(role: str, specs: Sequence[TensorSpec], console: Console) -> None:
    for spec in specs:
        say(console, f"{role} {spec.name}: {spec.dtype} [{', '.join(str(d) for d in spec.shape)}]", indent=2, hanging=4)


def _print_layers(content: Content, console: Console) -> None:
    """The layers with the most arithmetic, or the most weights where the arithmetic is not known."""
    heaviest = sorted(content.layers, key=lambda layer: (-(layer.macs or 0), -layer.weights))[:SHOWN_LAYERS]
    if not heaviest:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("heaviest layers", overflow="fold")
    table.add_column("operator", no_wrap=True)
    for heading in ("MACs", "weights"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in heaviest:
        macs = NOT_MEASURED if layer.macs is None else count(layer.macs)
        table.add_row(Text(one_line(layer.node)), Text(one_line(layer.operator)), Text(macs), Text(count(layer.weights)))
    console.print(table)


def _print_findings(inspection: Inspection, console: Console) -> None:
    if not inspection.findings:
        say(console, "No compression can be seen.")
    for finding in inspection.findings:
        say(console, f"{finding.kind}: {finding.summary}", style="bold", hanging=2)
        for target, worth in finding.worth.items():
            prefix = "worth" if target == "any" else f"worth on {target}"
            say(console, f"{prefix}: {worth}", indent=2, hanging=4)
    for sentence in inspection.cannot_tell:
        say(console, f"cannot be told: {sentence}", style="dim", hanging=2)


def _print_ranges(ranges: RangeTable, console: Console) -> None:
    """A row for each tensor: what was seen, and what each method would quantize it over."""
    methods = list(ranges.tensors[0].ranges) if ranges.tensors else []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("activation", overflow="fold")
    for heading in ("min", "max", *(method for method in methods if method != "minmax")):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in ranges.tensors:
        seen = [f"{end:.4g}" for end in row.seen] if row.seen is not None else [NOT_MEASURED] * 2
        spans = [_span(row.ranges[method]) for method in methods if method != "minmax"]
        table.add_row(Text(one_line(row.tensor)), *map(Text, (*seen, *spans)))
    console.print(table)
    found = ranges.calibration
    say(
        console,
        f"{ranges.n_feeds} calibration samples; {found['n_unstable']} of {found['n_tensors']} ranges move by over "
        f"{found['tolerance']:.0%} when every other sample is left out",
        hanging=2,
    )
    for warning in found["warnings"]:
        say(console, f"warning: {warning}", hanging=2)


def _span(ends: tuple[float, float] | None) -> str:
    return NOT_MEASURED if ends is None else f"{ends[0]:.4g} ... {ends[1]:.4g}"


def count(value: int) -> str:
    """A large count with its decimal prefix."""
    for unit, divisor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= divisor:
            return f"{short(value / divisor)} {unit}"
    return str(value)
