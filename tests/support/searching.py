"""A search without devices: built candidates and comparisons made by hand, and a session that only forgets workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.building import Built
from edgekit.fidelity import Comparison, OutputKind
from edgekit.gates import Gates
from edgekit.plan import Planned
from edgekit.request import Drop
from edgekit.search import Setting
from edgekit.types import Artifact, Candidate, Runner, Site


@dataclass
class Session:
    closed: list[str] = field(default_factory=list)

    def close_worker(self, key: str) -> None:
        self.closed.append(key)


class Quiet:
    """Progress that is not shown."""

    def stage(self, text: str) -> None: ...
    def advance(self, done: int, total: int, what: str) -> None: ...
    def note(self, text: str) -> None: ...


def comparison(noise: float, *, agreeing: float = 1.0) -> Comparison:
    """Of outputs with ``noise`` times the signal's power, and an agreement of ``agreeing``."""
    made = Comparison({"y": OutputKind("argmax")})
    signal = np.float32([[0.0, 1.0]])
    made.add({"y": signal}, {"y": signal})
    made.signal, made.noise, made.equal["y"], made.total["y"] = 1.0, noise, agreeing * 100, 100.0
    return made


def built(target: Any, site: Site, candidate: Candidate) -> Built:
    artifact = Artifact(files={}, entry="model", io=())
    return Built(Planned(target, site, candidate), artifact, Path("nowhere"), Runner((), "device", (), ()), from_cache=False)


def setting(session: Session, **more: Any) -> Setting:
    return Setting(
        session=session,  # type: ignore[arg-type]  # only what the parts under test ask of it
        gates=Gates(Drop(0.01, relative=True)),
        held_out=(),  # type: ignore[arg-type]
        synthetic=False,
        evaluation=more.get("evaluation"),
        seen=frozenset(),
        scratch=Path("nowhere"),
        progress=Quiet(),
    )
