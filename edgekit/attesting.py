"""Evidence about what is handed over, where its target can give some: too slow to gather for everything that is tried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .targets import Attesting

if TYPE_CHECKING:
    from .building import Built
    from .types import CandidateReport


def attested(built: Built) -> Built:
    """``built`` with its target's evidence in the artifact's provenance; unchanged where the target gives none."""
    target = built.planned.target
    if not isinstance(target, Attesting):
        return built
    evidence = target.attest(built.folder, built.artifact, built.planned.site)
    return replace(built, artifact=replace(built.artifact, provenance={**built.artifact.provenance, **evidence}))


def attest(built: dict[str, Built], keys: Collection[str], rows: Sequence[CandidateReport]) -> list[CandidateReport]:
    """Replaces ``built[key]`` by what is attested, for each of ``keys``; the rows with the evidence in their provenance."""
    for key in [key for key in built if key in keys]:
        built[key] = attested(built[key])
    return [
        replace(row, provenance={**row.provenance, **built[row.id].artifact.provenance})
        if row.id in built and row.id in keys
        else row
        for row in rows
    ]
