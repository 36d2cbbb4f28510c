"""OpenVINO and NNCF, loaded on first use: quiet, without telemetry, and with errors of edgekit's own.

Both packages report their use through ``openvino_telemetry`` (on import already, and without asking) and keep an identifier in the
home folder. Both also work where that package is not installed, so it is hidden from them before they are imported.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from edgekit.errors import ModelError, not_importable

EXTRA = "openvino"
_TELEMETRY = "openvino_telemetry"
_NOT_CONVERTED = re.compile(r"^-- (?:No conversion rule found for operations|Conversion is failed for): (.+)$", re.MULTILINE)
_SOURCE_LOCATION = re.compile(r"(?:Check '.*' failed at|Exception from) src/\S+:(?:\d+:)?\s*")
_INTRODUCTION = re.compile(
    r"FrontEnd API failed|Model wasn't fully converted|Summary|While validating|Conversion is failed for|No conversion rule found"
    r"|\[ONNX Frontend\] Conversion failed for|\S+ with a message"
)
_LOG = logging.getLogger("edgekit_openvino")


def openvino() -> Any:
    """The package ``openvino``.

    Raises:
        DependencyError: it is not installed, or does not load.
    """
    return _load("openvino")


def nncf() -> Any:
    """The package ``nncf``.

    Raises:
        DependencyError: it is not installed, or does not load.
    """
    openvino()  # it must be silenced first; NNCF imports it
    return _load("nncf")


def versions() -> dict[str, str]:
    """The installed versions of both packages, from their metadata: nothing is imported. Empty where none is installed."""
    from importlib import metadata

    found = {}
    for name in ("nncf", "openvino"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _load(name: str) -> Any:
    switch_telemetry_off()
    logger_class = logging.getLoggerClass()
    try:
        with quiet():
            package = importlib.import_module(name)
    except ImportError as problem:
        raise not_importable(name, EXTRA, "the openvino target", problem) from problem
    finally:
        logging.setLoggerClass(logger_class)  # NNCF replaces it for the whole process
    logger = logging.getLogger(name)
    logger.handlers = [logging.NullHandler()]  # NNCF's writes to stdout
    logger.propagate = True
    return package


def switch_telemetry_off() -> None:
    """No event is sent and no file written by either package in this process from here on.

    Where the user's own program has loaded the telemetry package before, it is told that consent is declined.
    """
    loaded: Any = sys.modules.get(_TELEMETRY)
    if loaded is None:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # so that importing it raises ImportError
        return
    checker: Any = importlib.import_module(f"{_TELEMETRY}.utils.opt_in_checker")
    declined = checker.ConsentCheckResult.DECLINED
    checker.OptInChecker.check = lambda *_arguments, **_options: declined
    with contextlib.suppress(RuntimeError):  # raised when it has not been started: then it will start without consent
        loaded.Telemetry().consent = False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing that the vendors say reaches the terminal while the block runs; it goes to edgekit's log.

    NNCF draws its progress and its tables on stdout; edgekit's own progress is on stderr and stays visible.
    """
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for line in said.getvalue().splitlines():
                _LOG.info("%s", line.strip())


@contextlib.contextmanager
def as_model_errors(what: str, hint: str = "") -> Iterator[None]:
    """Whatever the vendors raise about a model becomes a ModelError that says ``what`` failed and why.

    Errors of edgekit's own (of the calibration data, say), a full disk and too little memory pass through.
    """
    from edgekit.errors import EdgekitError

    try:
        yield
    except (EdgekitError, MemoryError, OSError):
        raise
    except Exception as problem:  # both packages raise classes of their own without a common base
        operators = {name for names in _NOT_CONVERTED.findall(str(problem)) for name in names.split(", ")}
        if operators:
            raise ModelError(
                f"OpenVINO cannot convert operators of this model: {', '.join(sorted(operators))}",
                why=_reason(problem) or "it has no rule for them",
                hint="try another target",
            ) from problem
        raise ModelError(what, why=f"{type(problem).__name__}: {_reason(problem)}", hint=hint) from problem


def _reason(problem: BaseException) -> str:
    """What the vendors say, without the places in their sources and the lines that only introduce others."""
    lines = [_SOURCE_LOCATION.sub("", line).strip(" -:") for line in str(problem).splitlines()]
    said = [line for line in lines if line and not _INTRODUCTION.match(line)]
    return "; ".join(dict.fromkeys(said))[:300]
