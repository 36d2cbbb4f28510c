"""Build, compare and measure every candidate of the plan on this machine, through the agent."""

from __future__ import annotations

import array
import os
import sys
import zipfile
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from ..agent.frames import Frame
from ..agent.tensors import decode, encode
from ..contract import to_artifact, to_original
from ..fidelity import Comparison, OutputKind
from .client import LocalAgent, failure_of
from .deciding import Seen, refusal
from .plan import OnDevicePlan, PlannedCandidate, PlannedFile

Tell = Callable[[str], None]
PURPOSE = "deploy-on-device"


class Found(NamedTuple):
    """What came of a run: the device's facts, the candidates in the plan's order, and what the runner of each said of itself."""

    facts: Dict[str, Any]
    seen: List[Seen]
    told: Dict[str, Dict[str, Any]]
    bench: Dict[str, Any]


def run(agent: LocalAgent, plan: OnDevicePlan, folder: str, tell: Tell) -> Found:
    """Everything that a verdict needs, in one session of the agent.

    Args:
        folder: the bundle.
        tell: gets a line a step.

    Raises:
        Refused: somebody else holds the device (``busy``), a file is not what the bundle says (``integrity``), the disk is full
            (``disk``).
        AgentGone: the agent ended.
    """
    facts: Dict[str, Any] = dict(agent.request("probe", {}).fields["facts"])
    agent.request("lease", {"hold": True, "purpose": PURPOSE})
    tell("taking in %d files" % len(plan.files()))
    _take_in(agent, plan.files(), folder)
    told: Dict[str, Dict[str, Any]] = {}
    compared: Dict[str, Seen] = {}
    for number, candidate in enumerate(plan.candidates, 1):
        tell("%s (%d of %d): loading" % (candidate.id, number, len(plan.candidates)))
        compared[candidate.id] = _compare(agent, plan, candidate, folder, told, tell)
    right = [candidate for candidate in plan.candidates if not compared[candidate.id].refused]
    bench: Dict[str, Any] = {}
    if right:
        tell("measuring %d candidates in turn" % len(right))
        bench = _measure(agent, plan, right, folder, compared)
        for key, measured in bench["measured"].items():
            told[key].update(measured)
    return Found(facts, [compared[candidate.id] for candidate in plan.candidates], told, bench)


def _take_in(agent: LocalAgent, files: List[PlannedFile], folder: str) -> None:
    """Into the agent's store, where each is compared with its hash."""
    sizes = {each.sha256: os.stat(os.path.join(folder, each.path)).st_size for each in files}
    missing = agent.request("need", {"sizes": sizes}).fields["missing"]
    for each in files:
        if each.sha256 in missing:
            agent.request("put", {"sha256": each.sha256, "path": os.path.abspath(os.path.join(folder, each.path))})


def _compare(
    agent: LocalAgent, plan: OnDevicePlan, candidate: PlannedCandidate, folder: str, told: Dict[str, Dict[str, Any]], tell: Tell
) -> Seen:
    """The candidate beside the golden outputs; it stays open when it is right."""
    request = {
        "key": candidate.id,
        "target": candidate.target,
        "entry": candidate.entry,
        "files": {name: each.sha256 for name, each in candidate.files.items()},
        "options": candidate.options,
    }

    def on_event(event: Frame) -> None:
        if event.op == "progress" and event.fields.get("message"):
            tell("%s: %s" % (candidate.id, event.fields["message"]))

    if candidate.needs_device_build:
        tell("%s: building, which may take minutes" % candidate.id)
        failure = failure_of(agent.request("prepare", {**request, "timeout_s": plan.timeouts["prepare_s"]}, on_event=on_event))
        if failure is not None:
            return Seen(candidate, "it cannot be built here (%s): %s" % (failure["kind"], failure["message"]))
    opened = agent.request("open", {**request, "timeout_s": plan.timeouts["load_s"]})
    failure = failure_of(opened)
    if failure is not None:
        return Seen(candidate, "it does not load here (%s): %s" % (failure["kind"], failure["message"]))
    told[candidate.id] = dict(opened.fields)
    comparison = Comparison({name: OutputKind(kind, axis) for name, (kind, axis) in plan.outputs.items()})  # type: ignore[arg-type]
    for feed, expected in golden(plan, folder):
        entries, payload = encode(to_artifact(feed, candidate.io))
        answer = agent.request(
            "infer",
            {
                "key": candidate.id, "tensors": entries, "timeout_s": plan.timeouts["round_s"],
                "load_timeout_s": plan.timeouts["load_s"],
            }, payload,
        )  # fmt: skip
        failure = failure_of(answer)
        if failure is not None:
            return Seen(candidate, "it fails when it is run (%s): %s" % (failure["kind"], failure["message"]))
        comparison.add(expected, to_original(decode(answer.fields["tensors"], answer.payload), candidate.io))
    agreement = comparison.agreement()
    refused = refusal(candidate, comparison, plan.needed_agreement)
    if refused:
        agent.request("close", {"key": candidate.id})
    return Seen(candidate, refused, None if agreement is None else agreement.value, comparison.sqnr_db)


def golden(plan: OnDevicePlan, folder: str) -> Iterator[Tuple[Dict[str, Any], Dict[str, Any]]]:
    """The golden inputs with float's outputs, under the original model's names."""
    inputs, outputs = (_members(os.path.join(folder, each.path)) for each in (plan.golden_inputs, plan.golden_outputs))
    for number in range(plan.n_golden):
        yield inputs(number), outputs(number)


def _members(path: str) -> Callable[[int], Dict[str, Any]]:
    """A function that reads the arrays of one number from an archive with members ``number/name.npy``."""

    def read(number: int) -> Dict[str, Any]:
        prefix, found = "%d/" % number, {}
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.startswith(prefix):
                    with archive.open(member) as stream:
                        found[member[len(prefix) : -len(".npy")]] = np.lib.format.read_array(stream, allow_pickle=False)
        return found

    return read


def _measure(
    agent: LocalAgent, plan: OnDevicePlan, right: List[PlannedCandidate], folder: str, compared: Dict[str, Seen]
) -> Dict[str, Any]:
    """All of them in turn on the first golden input; their rounds go into ``compared``. Returns what the agent said of it."""
    feed, _ = next(golden(plan, folder))
    table, payloads = [], []
    for candidate in right:
        entries, payload = encode(to_artifact(feed, candidate.io))
        table.append([entries, len(payload)])
        payloads.append(payload)
    rounds: Dict[str, List[Tuple[float, ...]]] = {candidate.id: [] for candidate in right}

    def on_event(event: Frame) -> None:
        if event.op == "sample":
            rounds[event.fields["key"]].append(_samples(bytes(event.payload)))

    request = {
        "keys": [candidate.id for candidate in right],
        "feeds": table,
        "feed_of": list(range(len(right))),
        "plan": {**plan.bench, "load_timeout_s": plan.timeouts["load_s"], "round_timeout_s": plan.timeouts["round_s"]},
    }
    answer = dict(agent.request("bench", request, b"".join(payloads), on_event).fields)
    for key, taken in rounds.items():
        failure: Optional[Mapping[str, Any]] = answer["failures"].get(key)
        if failure is not None:
            refused = "it fails while it is measured (%s): %s" % (failure["kind"], failure["message"])
            compared[key] = compared[key]._replace(refused=refused)
        else:
            compared[key] = compared[key]._replace(rounds=tuple(taken))
    return answer


def _samples(payload: bytes) -> Tuple[float, ...]:
    samples = array.array("d", payload)
    if sys.byteorder == "big":
        samples.byteswap()
    return tuple(samples)
