"""``edgekit inspect``."""

from __future__ import annotations

import click

from .common import common_options, examples, print_json
from .request_options import TRUST_MODEL, request_options


@click.command(epilog=examples("edgekit inspect model.onnx", "edgekit inspect model.onnx --shape x=1x3x48x320 --json"))
@click.argument("model", type=click.Path())
@request_options("target", "shape")
@TRUST_MODEL
@common_options
def inspect(model: str, target: str | None, shape: tuple[str, ...], trust_model: bool, as_json: bool) -> None:
    """Say what is in MODEL, and how it was compressed where that can be seen.

    Unstructured, 2:4 and masked structured sparsity, factorized and clustered weights, shared and duplicated ones, integer weights
    and quantize/dequantize pairs are recognised. What cannot be told is listed, not guessed. With --target, what each is
    worth there.
    """
    from ..inspect import inspect_model
    from ..model import load_model
    from ..profiles import resolve
    from ..request import parse_shape, parse_targets
    from ..targets import get_target
    from ..values import to_json

    wanted = [get_target(name) for name, _ in resolve(parse_targets(target))] if target is not None else []
    loaded = load_model(model, shape=parse_shape(shape) if shape else None, trust_model=trust_model)
    inspection = inspect_model(loaded, targets=wanted)
    if as_json:
        print_json(to_json(inspection))
        return
    from rich.console import Console

    from ..report.inspection import print_inspection

    print_inspection(inspection, Console(markup=False, emoji=False, highlight=False))
