"""One tree of errors. Every class has an exit code; every instance says what happened, why, and what to do instead.

Exceptions of vendors are mapped to this tree at the edge (in a target, a transport or a frontend), with the
original chained by ``raise ... from``. Anything outside this tree that reaches the command line is a bug of edgekit's and is
shown with its traceback (exit 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .types import DeployReport


class EdgekitError(Exception):
    """The root of the tree.

    Args:
        what: what happened, one line, no trailing full stop.
        why: the cause, as far as it is known; may be empty.
        hint: what the user can do instead; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        text = self.what
        if self.why:
            text += f": {self.why}"
        if self.hint:
            text += f" ({self.hint})"
        return text

    def to_json(self) -> dict[str, Any]:
        """The ``edgekit.error/1`` document that ``--json`` prints on a failure."""
        return {
            "schema": "edgekit.error/1",
            "exit_code": self.exit_code,
            "what": self.what,
            "why": self.why,
            "hint": self.hint,
        }


class UsageError(EdgekitError):
    """The request itself makes no sense: an unknown option, target, key or a contradiction."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A target, profile, metric or key that does not exist; the hint names the nearest ones."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        import difflib

        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        shown = ", ".join(near or sorted(known)) or "none"
        super().__init__(
            f"unknown {kind} {name!r}",
            hint=f"did you mean: {shown}" if near else f"known: {shown}",
        )
        self.name = name


class DependencyError(EdgekitError):
    """A Python package, system tool or toolchain that this step needs is missing."""

    exit_code = 3


class MissingExtraError(DependencyError):
    """A target's vendor package is not installed; names the extra that brings it."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{package} is not installed",
            why=f"{needed_for} needs it",
            hint=f"pip install 'edgekit-sdk[{extra}]'",
        )


def not_importable(package: str, extra: str, needed_for: str, problem: ImportError) -> DependencyError:
    """The error for a vendor's package that cannot be imported: not there, or there and in need of a library that is not."""
    if problem.path is None:  # otherwise that of the compiled module that the system could not load
        return MissingExtraError(package, extra, needed_for)
    return DependencyError(
        f"{package} is installed, but does not load", why=str(problem), hint="its libraries do not fit this system, or are damaged"
    )


class ModelError(EdgekitError):
    """The model file is missing, broken, unsafe or not supported."""

    exit_code = 4


class DataError(EdgekitError):
    """Calibration or evaluation data are missing, broken, or do not fit the model."""

    exit_code = 4


class OutputError(EdgekitError):
    """The output cannot be written: no permission, no space, or something is already there."""

    exit_code = 4


class BudgetError(EdgekitError):
    """No candidate met the budget: latency, quality or an explicit precision that every target refuses.

    ``report`` has the evidence when the search came as far as one.
    """

    exit_code = 5
    report: DeployReport | None = None


class DeviceUnavailableError(EdgekitError):
    """The device cannot be reached, or somebody else holds it."""

    exit_code = 6


class DeviceRunError(EdgekitError):
    """Something failed on the device: the runtime, its memory, its disk."""

    exit_code = 7


class IntegrityError(EdgekitError):
    """A hash, signature or manifest does not match; nothing of it was used."""

    exit_code = 8


def error_from_json(document: Mapping[str, Any]) -> EdgekitError:
    """The error that an ``edgekit.error/1`` document describes (its class by exit code)."""
    classes = {
        cls.exit_code: cls
        for cls in (
            UsageError, DependencyError, ModelError, BudgetError,
            DeviceUnavailableError, DeviceRunError, IntegrityError, EdgekitError,
        )
    }  # fmt: skip
    cls = classes.get(int(document["exit_code"]), EdgekitError)
    return cls(str(document["what"]), why=str(document.get("why", "")), hint=str(document.get("hint", "")))
