"""The options of ``deploy``, ``build`` and ``profile``, and how they become one request.

Every option is None when it was not typed, so that a bundle (``--from``) and ``edgekit.toml`` can fill it in; the defaults stand in
:class:`edgekit.request.DeployRequest`, and the help only quotes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..schemes import PRECISIONS
from .common import F

if TYPE_CHECKING:
    from ..config import Config, Resolved
    from ..devices.plan import Timeouts
    from ..request import DeployRequest


def _target_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Shell completion for --target: plugins, profiles, aliases, after the last comma."""
    from ..profiles import AUTO, aliases, load_profiles
    from ..targets import registry

    del ctx, param
    before, comma, last = incomplete.rpartition(",")
    names = sorted({AUTO, *registry(), *load_profiles(), *aliases()})
    return [before + comma + name for name in names if name.startswith(last)]


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "target": click.option(
        "--target",
        metavar="T[,T]",
        shell_complete=_target_names,
        help="A target, device profile or alias (`edgekit targets` lists them), several separated by commas, or auto: every target "
        "of the device's profile, and the verdict chooses across them.  [default: auto]",
    ),
    "device": click.option(
        "--device",
        metavar="D[,D]",
        help="Where to measure: a name of `edgekit devices list` or ssh://[user@]host[:port]; several separated by commas, or "
        "label:board=pi5 for all with that label, are measured on at once.  [default: this machine]",
    ),
    "calib": click.option(
        "--calib",
        metavar="PATH",
        type=click.Path(readable=False),
        help="Calibration data: .npz, a folder of .npz or .npy, a folder of images with a preprocess.toml, or file.py:function "
        "yielding dicts {input: array}. 20 % are held out to compare candidates with float.",
    ),
    "eval": click.option(
        "--eval",
        metavar="PATH",
        type=click.Path(readable=False),
        help="Labelled data of the same kinds, with --metric, or file.py:function(predict) returning a dict of name, value, "
        "higher_is_better and n, and where wanted slices, predictions and per_sample (docs/data.md shows one).",
    ),
    "metric": click.option("--metric", metavar="M", help="How the labelled data of --eval are scored, for example accuracy."),
    "precision": click.option(
        "--precision",
        type=click.Choice(list(PRECISIONS)),
        help="Try this precision only, and take its best candidate that holds the gates even when it is not faster than float.  "
        "[default: auto]",
    ),
    "max_drop": click.option(
        "--max-drop",
        metavar="1%",
        help="How much of the metric may be lost: 1% of float's value (below 100%), or 0.01 in its own unit.  [default: 1%]",
    ),
    "min_agreement": click.option(
        "--min-agreement", metavar="A", help="How often a candidate must say what float says.  [default: 0.98, with labels 0.95]"
    ),
    "max_latency": click.option(
        "--max-latency", metavar="12ms", help="The slowest acceptable latency, p90 unless said: 12ms, or '12ms p50'."
    ),
    "objective": click.option(
        "--objective",
        type=click.Choice(["latency", "energy", "size"]),
        help="What to make small among those that are right.  [default: latency]",
    ),
    "baseline": click.option(
        "--baseline",
        metavar="MODEL",
        type=click.Path(readable=False),
        help="The model before it was compressed: says what that bought on this hardware.",
    ),
    "shape": click.option(
        "--shape", metavar="N=1x3x48x320", multiple=True, help="Fix the shape of an input; may be given several times."
    ),
    "samples": click.option(
        "--samples",
        metavar="N",
        help="Use at most N samples of --calib, or auto: edgekit's own calibration stops when more of them would not move the "
        "ranges.  [default: all]",
    ),
    "threads": click.option(
        "--threads", metavar="N", type=int, help="Threads of the runtime, for every candidate alike; at most 1024.  [default: 1]"
    ),
    "budget": click.option(
        "--budget",
        metavar="120s",
        help="Stop looking for more candidates after this time: 120s, 10m. More time finds faster ones.  [default: a quick look]",
    ),
    "governor": click.option(
        "--governor",
        metavar="NAME",
        help="Set the governor of the device's CPU clock while it measures, for example performance, and put it back at the end.  "
        "[default: leave it]",
    ),
    "power_mode": click.option(
        "--power-mode",
        metavar="MODE",
        help="Set the power mode of a Jetson (nvpmodel) while it measures, by name or number, and put it back at the end. One that "
        "needs a restart is refused.  [default: leave it]",
    ),
    "lock_clocks": click.option(
        "--lock-clocks/--no-lock-clocks",
        default=None,
        help="Lock the clocks of a Jetson at the highest of its power mode (jetson_clocks) while it measures, and put them back at "
        "the end.  [default: leave them]",
    ),
    "sparsity": click.option(
        "--sparsity",
        type=click.Choice(["auto", "on", "off"]),
        help="Kernels for weights that are pruned 2:4, on GPUs that have them; no other pruning gains anything there.  "
        "[default: auto, where the weights are]",
    ),
    "sustain": click.option(
        "--sustain",
        metavar="10m",
        help="After that measure in turn for this long: latency over time, and the ranking of the last quarter beside that of the "
        "first minute.  [default: not at all]",
    ),
    "eval_on": click.option(
        "--eval-on",
        type=click.Choice(["host", "device"]),
        help="Where quality is judged. The host's word counts only where the device gives the same outputs.  [default: host, where "
        "it can run the artifact]",
    ),
    "energy": click.option(
        "--energy",
        type=click.Choice(["winner", "all", "off"]),
        help="Whose energy is measured where the device has a meter: float's and the winner's, or every candidate's.  "
        "[default: winner]",
    ),
    "grid_intensity": click.option(
        "--grid-intensity",
        metavar="GCO2E_PER_KWH",
        help="Carbon intensity of the electricity there, for example 400: gives the Software Carbon Intensity of an inference.",
    ),
    "embodied": click.option(
        "--embodied",
        metavar="250kg/4y",
        help="CO2e of making the device, and its years in use: the M of that intensity, which is left out otherwise.",
    ),
}
_NOTHING_WITHOUT = {"metric": "eval", "samples": "calib", "embodied": "grid_intensity"}
MODEL = click.argument("model", required=False, type=click.Path(readable=False))
FROM = click.option(
    "--from",
    "from_bundle",
    metavar="BUNDLE",
    type=click.Path(path_type=Path, readable=False),
    help="Repeat the run that made BUNDLE; what is typed wins over what it recorded.",
)
OUTPUT = click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, readable=False),
    help="The bundle's folder; of several devices each has its own in it. An existing folder is replaced only when it is a "
    "bundle.  [default: <model>-<target>-edgekit]",
)
FORCE = click.option("--force", is_flag=True, help="Replace DIR even when it is not a bundle.")
ALLOW_CODE = click.option(
    "--allow-code",
    is_flag=True,
    help="Run file.py:function references that come from a bundle or edgekit.toml; those typed here run anyway.",
)
TRUST_MODEL = click.option(
    "--trust-model",
    is_flag=True,
    help="Let PyTorch load a .pt2 as code: whatever it holds then runs with your rights. Only for a file whose maker you trust; "
    "never taken from edgekit.toml or a bundle.",
)


