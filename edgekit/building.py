"""From planned candidates to files, through the cache of built candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .types import Artifact, BuildData, Runner
from .values import to_json

if TYPE_CHECKING:
    from .model import Model
    from .plan import Planned

CANDIDATE_FORMAT = 2
TOOLS = ("edgekit-sdk", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Built:
    """An artifact in its folder, with the code that runs it. ``runner.options`` hold the effective run options."""

    planned: Planned
    artifact: Artifact
    folder: Path
    runner: Runner
    from_cache: bool

    @property
    def id(self) -> str:
        return self.planned.id

    @property
    def size_bytes(self) -> int:
        return self.artifact.size_bytes(self.folder)


def tool_versions() -> dict[str, str]:
    """Versions of what every build and reference depends on."""
    return {name: metadata.version(name) for name in TOOLS}


def build(model: Model, planned: Planned, data: BuildData | None, *, threads: int) -> Built:
    """Builds one candidate, or takes it from the cache.

    Raises:
        EdgekitError: whatever the target says is wrong with the model or missing on this machine.
    """
    from .cache import get_or_build

    target, candidate, site = planned.target, planned.candidate, planned.site
    key = {
        "format": CANDIDATE_FORMAT,
        "target": [target.name, target.version],
        "model": model.fingerprint,
        "candidate": to_json(candidate),
        "fit": data.manifest_sha256 if data is not None else None,
        "tools": tool_versions(),
        "site": target.build_key(site),
    }
    artifact, folder, hit = get_or_build(key, lambda out: target.build(model, candidate, data, site, out))
    return Built(planned, artifact, folder, runner_for(planned, artifact, threads=threads), hit)


def runner_for(planned: Planned, artifact: Artifact, *, threads: int) -> Runner:
    """The target's runner with the candidate's run options; ``threads`` holds unless the candidate has its own."""
    runner = planned.target.runner(artifact, planned.site)
    return replace(runner, options={**runner.options, "threads": threads, **planned.candidate.run_options})
