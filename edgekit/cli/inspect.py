"""``edgekit inspect``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import common_options, examples, is_verbose, json_wanted, print_json
from .request_options import TRUST_MODEL, request_options

if TYPE_CHECKING:
    from ..inspect.types import RangeTable
    from ..model import Model


@click.command(
    epilog=examples(
        "edgekit inspect model.onnx",
        "edgekit inspect model.onnx --shape x=1x3x48x320 --json",
        "edgekit inspect model.onnx --calib fit.npz --ranges",
    )
)
@click.argument("model", type=click.Path(readable=False))
@request_options("target", "calib", "samples", "shape")
@click.option("--ranges", is_flag=True, help="What the activations span on --calib, by every way of choosing a range.")
@TRUST_MODEL
@common_options
@click.pass_context
def inspect(
    ctx: click.Context,
    model: str,
    target: str | None,
    calib: str | None,
    samples: str | None,
    shape: tuple[str, ...],
    ranges: bool,
    trust_model: bool,
    as_json: bool,
) -> None:
    """Say what is in MODEL, and how it was compressed where that can be seen.

    Unstructured, 2:4 and masked structured sparsity, factorized and clustered weights, shared and duplicated ones, integer weights
    and quantize/dequantize pairs are recognised. What cannot be told is listed, not guessed. With --target, what each is
    worth there.

    With --calib and --ranges, also what the activations span: least and greatest value, percentile 99.99, least squared error,
    least divergence; and whether the calibration data are enough, and like the 20 % that are held out.
    """
    from ..errors import UsageError
    from ..inspect import inspect_model
    from ..model import load_model
    from ..profiles import resolve
    from ..request_parsing import parse_shape, parse_targets
    from ..targets import get_target
    from ..values import to_json

    if ranges != (calib is not None):
        raise UsageError("--ranges and --calib belong together", hint="give both, or neither")
    if samples is not None and calib is None:
        raise UsageError(f"--samples {samples} does nothing without --calib", hint="give --calib and --ranges as well")
    as_json = json_wanted(ctx, as_json)
    wanted = [get_target(name) for name, _ in resolve(parse_targets(target))] if target is not None else []
    loaded = load_model(model, shape=parse_shape(shape) if shape else None, trust_model=trust_model)
    inspection = inspect_model(loaded, targets=wanted)
    if calib is not None:
        table = _ranges(loaded, calib, samples, plain=is_verbose(ctx))
        inspection = replace(inspection, ranges=table)
    if as_json:
        print_json(to_json(inspection))
        return
    from rich.console import Console

    from ..report.inspection import print_inspection

    print_inspection(inspection, Console(markup=False, emoji=False, highlight=False))


def _ranges(model: Model, calib: str, samples: str | None, *, plain: bool) -> RangeTable:
    from ..coderef import load_function
    from ..data import open_calibration
    from ..inspect.ranges import describe_ranges
    from ..report.progress import progress_on, stderr_console
    from ..request import is_code_reference
    from ..request_parsing import parse_samples

    source = load_function(calib) if is_code_reference(calib) else Path(calib)
    with progress_on(stderr_console(), plain=plain) as progress:
        progress.stage("calibrating")
        data = open_calibration(source, model.inputs, samples=parse_samples(samples) if samples is not None else None)
        return describe_ranges(model, data.build, progress=progress)
