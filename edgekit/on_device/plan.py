"""What the program is to do, as the host wrote it (``plan.json`` in the zipapp)."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..types import TensorMap, TensorSpec

PLAN = "plan.json"
SCHEMA = "edgekit.on-device-plan/1"


class PlannedFile(NamedTuple):
    """One file of the bundle: where it lies there, and what it must hash to."""

    path: str
    sha256: str


class PlannedCandidate(NamedTuple):
    """One candidate that may win here.

    Attributes:
        is_float: the target's own full precision, which the others must beat.
        files: {name in the artifact: file}; what the runner is given.
        host_agreement, host_sqnr_db: its closeness to float on the golden inputs where the bundle was made; None where it has no
            value.
    """

    id: str
    scheme: str
    target: str
    is_float: bool
    entry: str
    options: Dict[str, Any]
    files: Dict[str, PlannedFile]
    io: Tuple[TensorMap, ...]
    needs_device_build: bool
    size_bytes: int
    host_agreement: Optional[float]
    host_sqnr_db: Optional[float]


class OnDevicePlan(NamedTuple):
    """The whole of it. ``outputs``: {output: (kind of agreement, axis of the classes)}. ``bench``: a plan of the agent's."""

    edgekit: str
    model: str
    profile: str
    objective: str
    has_chosen_precision: bool
    faster: float
    needed_agreement: float
    requires: Tuple[str, ...]
    outputs: Dict[str, Tuple[str, int]]
    golden_inputs: PlannedFile
    golden_outputs: PlannedFile
    n_golden: int
    bench: Dict[str, Any]
    timeouts: Dict[str, float]
    candidates: Tuple[PlannedCandidate, ...]

    def files(self) -> List[PlannedFile]:
        """Every file of the bundle that is used, once."""
        named = [self.golden_inputs, self.golden_outputs]
        for candidate in self.candidates:
            named += candidate.files.values()
        return sorted(set(named))


def read_plan(text: str) -> OnDevicePlan:
    """The plan from its JSON, which this edgekit wrote itself.

    Raises:
        ValueError: it is of another version.
    """
    document = json.loads(text)
    if document.pop("schema") != SCHEMA:
        raise ValueError("not a plan of this version")
    document["candidates"] = tuple(_candidate(each) for each in document["candidates"])
    document["outputs"] = {name: (str(kind), int(axis)) for name, (kind, axis) in document["outputs"].items()}
    document["requires"] = tuple(document["requires"])
    for name in ("golden_inputs", "golden_outputs"):
        document[name] = PlannedFile(**document[name])
    return OnDevicePlan(**document)


def _candidate(document: Dict[str, Any]) -> PlannedCandidate:
    files = {name: PlannedFile(**each) for name, each in document["files"].items()}
    return PlannedCandidate(**{**document, "files": files, "io": tuple(_tensor_map(each) for each in document["io"])})


def _tensor_map(document: Dict[str, Any]) -> TensorMap:
    permutation = document["permutation"]
    return TensorMap(
        role=document["role"],
        original=_spec(document["original"]),
        artifact=_spec(document["artifact"]),
        permutation=None if permutation is None else tuple(permutation),
        scale=document["scale"],
        zero_point=document["zero_point"],
    )


def _spec(document: Dict[str, Any]) -> TensorSpec:
    return TensorSpec(document["name"], document["dtype"], tuple(document["shape"]))
