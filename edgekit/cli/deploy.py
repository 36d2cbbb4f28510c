"""``edgekit deploy``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from .common import become_verbose, common_options, examples, json_wanted
from .request_options import (
    ALLOW_CODE,
    FORCE,
    FROM,
    MODEL,
    OFFLINE,
    OUTPUT,
    TRUST_MODEL,
    WAIT,
    default_output,
    gather,
    patient,
    request_options,
)


@click.command(
    epilog=examples(
        "edgekit deploy model.onnx --target onnx",
        "edgekit deploy model.onnx --target onnx --calib photos/ --max-drop 1%",
        "edgekit deploy model.onnx --target auto --calib fit.npz --eval labelled.npz --metric accuracy",
        "edgekit deploy model.onnx --target onnx --calib fit.npz --eval score.py:evaluate",
        "edgekit deploy pruned.onnx --baseline original.onnx --calib fit.npz --json > verdict.json",
        "edgekit deploy model.onnx --target jetson --device lab-orin-3 --calib fit.npz --install models/digits",
        "edgekit deploy model.onnx --target onnx --device label:board=pi5 --calib fit.npz --json > fleet.json",
        "edgekit deploy --from model-onnx-edgekit/ model.onnx --calib fit.npz",
    )
)
@MODEL
@request_options()
@FROM
@click.option(
    "--install",
    metavar="PATH",
    type=click.Path(path_type=Path, readable=False),
    help="Also put the bundle in a versioned folder under PATH, behind a link: on the device, if that is not this machine.",
)
@click.option("--dry-run", is_flag=True, default=None, help="Show which candidates would be tried and which are refused, and stop.")
@WAIT
@OUTPUT
@FORCE
@ALLOW_CODE
@OFFLINE
@TRUST_MODEL
@common_options
@click.pass_context
def deploy(
    ctx: click.Context,
    /,
    from_bundle: Path | None,
    install: Path | None,
    dry_run: bool | None,
    wait: str | None,
    output: Path | None,
    force: bool,
    allow_code: bool,
    trust_model: bool,
    as_json: bool,
    **typed: Any,
) -> None:
    """Find the fastest artifact of MODEL that is still right on a target, and write it with its evidence.

    Every candidate is compared with float on held-out samples and measured in turn with all others. Float is replaced only by one
    that is right, and faster with 95 % confidence; otherwise float is kept and the reason given. The verdict is shown on stderr;
    --json prints it as one document on stdout. Most options may also stand in edgekit.toml (see `edgekit init`).

    Several devices are deployed to at once, and one that fails stops nobody; the exit code is then that of the first that failed,
    in the order in which they were named.
    """
    from ..api import deploy_fleet
    from ..config import load_config
    from ..fleet import is_fleet
    from .fleet import run_fleet
    from .running import run_deploy

    config = load_config(Path.cwd())
    become_verbose(ctx, config.run.get("verbose", False))
    as_json = json_wanted(ctx, as_json, config.run.get("json", False))
    request = gather(typed, config, from_bundle=from_bundle, allow_code=allow_code)
    if dry_run is None:
        dry_run = config.run.get("dry_run", False)
    chosen = output or _path(config.run.get("output")) or default_output(request)
    install = install or _path(config.run.get("install"))
    timeouts = patient(config.timeouts, wait)
    if is_fleet(request.device):
        fleet = partial(
            deploy_fleet, request, output=chosen, force=force, install=install, dry_run=dry_run, timeouts=timeouts,
            allow_code=True, trust_model=trust_model,
        )  # fmt: skip
        run_fleet(ctx, lambda progress: fleet(progress=progress), as_json=as_json)
        return
    run_deploy(
        ctx,
        request,
        output=chosen,
        force=force,
        install=install,
        dry_run=dry_run,
        measure=True,
        as_json=as_json,
        trust_model=trust_model,
        timeouts=timeouts,
        from_bundle=from_bundle,
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text is not None else None
