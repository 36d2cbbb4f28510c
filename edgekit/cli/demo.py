"""``edgekit demo``."""

from __future__ import annotations

from pathlib import Path

import click

from .common import common_options, examples, is_verbose, json_wanted, print_json


@click.command(epilog=examples("edgekit demo", "edgekit demo -o /tmp/edgekit-demo --json"))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, readable=False),
    default=Path("edgekit-demo"),
    show_default=True,
    help="Where the two bundles go.",
)
@common_options
@click.pass_context
def demo(ctx: click.Context, output: Path, as_json: bool) -> None:
    """Deploy two built-in models to this machine and show both verdicts. Nothing is downloaded.

    Both read handwritten digits. For one a candidate is faster and still right; for the other float is rightly kept.
    """
    from rich.text import Text

    from ..api import deploy
    from ..demo import demo_models
    from ..report.progress import progress_on, stderr_console
    from ..report.terminal import print_report
    from ..values import to_json

    as_json = json_wanted(ctx, as_json)
    console = stderr_console()
    reports = []
    for model in demo_models():
        console.print(Text(f"== {model.name}: {model.title}", style="bold"))
        with progress_on(console, plain=is_verbose(ctx)) as progress:
            report = deploy(
                model.model,
                target="onnx",
                calib=model.calibration,
                eval=model.evaluation,
                metric=model.metric,
                output=output / model.name,
                progress=progress,
            )
        reports.append(report)
        if not as_json:
            print_report(report, console)
            console.print()
    if as_json:
        print_json({"schema": "edgekit.fleet/1", "runs": [to_json(report) for report in reports]})
