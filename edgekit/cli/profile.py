"""``edgekit profile``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .common import become_verbose, common_options, examples, is_verbose, json_wanted, print_json
from .request_options import ALLOW_CODE, MODEL, OFFLINE, TRUST_MODEL, gather, request_options


@click.command(
    epilog=examples(
        "edgekit profile model.onnx",
        "edgekit profile model.onnx --target onnx --threads 2 --calib fit.npz",
        "edgekit profile model-onnx-edgekit/ --json",
    )
)
@MODEL
@request_options("target", "device", "calib", "shape", "threads", "energy", "grid_intensity", "embodied")
@ALLOW_CODE
@OFFLINE
@TRUST_MODEL
@common_options
@click.pass_context
def profile(ctx: click.Context, /, allow_code: bool, trust_model: bool, as_json: bool, **typed: Any) -> None:
    """Measure MODEL as it is, or a bundle's artifact: latency, load time, first inference, memory, energy.

    No candidate is built and nothing is judged. The first calibration sample is the input that is timed; without --calib it is
    synthetic.
    """
    from ..config import load_config
    from ..profiling import profile as measure
    from ..report.profile import print_profile
    from ..report.progress import progress_on, stderr_console
    from ..values import to_json

    config = load_config(Path.cwd())
    become_verbose(ctx, config.run.get("verbose", False))
    as_json = json_wanted(ctx, as_json, config.run.get("json", False))
    request = gather(typed, config, allow_code=allow_code)
    console = stderr_console()
    with progress_on(console, plain=is_verbose(ctx)) as progress:
        report = measure(
            request.model,
            target=request.target,
            device=request.device,
            calib=request.calib,
            shape=request.shape or None,
            threads=request.threads,
            energy=request.energy,
            grid_intensity=request.grid_intensity,
            embodied=request.embodied,
            allow_code=True,  # what was not typed has been refused before, unless --allow-code let it pass
            trust_model=trust_model,
            timeouts=config.timeouts,
            progress=progress,
        )
    if as_json:
        print_json(to_json(report))
    else:
        print_profile(report, console)
