"""The artifacts that are measured side by side: the original in float, what deploys chose, what the peers' recipes made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgekit.building import Built, build, runner_for
from edgekit.errors import UnknownNameError
from edgekit.manifest import check_bundle
from edgekit.model import Model
from edgekit.plan import Planned, reference_plan
from edgekit.schemes import AsIs
from edgekit.targets import get_target
from edgekit.types import JSON, Artifact, Candidate, Feed, Runner, Site, TensorMap, TensorSpec, sha256_file
from edgekit.values import from_json

from .records import Maker

REFERENCE = "ONNX Runtime float32"
TIMEOUT_S = 1800.0
LONGEST_REASON = 240


@dataclass(frozen=True)
class Peer:
    """Another tool's recipe. ``recipes``: of ``module``; the second is tried where the first raises, and that is said."""

    name: str
    target: str
    recipes: tuple[str, ...]
    module: str = "peer_recipes"
    maker: Maker = "peer"


PEERS = (
    Peer("onnxruntime static QDQ", "onnx", ("onnxruntime_static",)),
    Peer("onnxruntime dynamic int8", "onnx", ("onnxruntime_dynamic_int8", "onnxruntime_dynamic_int8_prepared")),
    Peer("onnxruntime dynamic uint8", "onnx", ("onnxruntime_dynamic_uint8", "onnxruntime_dynamic_uint8_prepared")),
    Peer("OpenVINO default precision", "openvino", ("openvino_default",)),
    Peer("NNCF default int8", "openvino", ("nncf_default",)),
    Peer("ai-edge-quantizer static int8", "tflite", ("litert_static",), "tflite_recipes"),
    Peer("ai-edge-quantizer dynamic int8", "tflite", ("litert_dynamic",), "tflite_recipes"),
)


@dataclass(frozen=True)
class Contestant:
    """An artifact by name, or why there is none."""

    name: str
    maker: Maker
    built: Built | None = None
    targets: tuple[str, ...] = ()
    detail: str = ""
    fails: str = ""


def reference(model: Model, site: Site) -> Contestant:
    """What edgekit itself compares everything with."""
    return Contestant(REFERENCE, "reference", build(model, reference_plan(model, site), None, threads=1))


def from_bundle(folder: Path, site: Site) -> Built:
    """The artifact of a bundle with the runner of the installed target, as ``edgekit profile`` takes it."""
    bundle = check_bundle(folder).bundle
    assert bundle.artifact is not None
    assert bundle.candidate is not None
    planned = Planned(get_target(bundle.candidate.target), site, bundle.candidate)
    return Built(planned, bundle.artifact, folder / "artifact", runner_for(planned, bundle.artifact, threads=1), from_cache=False)


# ---------------------------------------------------------------- peers
def write_calibration(feeds: Iterable[Feed], path: Path) -> None:
    """All feeds in one archive, members named ``number/input``: what a recipe's own process reads."""
    arrays = {f"{number}/{name}": array for number, feed in enumerate(feeds) for name, array in feed.items()}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes every keyword for its own


def write_at_shape(model: Path, shape: dict[str, tuple[int, ...]], path: Path) -> None:
    """The model with its inputs declared at ``shape``, and nothing else said of sizes: what a peer is given.

    edgekit gets the same sizes by ``--shape``. Some of these files declare sizes that they are not used at.
    """
    proto = onnx.load(model)
    for entry in proto.graph.input:
        if entry.name in shape:
            sizes = entry.type.tensor_type.shape
            del sizes.dim[:]
            for size in shape[entry.name]:
                sizes.dim.add(dim_value=size)
    for entry in proto.graph.output:
        for dimension in entry.type.tensor_type.shape.dim:
            dimension.Clear()
    del proto.graph.value_info[:]
    onnx.save(proto, path)


def build_peer(peer: Peer, model: Model, given: Path, calibration: Path, site: Site, scratch: Path) -> Contestant:
    """Runs a peer's recipe in a process of its own; what it raises is its result."""
    try:
        get_target(peer.target)
    except UnknownNameError as problem:
        return Contestant(peer.name, peer.maker, fails=f"there is nothing to run it with: {problem.what}")
    reasons: list[str] = []
    for recipe in peer.recipes:
        out = scratch / recipe
        out.mkdir()
        made = run_recipe(peer.module, recipe, given, calibration, out)
        if "fails" not in made:
            precision = made["options"].get("inference_precision")
            detail = f"runs in {precision}" if precision else ""
            if reasons:
                detail = f"after quant_pre_process; without it: {reasons[0]}"
            return Contestant(peer.name, peer.maker, _wrap(peer.target, model, made, out, site), detail=detail)
        reasons.append(made["fails"])
    return Contestant(peer.name, peer.maker, fails="; after quant_pre_process: ".join(reasons))


def run_recipe(module: str, recipe: str, model: Path, calibration: Path, out: Path) -> dict[str, Any]:
    """What the recipe says that it made; ``fails`` says why there is nothing."""
    command = [sys.executable, "-m", f"bench_parts.{module}", recipe, str(model), str(calibration), str(out)]
    scripts, others = str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([scripts, others] if others else [scripts])}
    try:
        done = subprocess.run(
            command, cwd=out, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"fails": f"not finished after {TIMEOUT_S / 60:.0f} minutes"}
    last = done.stdout.strip().rpartition("\n")[2]
    try:
        made = json.loads(last)
    except ValueError:
        made = None
    if not isinstance(made, dict) or (done.returncode != 0 and "fails" not in made):
        said = done.stderr.strip().rpartition("\n")[2]
        made = {"fails": f"the process ended with {done.returncode}" + (f": {said}" if said else "")}
    if "fails" in made:
        made["fails"] = _short(made["fails"])
    return made


def _short(reason: str) -> str:
    reason = " ".join(reason.split())
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 3] + "..."


def _wrap(target: str, model: Model, made: dict[str, Any], out: Path, site: Site) -> Built:
    """A peer's files as an artifact that the target's own device code runs, so that the loop is the same for all."""
    ports: list[list[str]] | None = made.get("ports")
    specs = {spec.name: spec for spec in (*model.inputs, *model.outputs)}
    stored = [from_json(TensorMap, tensor) for tensor in made.get("io", ())]
    artifact = Artifact(
        files={path.relative_to(out).as_posix(): sha256_file(path) for path in sorted(out.rglob("*")) if path.is_file()},
        entry=made["entry"],
        io=tuple(replace(tensor, original=specs[tensor.original.name]) for tensor in stored)
        or (
            *(_mapped("input", spec, ports) for spec in model.inputs),
            *(_mapped("output", spec, ports) for spec in model.outputs),
        ),
    )
    plugin = get_target(target)
    code = Path(sys.modules[type(plugin).__module__].__file__ or "").with_name("device.py")
    options: dict[str, JSON] = {"entry": made["entry"], "threads": 1, **made["options"]}
    runner = Runner(code=(code,), entry="device", requires=(), files=tuple(sorted(artifact.files)), options=options)
    return Built(Planned(plugin, site, Candidate(target, AsIs())), artifact, out, runner, from_cache=False)


def _mapped(role: Any, spec: TensorSpec, ports: list[list[str]] | None) -> TensorMap:
    """A port may have several names; the device code calls it by the first in alphabetical order."""
    name = next((names[0] for names in ports or () if spec.name in names), spec.name)
    return TensorMap(role, spec, TensorSpec(name, spec.dtype, spec.shape))
