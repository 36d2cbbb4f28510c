"""A model against the rules of a target's runtime, without building or sending anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import ModelError, UsageError
from .paths import kind_of
from .profiles import resolve
from .targets import Checking, RuleFinding, get_target
from .types import JSON, Site
from .values import to_json


@dataclass(frozen=True)
class CheckedModel:
    """The findings of the rules of ``target`` on ``profile``, errors and warnings, in graph order."""

    path: Path
    target: str
    profile: str
    findings: tuple[RuleFinding, ...]

    @property
    def errors(self) -> tuple[RuleFinding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def to_json(self) -> dict[str, JSON]:
        """The document ``edgekit.check-model/1``."""
        return {
            "schema": "edgekit.check-model/1",
            "path": str(self.path),
            "target": self.target,
            "profile": self.profile,
            "accepted": not self.errors,
            "findings": [to_json(finding) for finding in self.findings],
        }


def check_model(path: Path, name: str) -> CheckedModel:
    """Check the ``.onnx`` file ``path`` as it is; a ``.pt2`` is exported first.

    Args:
        name: a target plugin, or a device profile or its alias, which stands for its first target.

    Raises:
        UnknownNameError, DependencyError: as for :func:`edgekit.profiles.resolve`.
        UsageError: the target has no rules to check, or the file is of another format.
        ModelError: the file is missing, or no model.
    """
    (target_name, profile), *_ = resolve([name])
    target = get_target(target_name)
    if not isinstance(target, Checking):
        raise UsageError(f"target {target_name!r} has no rules to check", hint="build the model for it: edgekit build")
    if path.suffix not in (".onnx", ".pt2"):
        raise UsageError(f"{path.name} is not an .onnx or .pt2 model", hint="a bundle is checked without --target")
    if kind_of(path, ModelError) != "file":
        raise ModelError(f"there is no file {path}")
    onnx_path = path
    if path.suffix == ".pt2":
        from .model import load_model

        onnx_path = load_model(path).onnx_path
    return CheckedModel(path, target_name, profile.name, tuple(target.check(onnx_path, Site(profile, None))))
