"""``edgekit build``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .common import become_verbose, common_options, examples, json_wanted
from .request_options import ALLOW_CODE, FORCE, FROM, MODEL, OFFLINE, OUTPUT, TRUST_MODEL, default_output, gather, request_options

#: What may stand in edgekit.toml or a bundle for `deploy` and is about measuring alone.
_NOT_OF_A_BUILD: dict[str, Any] = {
    "max_latency": None,
    "governor": None,
    "power_mode": None,
    "lock_clocks": False,
    "sustain_s": None,
}


@click.command(
    epilog=examples(
        "edgekit build model.onnx --target onnx --calib fit.npz",
        "edgekit build model.onnx --target onnx --precision int8 --calib fit.npz -o int8/",
    )
)
@MODEL
@request_options(
    "target",
    "calib",
    "eval",
    "metric",
    "precision",
    "max_drop",
    "min_agreement",
    "objective",
    "shape",
    "samples",
    "threads",
    "budget",
)
@FROM
@OUTPUT
@FORCE
@ALLOW_CODE
@OFFLINE
@TRUST_MODEL
@common_options
@click.pass_context
def build(
    ctx: click.Context,
    /,
    from_bundle: Path | None,
    output: Path | None,
    force: bool,
    allow_code: bool,
    trust_model: bool,
    as_json: bool,
    **typed: Any,
) -> None:
    """Build MODEL for a target and judge its quality, without measuring its speed.

    The bundle's choice is provisional: without a measurement nothing is known to be faster than float, so float is kept unless
    --precision or --objective size asks for something else.
    """
    from ..config import load_config
    from .running import run_deploy

    config = load_config(Path.cwd())
    become_verbose(ctx, config.run.get("verbose", False))
    request = replace(gather(typed, config, from_bundle=from_bundle, allow_code=allow_code), **_NOT_OF_A_BUILD)
    run_deploy(
        ctx,
        request,
        output=output or default_output(request),
        force=force,
        install=None,
        dry_run=False,
        measure=False,
        as_json=json_wanted(ctx, as_json, config.run.get("json", False)),
        trust_model=trust_model,
        timeouts=config.timeouts,
        from_bundle=from_bundle,
    )
