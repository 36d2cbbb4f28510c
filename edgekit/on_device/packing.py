"""Writing ``deploy-on-device.pyz``: the agent, the runners, the program of this package, and the plan of what to try."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..devices.plan import BenchPlan, Timeouts
from ..devices.zipapp import agent_sources, packed, runner_sources
from ..types import Artifact, Candidate, Runner
from ..values import to_json
from .plan import PLAN, SCHEMA

if TYPE_CHECKING:
    from ..fidelity import OutputKind
    from ..types import JSON, Array

PROGRAM = "deploy-on-device.pyz"
GOLDEN_INPUTS, GOLDEN_OUTPUTS = "golden/on-device-inputs.npz", "golden/on-device-outputs.npz"
_PACKAGE = "deploy"  # a copy of edgekit's tree in the zipapp, under a name that no runner may take for edgekit
_TRAVELS = ("contract.py", "errors.py", "fidelity.py", "measure/__init__.py", "measure/loops.py", "measure/statistics.py")
_PROGRAM_MODULES = ("__init__.py", "client.py", "deciding.py", "plan.py", "program.py", "running.py", "telling.py")
_MAIN = b"""import sys

if sys.version_info < (3, 8):
    sys.exit("deploy-on-device needs Python 3.8 or later, this is %d.%d" % sys.version_info[:2])

if sys.argv[1:2] in (["--worker"], ["--guardian"]):
    from deploy.agent.main import main

    if sys.argv[1] == "--guardian":
        del sys.argv[1]
    sys.exit(main())

from deploy.on_device.program import main

sys.exit(main(sys.argv[0], sys.argv[1:]))
"""


@dataclass(frozen=True)
class MayWin:
    """A candidate that held the gates on the host, or that the others are compared with (``is_float``).

    ``agreement``, ``sqnr_db``: with float on the golden inputs, on the host; None where they have no value.
    """

    candidate: Candidate
    artifact: Artifact
    folder: Path
    runner: Runner
    is_float: bool
    agreement: float | None
    sqnr_db: float | None


@dataclass(frozen=True)
class OnDevice:
    """What a verdict on a device at somebody else's needs: written into a bundle by :func:`edgekit.bundle.write_bundle`.

    Attributes:
        candidates: those that may win, float among them.
        inputs, outputs: synthetic feeds, and what float makes of each on the host; never the user's data.
        kinds: how agreement is judged on each output.
        needed_agreement: the gate on it.
        faster: the lower bound of a speed-up over float must exceed this.
        objective, has_chosen_precision: as of the request.
    """

    candidates: tuple[MayWin, ...]
    inputs: tuple[Mapping[str, Array], ...]
    outputs: tuple[Mapping[str, Array], ...]
    kinds: Mapping[str, OutputKind]
    needed_agreement: float
    faster: float
    objective: str
    has_chosen_precision: bool


def numbered(feeds: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """All arrays of several feeds as members of one archive, ``number/name``."""
    return {f"{number}/{name}": array for number, feed in enumerate(feeds) for name, array in feed.items()}


def program(
    found: OnDevice, placed: Mapping[str, Mapping[str, str]], hashes: Mapping[str, str], *, model: str, profile: str
) -> bytes:
    """The zipapp's bytes; equal contents give equal bytes.

    Args:
        placed: {candidate id: {file of its artifact: path in the bundle}}.
        hashes: {path in the bundle: sha256}, of the golden files too.
        model, profile: their names, to be shown.

    Raises:
        UsageError: a runner whose code cannot be packed.
    """

    def planned_file(path: str) -> dict[str, str]:
        return {"path": path, "sha256": hashes[path]}

    runners = {each.candidate.target: each.runner for each in found.candidates}
    document: dict[str, JSON] = {
        "schema": SCHEMA,
        "edgekit": metadata.version("edgekit-sdk"),
        "model": model,
        "profile": profile,
        "objective": found.objective,
        "has_chosen_precision": found.has_chosen_precision,
        "faster": found.faster,
        "needed_agreement": found.needed_agreement,
        "requires": sorted({name for runner in runners.values() for name in ("numpy", *runner.requires)}),
        "outputs": {name: [kind.kind, kind.axis] for name, kind in found.kinds.items()},
        "golden_inputs": planned_file(GOLDEN_INPUTS),
        "golden_outputs": planned_file(GOLDEN_OUTPUTS),
        "n_golden": len(found.inputs),
        "bench": asdict(BenchPlan()),
        "timeouts": asdict(Timeouts()),
        "candidates": [
            {
                "id": each.candidate.id,
                "scheme": each.candidate.scheme.slug,
                "target": each.candidate.target,
                "is_float": each.is_float,
                "entry": each.runner.entry,
                "options": to_json(each.runner.options),
                "files": {name: planned_file(placed[each.candidate.id][name]) for name in each.runner.files or each.artifact.files},
                "io": to_json(each.artifact.io),
                "needs_device_build": each.artifact.needs_device_build,
                "size_bytes": each.artifact.size_bytes(each.folder),
                "host_agreement": each.agreement,
                "host_sqnr_db": each.sqnr_db,
            }
            for each in found.candidates
        ],
    }
    members = {
        "__main__.py": _MAIN,
        PLAN: (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode(),
        **sources(),
        **runner_sources(runners),
    }
    return packed(members)


def sources() -> dict[str, bytes]:
    """The modules that travel, by their path in the zipapp: edgekit's tree under another name, with types for an old Python."""
    root = resources.files("edgekit")
    members = {f"{_PACKAGE}/{name}": data for name, data in agent_sources().items()}
    members |= {f"{_PACKAGE}/{name}": (root / name).read_bytes() for name in _TRAVELS}
    members |= {f"{_PACKAGE}/on_device/{name}": (root / "on_device" / name).read_bytes() for name in _PROGRAM_MODULES}
    return members | {
        f"{_PACKAGE}/__init__.py": b"",
        f"{_PACKAGE}/types.py": (root / "on_device" / "guest_types.py").read_bytes(),
    }
