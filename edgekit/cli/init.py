"""``edgekit init``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import common_options, examples, print_json
from .request_options import TRUST_MODEL, request_options

if TYPE_CHECKING:
    from ..model import Model
    from ..types import TensorSpec


@click.command(epilog=examples("edgekit init model.onnx", "edgekit init model.onnx --target jetson --calib photos/ --yes"))
@click.argument("model", type=click.Path(readable=False))
@request_options("target", "calib", "eval")
@TRUST_MODEL
@click.option("--yes", is_flag=True, help="Ask nothing; take what was given and the defaults.")
@common_options
def init(
    model: str,
    target: str | None,
    calib: str | None,
    eval: str | None,  # noqa: A002
    trust_model: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Write a commented edgekit.toml for MODEL into the working directory.

    It asks for what was not given, unless there is no terminal or --yes is. An existing edgekit.toml is never overwritten.
    """
    from ..config import FILE_NAME
    from ..errors import OutputError
    from ..model import load_model
    from ..profiles import resolve
    from ..report.text import clean
    from ..request_parsing import parse_targets
    from ..state import write_file

    path = Path.cwd() / FILE_NAME
    if path.exists():
        raise OutputError(f"{path} exists already", hint="edit it, or remove it and run edgekit init again")
    loaded = load_model(model, trust_model=trust_model)
    if sys.stdin.isatty() and not yes and not as_json:
        target = target or click.prompt("Target, device profile, alias or auto", default="auto", err=True)
        calib = calib or click.prompt("Calibration data (nothing: none yet)", default="", show_default=False, err=True) or None
        eval = eval or click.prompt("Labelled data (nothing: none yet)", default="", show_default=False, err=True) or None  # noqa: A001
    target = target or "auto"
    resolve(parse_targets(target))
    write_file(path, _encoded(configuration(loaded, target=target, calib=calib, evaluation=eval)))
    if as_json:
        print_json({"schema": "edgekit.init/1", "path": str(path)})
    else:
        click.echo(f"wrote {path}")
        click.echo(f"next: edgekit deploy {shlex.quote(clean(model))}")


def configuration(model: Model, *, target: str, calib: str | None, evaluation: str | None) -> str:
    """The text of a new ``edgekit.toml``: what is known is set, the rest stands there as comments with its default."""
    lines = [
        f"# Options of `edgekit deploy` in this folder, for {_comment(model.path.name)}. What is typed on the command line wins.",
        *(f"# input  {_tensor(spec)}" for spec in model.inputs),
        *(f"# output {_tensor(spec)}" for spec in model.outputs),
        "",
        "[deploy]",
        "# A target, device profile or alias (`edgekit targets` lists them), several separated by commas, or auto.",
        f"target = {_toml(target)}",
        "",
        "# Calibration data: .npz, a folder of .npz or .npy, a folder of images with preprocess.toml, or file.py:function.",
        f"calib = {_toml(calib)}" if calib else '# calib = "calibration/"',
        "# Labelled data of the same kinds with a metric, or file.py:function(predict).",
        f"eval = {_toml(evaluation)}" if evaluation else '# eval = "labelled/"',
        '# metric = "accuracy"',
        "",
        "# What may be lost, and what must hold.",
        '# max-drop = "1%"',
        "# min-agreement = 0.98",
        '# max-latency = "12ms"',
        '# objective = "latency"',
        "",
        "# Fix the sizes that the model leaves free.",
        *_shape_lines(model.inputs),
        "# threads = 1",
        '# budget = "10min"',
        "",
        "[timeouts]  # seconds",
        "# load = 120",
        "# round = 300",
    ]
    return "\n".join(lines) + "\n"


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as problem:
        from ..errors import UsageError

        shown = text.splitlines()[text.count("\n", 0, problem.start)]
        raise UsageError("a file's name that is not UTF-8 cannot stand in TOML", why=shown, hint="rename the file") from problem


def _shape_lines(inputs: tuple[TensorSpec, ...]) -> list[str]:
    free = [spec for spec in inputs if any(isinstance(size, str) for size in spec.shape)]
    example = [f"{spec.name}={'x'.join('1' if isinstance(size, str) else str(size) for size in spec.shape)}" for spec in free]
    return [f"# shape = [{', '.join(_toml(text) for text in example)}]" if example else '# shape = ["input=1x3x224x224"]']


def _tensor(spec: TensorSpec) -> str:
    return _comment(f"{spec.name}: {spec.dtype} [{', '.join(str(size) for size in spec.shape)}]")


def _comment(text: str) -> str:
    """A comment is one line, and TOML allows no control character in it."""
    from ..report.text import one_line

    return one_line(text)


def _toml(text: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
