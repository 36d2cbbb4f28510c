"""What every target must do. Subclass :class:`TargetConformance` in a test module and name your target; pytest does the rest.

    class TestMine(TargetConformance):
        entry_point = "edgekit_mine.target:TARGET"
        vendor_modules = ("mine_runtime",)

A gap that is known and accepted is listed in ``gaps`` with its reason: that test is then expected to fail, and fails the suite once
it passes. Needs pytest, ONNX Runtime (the reference) and the target's own runtime.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.schemes import AsIs, Float32, Vendor
from edgekit.targets import Target
from edgekit.types import Array, Artifact, Candidate, Profile, Reject, Runner, Site

from . import guest
from .harness import Workbench, relative_error
from .models import CASES, ModelCase

every_model = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
_BENCH = pytest.StashKey[Workbench]()
_LOAD = "import importlib, sys; module, name = sys.argv[1].split(':'); target = getattr(importlib.import_module(module), name)"


class TargetConformance:
    """Tests of one target. Class attributes say what differs between targets."""

    #: ``"module:object"``, as in the entry point.
    entry_point: ClassVar[str]
    #: Top-level modules of the vendor that importing the target must not need.
    vendor_modules: ClassVar[tuple[str, ...]] = ()
    #: {test name, or "test name[case]": reason} of what is known not to hold.
    gaps: ClassVar[Mapping[str, str]] = {}
    #: Slugs of schemes that fail when run, and that give wrong outputs, by intention (the null target has such).
    fails_when_run: ClassVar[frozenset[str]] = frozenset()
    wrong_when_run: ClassVar[frozenset[str]] = frozenset()
    #: The runtime needs hardware that is not here: artifacts run as this machine simulates it (``Runner.host_options``), with these
    #: modules. Whether the hardware does the same is then not shown.
    simulated_with: ClassVar[tuple[str, ...]] = ()
    #: Largest difference of full precision to ONNX Runtime, as a fraction of the output's largest magnitude.
    full_precision_error: ClassVar[float] = 1e-4
    #: What builds and runs, where a target needs its own.
    workbench_type: ClassVar[type[Workbench]] = Workbench

    # ------------------------------------------------------------ fixtures
    @pytest.fixture(autouse=True)
    def _expected_gap(self, request: pytest.FixtureRequest) -> None:
        for name in (request.node.name, request.node.originalname):
            if name in self.gaps:
                request.applymarker(pytest.mark.xfail(reason=self.gaps[name], strict=True))

    @pytest.fixture(autouse=True)
    def _own_state(self, workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGEKIT_HOME", str(workbench.folder / "edgekit-home"))

    @pytest.fixture
    def target(self) -> Target:
        import importlib

        module, name = self.entry_point.split(":")
        found = getattr(importlib.import_module(module), name)
        assert isinstance(found, Target)
        return found

    @pytest.fixture
    def site(self, target: Target) -> Site:
        """This machine's kind of processor, not probed."""
        return Site(Profile("conformance", "generic", platform.machine(), (target.name,)))

    @pytest.fixture
    def workbench(
        self, target: Target, site: Site, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Workbench:
        """One for all tests of the class: what was built for the first is what the others look at."""
        every_test: pytest.Class | None = request.node.getparent(pytest.Class)
        assert every_test is not None
        if _BENCH not in every_test.stash:
            folder = tmp_path_factory.mktemp("workbench")
            bench = self.workbench_type(target, site, folder, simulated=bool(self.simulated_with))
            every_test.stash[_BENCH] = bench
            every_test.addfinalizer(bench.close)
        return every_test.stash[_BENCH]

    # ------------------------------------------------------------ importing
    def test_imports_without_the_vendor(self) -> None:
        """With every vendor module blocked the target still imports, and so lists and explains itself."""
        blocker = (
            "class Block:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name.split('.')[0] in {set(self.vendor_modules)!r}: raise ImportError('blocked: ' + name, name=name)\n"
            "import sys; sys.meta_path.insert(0, Block())\n"
        )
        _python(blocker + _LOAD + "; assert target.name and target.version", self.entry_point)

    def test_importing_loads_no_vendor(self) -> None:
        """Also where it is installed: a command that only lists targets must not pay for it."""
        loaded = _python(_LOAD + "; import json; print(json.dumps(sorted(sys.modules)))", self.entry_point)
        assert not set(json.loads(loaded)) & set(self.vendor_modules)

    # ------------------------------------------------------------ candidates
    @every_model
    def test_candidates_have_one_full_precision_baseline(self, workbench: Workbench, case: ModelCase) -> None:
        candidates = workbench.candidates(case)
        assert sum(isinstance(candidate.scheme, (Float32, AsIs)) for candidate in candidates) == 1
        assert {candidate.target for candidate in candidates} == {workbench.target.name}
        assert len({candidate.id for candidate in candidates}) == len(candidates)
        baseline = next(candidate for candidate in candidates if isinstance(candidate.scheme, (Float32, AsIs)))
        assert workbench.target.reject(workbench.model(case), baseline, workbench.site) is None

    @every_model
    def test_candidates_round_trip_through_json(self, workbench: Workbench, case: ModelCase) -> None:
        from edgekit.values import from_json, to_json

        for candidate in workbench.candidates(case):
            document = json.loads(json.dumps(to_json(candidate)))
            assert from_json(Candidate, document) == candidate

    def test_unknown_vendor_scheme_is_rejected(self, workbench: Workbench) -> None:
        candidate = Candidate(workbench.target.name, Vendor("format-of-somebody-else"))
        reject = workbench.target.reject(workbench.model(CASES["conv"]), candidate, workbench.site)
        assert isinstance(reject, Reject)
        assert reject.what
        assert reject.why

    def test_build_key_is_plain_json(self, workbench: Workbench) -> None:
        key = workbench.target.build_key(workbench.site)
        assert json.loads(json.dumps(key, allow_nan=False)) == key

    # ------------------------------------------------------------ building
    @every_model
    def test_artifact_is_whole_and_named_by_its_bytes(self, workbench: Workbench, case: ModelCase) -> None:
        for built in workbench.build_all(case):
            _check_files(built.artifact, built.folder)
            assert built.artifact.entry in built.artifact.files
            json.dumps(built.artifact.provenance, allow_nan=False)

    @every_model
    def test_input_model_is_not_touched(self, workbench: Workbench, case: ModelCase) -> None:
        workbench.build_all(case)
        folder = workbench.model(case).path.parent
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == workbench.as_written(case)

    @pytest.mark.parametrize("name", ["conv", "shared"])
    def test_the_same_input_gives_the_same_bytes(self, workbench: Workbench, name: str, tmp_path: Path) -> None:
        """Across processes too: the order of a set of strings differs from one to the next."""
        first = {built.candidate.id: dict(built.artifact.files) for built in workbench.build_all(CASES[name])}
        again = {built.candidate.id: dict(built.artifact.files) for built in workbench.build_all(CASES[name], "again")}
        assert first == again
        code = "import sys; from edgekit.testing.harness import print_hashes; print_hashes(*sys.argv[1:])"
        assert json.loads(_python(code, self.entry_point, name, str(tmp_path), hash_seed="4711")) == first

    @every_model
    def test_io_keeps_the_original_names_dtypes_and_shapes(self, workbench: Workbench, case: ModelCase) -> None:
        model = workbench.model(case)
        for built in workbench.build_all(case):
            by_role = {role: [t.original for t in built.artifact.io if t.role == role] for role in ("input", "output")}
            assert by_role["input"] == list(model.inputs)
            assert by_role["output"] == list(model.outputs)

    def test_nothing_is_left_behind(self, workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No file in the working folder, none in the folder for temporary files, no scratch folder of edgekit's."""
        import tempfile

        here, temporary = tmp_path / "here", tmp_path / "temporary"
        here.mkdir()
        temporary.mkdir()
        monkeypatch.chdir(here)
        monkeypatch.setenv("TMPDIR", str(temporary))
        monkeypatch.setattr(tempfile, "tempdir", None)
        workbench.build_all(CASES["conv"], "here")
        assert not list(here.iterdir())
        assert not list(temporary.iterdir())
        assert not list((workbench.folder / "edgekit-home").glob("cache/work/run.*"))

    def test_building_is_silent(self, workbench: Workbench, capfd: pytest.CaptureFixture[str]) -> None:
        """Vendors' chatter belongs in a log file."""
        for name in ("conv", "transformer"):
            workbench.build_all(CASES[name], "listened to")
        said = capfd.readouterr()
        assert (said.out, said.err) == ("", "")

    def test_shared_weights_stay_shared(self, workbench: Workbench) -> None:
        """One 64 x 64 matrix read four times. Integer forms may store it twice, once a direction; never four times."""
        limit = 64 * 64 * 4 * 1.25
        for built in workbench.build_all(CASES["shared"]):
            assert built.artifact.size_bytes(built.folder) < limit, built.candidate.id

    # ------------------------------------------------------------ keep_float
    @pytest.mark.parametrize("name", ["conv", "transformer", "lstm", "shared"])
    def test_keep_float_of_everything_is_float(self, workbench: Workbench, name: str) -> None:
        case = CASES[name]
        if not workbench.target.supports_keep_float:
            pytest.skip("the target says it cannot keep single nodes in float")
        everything = frozenset(workbench.node_ids(case))
        feed = case.feed(1, 500)
        for candidate in workbench.runnable(case, self.fails_when_run | self.wrong_when_run):
            kept = dataclasses.replace(candidate, keep_float=everything)
            got = workbench.run(workbench.build(case, kept), feed)
            assert relative_error(got, workbench.reference(case, feed)) < self.full_precision_error, candidate.id

    def test_keep_float_names_what_is_not_there(self, workbench: Workbench) -> None:
        case = CASES["conv"]
        if not workbench.target.supports_keep_float:
            pytest.skip("the target says it cannot keep single nodes in float")
        for candidate in workbench.accepted(case):
            wrong = dataclasses.replace(candidate, keep_float=frozenset({"no_such_node"}))
            with pytest.raises(ModelError, match="no_such_node"):
                workbench.build(case, wrong)

    # ------------------------------------------------------------ running
    def test_runner_code_is_a_guest(self, workbench: Workbench) -> None:
        """Python 3.8, no relative import, nothing but the standard library, numpy and what the runner requires."""
        for built in workbench.build_all(CASES["conv"]):
            runner = workbench.runner(built)
            assert runner.entry in {path.stem for path in runner.code}
            assert set(runner.files) <= set(built.artifact.files)
            json.dumps(runner.options, allow_nan=False)
            for path in runner.code:
                own = [each.stem for each in runner.code]
                assert guest.problems(path, allowed=(*runner.requires, *self.simulated_with, *own)) == []

    @every_model
    def test_full_precision_equals_the_reference(self, workbench: Workbench, case: ModelCase) -> None:
        built = next(b for b in workbench.build_all(case) if isinstance(b.candidate.scheme, (Float32, AsIs)))
        for feed in case.feeds(3):
            got, want = workbench.run(built, feed), workbench.reference(case, feed)
            _same_form(got, want)
            assert relative_error(got, want) < self.full_precision_error

    @every_model
    def test_every_candidate_gives_outputs_of_the_right_form(self, workbench: Workbench, case: ModelCase) -> None:
        for candidate in workbench.runnable(case, self.fails_when_run):
            built = workbench.build(case, candidate)
            for batch in (1, 3):
                feed = case.feed(batch, 900)
                got, want = workbench.run(built, feed), workbench.reference(case, feed)
                _same_form(got, want)
                assert all(np.isfinite(value).all() for value in got.values() if np.issubdtype(value.dtype, np.floating))

    @pytest.mark.parametrize("name", ["conv", "transformer", "embedding"])
    def test_an_empty_batch_is_empty(self, workbench: Workbench, name: str) -> None:
        case = CASES[name]
        feed = case.feed(0, 1)
        built = next(b for b in workbench.build_all(case) if isinstance(b.candidate.scheme, (Float32, AsIs)))
        _same_form(workbench.run(built, feed), workbench.reference(case, feed))

    def test_inputs_of_a_feed_may_be_views(self, workbench: Workbench) -> None:
        """Arrays that are transposed or strided views give what their copies give, and are not written to."""
        case = CASES["conv"]
        built = next(b for b in workbench.build_all(case) if isinstance(b.candidate.scheme, (Float32, AsIs)))
        feed = case.feed(2, 3)
        views: dict[str, Array] = {name: np.asfortranarray(value) for name, value in feed.items()}
        for value in views.values():
            value.flags.writeable = False
        assert relative_error(workbench.run(built, views), workbench.run(built, feed)) == 0

    def test_runs_without_edgekit(self, workbench: Workbench, tmp_path: Path) -> None:
        """From a folder of its own, in a fresh interpreter in which edgekit and the target cannot be imported."""
        case = CASES["conv"]
        built = next(b for b in workbench.build_all(case) if isinstance(b.candidate.scheme, (Float32, AsIs)))
        feed = case.feed(1, 8)
        runner = workbench.runner(built)
        found = guest.run_alone(runner, built.artifact, built.folder, feed, tmp_path)
        assert relative_error(found.outputs, workbench.reference(case, feed)) < self.full_precision_error
        assert isinstance(found.fingerprint, dict)
        assert found.effective.get("threads") == 1, "a session says what is in force"

    def test_runs_through_the_agent(self, workbench: Workbench) -> None:
        """The same zipapp, protocol and worker as on a board."""
        from edgekit.devices import AgentSession, local_transport

        case = CASES["conv"]
        built = next(b for b in workbench.build_all(case) if isinstance(b.candidate.scheme, (Float32, AsIs)))
        runner: Runner = workbench.runner(built)
        feed = case.feed(1, 8)
        with AgentSession(local_transport(), {workbench.target.name: runner}) as session:
            session.push(built.folder, built.artifact.files)
            with session.lease(wait_s=120):  # this machine has one lease, and another test may hold it
                session.open("one", workbench.target.name, runner, built.artifact.files)
                got = session.infer("one", feed)
        assert relative_error(got, workbench.reference(case, feed)) < self.full_precision_error


def _python(code: str, *arguments: str, hash_seed: str = "0") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _check_files(artifact: Artifact, folder: Path) -> None:
    """Exactly the listed files, inside the folder, with the listed hashes."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    assert there == set(artifact.files)
    for name, digest in artifact.files.items():
        path = folder / name
        assert not Path(name).is_absolute()
        assert ".." not in Path(name).parts
        assert not path.is_symlink()
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _same_form(got: Mapping[str, Any], want: Mapping[str, Any]) -> None:
    assert {name: (value.dtype, value.shape) for name, value in got.items()} == {
        name: (value.dtype, value.shape) for name, value in want.items()
    }
