"""``edgekit.toml`` in the working directory: defaults for a project, and the time-outs. See docs/configuration.md.

What is typed on the command line wins over a bundle given with ``--from``, that over ``edgekit.toml``, that over the defaults.
Every value keeps where it came from: a code reference from a file that somebody else may have written is shown, not run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from .devices.plan import Timeouts
from .errors import UnknownNameError, UsageError
from .request import CODE_FIELDS, OPTIONS, DeployRequest, field_of, is_code_reference, option_of
from .request_parsing import parse_request

FILE_NAME = "edgekit.toml"
MAX_BYTES = 1 << 20
Origin = Literal["command line", "bundle", "edgekit.toml", "default"]

#: Options of a run that do not change its result, with the type each has in the file.
RUN_OPTIONS: dict[str, type] = {"output": str, "install": str, "json": bool, "dry_run": bool, "verbose": bool}
#: A file that comes with a checkout must not be able to say these.
COMMAND_LINE_ONLY = {
    "allow_code": "it would let a downloaded folder run its own code",
    "trust_model": "it would let a downloaded folder run its own code",
    "force": "it would let a downloaded folder overwrite others",
    "from": "a bundle to repeat is chosen for each run",
    "wait": "lease = SECONDS in [timeouts] says it for every run",
    "offline": "the variable EDGEKIT_OFFLINE=1 says it for every run",
    "model": "the model is an argument",
}


@dataclass(frozen=True)
class Config:
    """What ``edgekit.toml`` says; all empty where there is none.

    ``deploy``: {field name of DeployRequest: value as it stands in the file}; ``run``: the options of RUN_OPTIONS that it sets.
    """

    path: Path | None = None
    deploy: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True)
class Resolved:
    """A request, and where each of its values came from: {field name: origin}."""

    request: DeployRequest
    origins: Mapping[str, Origin]


def load_config(folder: Path) -> Config:
    """The configuration in ``folder`` (the working directory).

    Raises:
        UsageError: not readable, not TOML (says the line), an unknown section or key (names the nearest), or a wrong value.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return Config()
    document = _read(path)
    for section, table in document.items():
        if section not in ("deploy", "timeouts"):
            raise UnknownNameError(f"section in {path}", section, ["deploy", "timeouts"])
        if not isinstance(table, dict):
            raise UsageError(f"{section!r} in {path} is not a section", hint=f"write [{section}] on a line of its own")
    deploy, run = _deploy_section(document.get("deploy", {}), path)
    return Config(path, deploy, run, _timeouts(document.get("timeouts", {}), path))


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"{path} is over {MAX_BYTES} bytes", hint="it is meant to hold a few options")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as problem:
        raise UsageError(f"cannot read {path}", why=problem.strerror or str(problem)) from problem
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path} is not UTF-8 text", why=f"byte {problem.start}") from problem
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise UsageError(f"{path} is not valid TOML", why=str(problem)) from problem


def _deploy_section(table: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    names = {option_of(name) for name in OPTIONS} | set(RUN_OPTIONS)
    deploy: dict[str, Any] = {}
    run: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in COMMAND_LINE_ONLY:
            raise UsageError(f"{key!r} may not stand in {path}", why=COMMAND_LINE_ONLY[name], hint="type it on the command line")
        if name not in names:
            raise UnknownNameError(f"key in [deploy] of {path}", key, sorted(n.replace("_", "-") for n in names))
        if name in deploy or name in run:
            raise UsageError(f"{key!r} stands twice in {path}", hint="once with - or with _ is enough")
        if name not in RUN_OPTIONS:
            deploy[name] = value
        elif type(value) is RUN_OPTIONS[name]:
            run[name] = value
        else:
            kind = "text" if RUN_OPTIONS[name] is str else "true or false"
            raise UsageError(f"{key} = {value!r} in {path} cannot be read", hint=f"write {kind}")
    try:
        parse_request({"model": "any", **deploy})
    except UsageError as problem:
        raise UsageError(f"{path}: {problem.what}", why=problem.why, hint=problem.hint) from problem
    return deploy, run


def _timeouts(table: Mapping[str, Any], path: Path) -> Timeouts:
    known = {f.name.removesuffix("_s"): f.name for f in fields(Timeouts)}
    values: dict[str, float] = {}
    for key, value in table.items():
        name = key.replace("-", "_").removesuffix("_s")
        if name not in known:
            raise UnknownNameError(f"key in [timeouts] of {path}", key, [n.replace("_", "-") for n in known])
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 86_400:
            raise UsageError(
                f"{key} = {value!r} in [timeouts] of {path} cannot be read", hint="write seconds, above 0 and at most a day"
            )
        values[known[name]] = float(value)
    return Timeouts(**values)


def resolve(command_line: Mapping[str, Any], config: Config, *, bundle: DeployRequest | None = None) -> Resolved:
    """The request from all its sources.

    ``command_line``: {field name: what was typed}, None where nothing was. ``bundle``: the request of the bundle given with
    ``--from``, which is complete and therefore leaves nothing to ``edgekit.toml``.

    Raises:
        UsageError: a value that cannot be read, or no model.
    """
    typed = {field_of(name): value for name, value in command_line.items() if value is not None}
    from_bundle = {} if bundle is None else {f.name: getattr(bundle, f.name) for f in fields(bundle)}
    from_file = {field_of(name): value for name, value in config.deploy.items()} if bundle is None else {}
    origins: dict[str, Origin] = {f.name: "default" for f in fields(DeployRequest)}
    origins.update(dict.fromkeys(from_file, "edgekit.toml"))
    origins.update(dict.fromkeys(from_bundle, "bundle"))
    origins.update(dict.fromkeys(typed, "command line"))
    return Resolved(parse_request({**from_file, **from_bundle, **typed}), origins)


def require_code_allowed(resolved: Resolved, *, allow_code: bool) -> None:
    """Refuses code references that nobody typed (CONTRACTS 9.1). Nothing has been imported when it does.

    Raises:
        UsageError: shows the reference, where it comes from, and how to let it run.
    """
    for name in CODE_FIELDS:
        reference = getattr(resolved.request, name)
        origin = resolved.origins[name]
        if is_code_reference(reference) and origin in ("edgekit.toml", "bundle") and not allow_code:
            raise UsageError(
                f"{name} = {reference!r} comes from {'the bundle' if origin == 'bundle' else 'edgekit.toml'} and was not run",
                why="a code reference runs only when it is typed on the command line",
                hint=f"read that file, then add --{name} {reference}, or --allow-code",
            )
