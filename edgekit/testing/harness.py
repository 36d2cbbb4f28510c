"""What the conformance suite works with: models written out, candidates built once, artifacts run in this process."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.targets import Target
from edgekit.types import Array, Artifact, BuildData, Candidate, Feed, NodeId, Profile, Runner, Site

from .models import CASES, ModelCase

if TYPE_CHECKING:
    from edgekit.model import Model


class ListFeeds:
    """Feeds from a list; see :class:`edgekit.types.Feeds`."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = list(feeds)

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._feeds)

    def __len__(self) -> int:
        return len(self._feeds)


@dataclass(frozen=True)
class BuiltCandidate:
    candidate: Candidate
    artifact: Artifact
    folder: Path


class Workbench:
    """One target at one site with a folder to work in. Close it to close the sessions that ``run`` opened.

    ``simulated``: artifacts run with ``Runner.host_options``, as this machine runs them where the device is not at hand.
    """

    def __init__(self, target: Target, site: Site, folder: Path, *, simulated: bool = False) -> None:
        self.target, self.site, self.folder, self.simulated = target, site, folder, simulated
        self._models: dict[str, Model] = {}
        self._as_written: dict[str, dict[str, bytes]] = {}
        self._built: dict[tuple[str, str, str], BuiltCandidate] = {}
        self._sessions: dict[Path, Any] = {}
        self._references: dict[str, Any] = {}
        self._n_builds = 0

    # ------------------------------------------------------------ models and candidates
    def model(self, case: ModelCase) -> Model:
        from edgekit.model import load_model

        if case.name not in self._models:
            folder = self.folder / "models" / case.name
            folder.mkdir(parents=True)
            path = case.write(folder)
            self._as_written[case.name] = {each.name: each.read_bytes() for each in folder.iterdir()}
            self._models[case.name] = load_model(path)
        return self._models[case.name]

    def as_written(self, case: ModelCase) -> dict[str, bytes]:
        """{name: content} of the files in the model's folder, from before anything read them."""
        self.model(case)
        return self._as_written[case.name]

    def node_ids(self, case: ModelCase) -> list[NodeId]:
        """The names of all nodes of the normalised ONNX: their first outputs."""
        from edgekit.frontends import onnx_frontend
        from edgekit.frontends.graph import node_id

        return [node_id(node) for node in onnx_frontend.read_raised(self.model(case)).graph.node]

    def candidates(self, case: ModelCase) -> Sequence[Candidate]:
        return self.target.candidates(self.model(case), self.site)

    def accepted(self, case: ModelCase) -> list[Candidate]:
        """The candidates that the target does not reject."""
        return [c for c in self.candidates(case) if self.target.reject(self.model(case), c, self.site) is None]

    def runnable(self, case: ModelCase, fails_when_run: Collection[str]) -> list[Candidate]:
        return [candidate for candidate in self.accepted(case) if candidate.scheme.slug not in fails_when_run]

    # ------------------------------------------------------------ building and running
    def build(self, case: ModelCase, candidate: Candidate, run: str = "first") -> BuiltCandidate:
        """The candidate's artifact; built once for each ``run``."""
        key = (case.name, candidate.id, run)
        if key not in self._built:
            self._n_builds += 1
            out = self.folder / "built" / f"{self._n_builds}-{case.name}"
            out.mkdir(parents=True)
            data = BuildData(ListFeeds(case.feeds(16)), ListFeeds(case.feeds(8)), "0" * 64)
            artifact = self.target.build(self.model(case), candidate, data, self.site, out)
            self._built[key] = BuiltCandidate(candidate, artifact, out)
        return self._built[key]

    def build_all(self, case: ModelCase, run: str = "first") -> list[BuiltCandidate]:
        return [self.build(case, candidate, run) for candidate in self.accepted(case)]

    def runner(self, built: BuiltCandidate) -> Runner:
        """The target's runner, with the options that it runs with here."""
        found = self.target.runner(built.artifact, self.site)
        return dataclasses.replace(found, options={**found.options, **found.host_options}) if self.simulated else found

    def run(self, built: BuiltCandidate, feed: Feed) -> dict[str, Array]:
        """One inference by the target's runner, in this process, under the original names."""
        if built.folder not in self._sessions:
            runner = self.runner(built)
            files = {name: str(built.folder / name) for name in runner.files}
            self._sessions[built.folder] = load_entry(runner).Session(files, dict(runner.options))
        names = {(m.role, m.original.name): m.artifact.name for m in built.artifact.io}
        outputs: dict[str, Array] = self._sessions[built.folder].run({names["input", name]: feed[name] for name in feed})
        originals = {names[key]: key[1] for key in names if key[0] == "output"}
        return {originals.get(name, name): value for name, value in outputs.items()}

    def reference(self, case: ModelCase, feed: Feed) -> dict[str, Array]:
        """The original model in ONNX Runtime."""
        import onnxruntime

        if case.name not in self._references:
            settings = onnxruntime.SessionOptions()
            settings.log_severity_level = 3
            path = str(self.model(case).path)
            self._references[case.name] = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        session = self._references[case.name]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feed)), strict=True))

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()


def load_entry(runner: Runner) -> Any:
    """The runner's entry module, loaded from its file."""
    path = next(path for path in runner.code if path.stem == runner.entry)
    for sibling in (each for each in runner.code if each != path and each.stem not in sys.modules):
        sys.path.insert(0, str(sibling.parent))  # files beside it are imported by their plain names, as on the device
        try:
            importlib.import_module(sibling.stem)
        finally:
            sys.path.remove(str(sibling.parent))
    spec = importlib.util.spec_from_file_location(f"conformance_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    beside = sorted({str(each.parent) for each in runner.code})  # as on the device, where they lie in one folder
    sys.path[:0] = beside
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.path[: len(beside)]
    return module


def relative_error(got: Mapping[str, Array], want: Mapping[str, Array]) -> float:
    """The largest difference over all outputs, each as a fraction of that output's largest magnitude in ``want``.

    Infinite where an output has another shape, or holds NaN.
    """
    worst = 0.0
    for name, expected in want.items():
        found, wide = np.asarray(got[name], np.float64), np.asarray(expected, np.float64)
        if found.shape != wide.shape:
            return float("inf")
        if wide.size:
            error = float(np.abs(found - wide).max() / max(np.abs(wide).max(), 1e-12))
            worst = max(worst, float("inf") if np.isnan(error) else error)
    return worst


def print_hashes(entry_point: str, case_name: str, folder: str) -> None:
    """Build every candidate of a case and print {candidate id: {file: sha256}} as JSON; run in a process of its own."""
    import platform

    module, name = entry_point.split(":")
    target: Target = getattr(importlib.import_module(module), name)
    site = Site(Profile("conformance", "generic", platform.machine(), (target.name,)))
    bench = Workbench(target, site, Path(folder))
    print(json.dumps({b.candidate.id: b.artifact.files for b in bench.build_all(CASES[case_name])}))  # noqa: T201 - its result