def _go_offline(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """For this process and what it starts; undone when the command ends, as it may run inside somebody else's process."""
    from ..toolchain import OFFLINE

    if not wanted:
        return
    before = os.environ.get(OFFLINE)
    os.environ[OFFLINE] = "1"
    ctx.call_on_close(lambda: os.environ.pop(OFFLINE) if before is None else os.environ.update({OFFLINE: before}))


OFFLINE = click.option(
    "--offline",
    is_flag=True,
    expose_value=False,
    callback=_go_offline,
    help="Fetch nothing: where a converter is not installed yet, say so and end with exit code 3 (edgekit toolchain).",
)
WAIT = click.option(
    "--wait",
    metavar="10m",
    help="How long to wait for a device that somebody else holds, 0 for not at all.  [default: the lease time-out in edgekit.toml, "
    "or 10m]",
)


def patient(timeouts: Timeouts, wait: str | None) -> Timeouts:
    """The time-outs with what ``--wait`` says of the lease.

    Raises:
        UsageError: it is no time.
    """
    from ..request_parsing import parse_wait

    return timeouts if wait is None else replace(timeouts, lease_s=parse_wait(wait))


def request_options(*names: str) -> Callable[[F], F]:
    """The named options (all of them when none is named), in the order of the help."""

    def decorate(command: F) -> F:
        for name in reversed(names or tuple(_OPTIONS)):
            command = _OPTIONS[name](command)
        return command

    return decorate


def gather(typed: dict[str, Any], config: Config, *, from_bundle: Path | None = None, allow_code: bool = False) -> DeployRequest:
    """The request from what was typed, the bundle to repeat and ``edgekit.toml``.

    Raises:
        UsageError: a value that cannot be read, no model, a code reference that nobody typed, or an option of the command
            (wherever it stands) that is nothing without another: ``metric`` without ``eval``, ``samples`` without ``calib``.
        IntegrityError: the bundle to repeat is not intact.
    """
    from ..bundle import read_bundle
    from ..config import require_code_allowed, resolve

    recorded = read_bundle(from_bundle).request() if from_bundle is not None else None
    given = {name: value for name, value in typed.items() if value not in (None, ())}
    resolved = resolve(given, config, bundle=recorded)
    require_code_allowed(resolved, allow_code=allow_code)
    for name, partner in _NOTHING_WITHOUT.items():
        if name in typed:  # the command has that option; profile reads past what edgekit.toml says for deploy
            _require_partner(resolved, name, partner)
    _warn_of_odd_values(resolved.request, typed)
    return resolved.request


def _require_partner(resolved: Resolved, name: str, partner: str) -> None:
    from ..errors import UsageError

    value = getattr(resolved.request, name)
    if value is None or getattr(resolved.request, partner) is not None:
        return
    origin = resolved.origins[name]
    option, other = f"--{name}", f"--{partner.replace('_', '-')}"
    raise UsageError(
        f"{option} {value} does nothing without {other}",
        why="" if origin == "command line" else f"it comes from {'the bundle' if origin == 'bundle' else origin}",
        hint=f"give {other} as well" + ("" if origin == "bundle" else f", or leave {name} out"),
    )


def _warn_of_odd_values(request: DeployRequest, options: Container[str]) -> None:
    drop, cores = request.max_drop, os.cpu_count()
    if "max_drop" in options and not drop.relative and drop.value >= 1:
        click.echo(
            f"edgekit: warning: --max-drop {drop} is in the metric's own unit, and of an accuracy it is everything: "
            f"did you mean {drop}%?",
            err=True,
        )
    if "threads" in options and cores is not None and request.threads > cores and request.device in (None, "local"):
        click.echo(f"edgekit: warning: --threads {request.threads} is more than the {cores} cores of this machine", err=True)


def default_output(request: DeployRequest) -> Path:
    """``<model stem>-<target>-edgekit`` in the working directory."""
    name = f"{Path(request.model).stem}-{'-'.join(request.target)}-edgekit"
    return Path(re.sub(r"[^A-Za-z0-9._-]+", "_", name))
