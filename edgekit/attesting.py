"""Evidence about what is handed over, where its target can give some."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .targets import Attesting

if TYPE_CHECKING:
    from .building import Built


def attested(built: Built) -> Built:
    """``built`` with its target's evidence in the artifact's provenance; unchanged where the target gives none."""
    target = built.planned.target
    if not isinstance(target, Attesting):
        return built
    evidence = target.attest(built.folder, built.artifact, built.planned.site)
    return replace(built, artifact=replace(built.artifact, provenance={**built.artifact.provenance, **evidence}))
