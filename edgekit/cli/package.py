"""``edgekit package``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .common import common_options, examples, is_verbose, print_json

FORMATS = ("android", "ios", "react-native", "web")


@click.command(
    epilog=examples(
        "edgekit package digits-edgekit/ --format android --group com.example -o digits-android/",
        "edgekit package digits-edgekit/ --format web --name digits --labels digits.txt -o digits-web/",
    )
)
@click.argument("bundle", type=click.Path(path_type=Path, readable=False))
@click.option("--format", "format_name", type=click.Choice(FORMATS), required=True, help="Which kind of app the package is for.")
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(path_type=Path, readable=False), required=True, help="The folder to write."
)
@click.option("--name", metavar="NAME", help="Of the package: lower-case words with '-'; that of the model's file unless given.")
@click.option("--version", metavar="VERSION", help="Of the package, such as 1.2.3; 1.0.0 unless given.")
@click.option("--group", metavar="GROUP", help="Who it comes from, such as com.example; local.models unless given.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path, readable=False),
    help="Text file with one class a line, in the order of the model's first output.",
)
@click.option(
    "--runtime-version",
    metavar="VERSION",
    help="Of the runtime to depend on; unless given, android: the release that was measured, else one that the README names.",
)
@click.option("--min-sdk", type=click.IntRange(21, 99), help="android: the API level to ask for; 24 unless given.")
@click.option("--ort-format", is_flag=True, help="android: store an ONNX model as .ort, with its list of required operators.")
@click.option("--sources-only", is_flag=True, help="android: write the source module alone, which needs no JDK.")
@click.option("--force", is_flag=True, help="Replace DIR if it exists.")
@common_options
@click.pass_context
def package(
    ctx: click.Context,
    /,
    bundle: Path,
    format_name: str,
    output: Path,
    force: bool,
    as_json: bool,
    name: str | None,
    version: str | None,
    group: str | None,
    labels: Path | None,
    **chosen: Any,
) -> None:
    """Make BUNDLE a package that an app's developer drops in: the artifact, how it is fed, and a typed wrapper.

    The wrapper does what was measured: the recorded preprocessing, the winner's threads, and a self-test on the golden pair. An
    artifact that the platform cannot run is refused with the target to build instead (exit code 2).
    """
    from ..packaging.api import package as make_package
    from ..packaging.formats import PackageOptions
    from ..report.progress import progress_on, stderr_console
    from ..report.text import brief, clean, size

    with progress_on(stderr_console(), plain=is_verbose(ctx)) as progress:
        report = make_package(
            bundle,
            format=format_name,
            output=output,
            name=name,
            version=version,
            group=group,
            labels=labels,
            force=force,
            options=PackageOptions(**chosen),
            progress=progress,
        )
    if as_json:
        print_json(report.to_json())
        return
    click.echo(f"{clean(report.output)}: {report.name} {report.version} for {report.format}, made of {brief(report.winner)}")
    overhead = report.delivered_bytes - report.model_bytes
    click.echo(f"  the app gets {size(report.delivered_bytes)}: the model's {size(report.model_bytes)} and {_signed(overhead)}")
    click.echo(f"  {len(report.files)} files, {size(report.size_bytes)}; start with {clean(Path(report.output) / 'README.md')}")
    for text in report.not_verified:
        click.echo(f"  not verified by edgekit's own tests: {text}")


def _signed(overhead_bytes: int) -> str:
    from ..report.text import size

    return f"{size(overhead_bytes)} beside it" if overhead_bytes >= 0 else f"{size(-overhead_bytes)} less by compression"
