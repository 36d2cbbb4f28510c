"""``edgekit profile``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from .common import become_verbose, common_options, examples, is_verbose, json_wanted, print_json
from .request_options import ALLOW_CODE, MODEL, OFFLINE, TRUST_MODEL, WAIT, gather, patient, request_options


@click.command(
    epilog=examples(
        "edgekit profile model.onnx",
        "edgekit profile model.onnx --target onnx --threads 2 --calib fit.npz",
        "edgekit profile model-onnx-edgekit/ --json",
        "edgekit profile model.onnx --layers --sustain 10m",
        "edgekit profile model-onnx-edgekit/ --device lab-pi5,lab-pi4",
    )
)
@MODEL
@request_options(
    "target",
    "device",
    "calib",
    "shape",
    "threads",
    "energy",
    "grid_intensity",
    "embodied",
    "governor",
    "power_mode",
    "lock_clocks",
    "sustain",
)
@click.option("--layers", is_flag=True, help="Also time every operator, where the runtime tells; the slowest are shown.")
@WAIT
@ALLOW_CODE
@OFFLINE
@TRUST_MODEL
@common_options
@click.pass_context
def profile(
    ctx: click.Context, /, layers: bool, wait: str | None, allow_code: bool, trust_model: bool, as_json: bool, **typed: Any
) -> None:
    """Measure MODEL as it is, or a bundle's artifact: latency, load time, first inference, memory, energy.

    No candidate is built and nothing is judged. The input that is timed is the first sample of --calib that is held out; without
    --calib it is synthetic.
    """
    from ..config import load_config
    from ..fleet import is_fleet
    from ..profiling import profile as measure
    from ..profiling import profile_fleet
    from ..report.profile import print_profile
    from ..report.progress import progress_on, stderr_console
    from ..values import to_json
    from .fleet import run_fleet

    config = load_config(Path.cwd())
    become_verbose(ctx, config.run.get("verbose", False))
    as_json = json_wanted(ctx, as_json, config.run.get("json", False))
    request = gather(typed, config, allow_code=allow_code)
    options: dict[str, Any] = {
        "target": request.target,
        "calib": request.calib,
        "shape": request.shape or None,
        "threads": request.threads,
        "energy": request.energy,
        "grid_intensity": request.grid_intensity,
        "embodied": request.embodied,
        "governor": request.governor,
        "power_mode": request.power_mode,
        "lock_clocks": request.lock_clocks,
        "sustain": request.sustain_s,
        "layers": layers,
        "allow_code": True,  # what was not typed has been refused before, unless --allow-code let it pass
        "trust_model": trust_model,
        "timeouts": patient(config.timeouts, wait),
    }
    if is_fleet(request.device):
        fleet = partial(profile_fleet, request.model, device=request.device, **options)
        run_fleet(ctx, lambda progress: fleet(progress=progress), as_json=as_json)
        return
    console = stderr_console()
    with progress_on(console, plain=is_verbose(ctx)) as progress:
        report = measure(request.model, device=request.device, progress=progress, **options)
    if as_json:
        print_json(to_json(report))
    else:
        print_profile(report, console, asked_for_layers=layers)
