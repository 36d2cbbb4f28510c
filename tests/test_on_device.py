"""The verdict on a board that is not at hand: what a bundle carries for it, and the program that gives it there, alone."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bundles import onnx_artifact, small_bundle
from support.schemas import validator
from support.small_models import calibration, classifier, images

import edgekit
from edgekit import types
from edgekit.bundle import check_bundle
from edgekit.errors import IntegrityError
from edgekit.fidelity import Comparison, OutputKind
from edgekit.measure.statistics import summarize
from edgekit.on_device import deciding, guest_types, packing, telling
from edgekit.on_device.plan import PlannedCandidate, read_plan
from edgekit.on_device.running import Found
from edgekit.schemes import Float32, Int8Dynamic, Int8Static, Vendor
from edgekit.types import Candidate, CandidateReport, Fidelity, Measurement, WarmUp
from edgekit.verdict import choose

PROGRAM = packing.PROGRAM
PACKAGES_OF_NULL = ("numpy", "numpy.libs", "onnx", "google", "ml_dtypes", "typing_extensions.py")
PACKAGES_OF_ONNX = ("numpy", "numpy.libs", "onnxruntime")


# ---------------------------------------------------------------- a board with nothing but its runtime
def clean_python(folder: Path, packages: tuple[str, ...]) -> Path:
    """An interpreter that finds these packages and no others."""
    venv.create(folder, symlinks=True)
    place = next((folder / "lib").glob("python*")) / "site-packages"
    for name in packages:
        found = next((Path(entry) / name for entry in sys.path if (Path(entry) / name).exists()), None)
        if found is not None:
            (place / name).symlink_to(found)
    python = folder / "bin" / "python"
    there = subprocess.run([python, "-c", "import edgekit"], cwd=folder, capture_output=True, text=True, check=False, env={})
    assert "No module named 'edgekit'" in there.stderr
    return python


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_python(tmp_path_factory.mktemp("board") / "venv", PACKAGES_OF_NULL)


def made(folder: Path, target: str, **options: Any) -> Path:
    model, calib = classifier(folder / "net.onnx"), calibration(folder / "calib.npz")
    home, before = folder / "home", os.environ.get("EDGEKIT_HOME")
    os.environ["EDGEKIT_HOME"] = str(home)
    try:
        edgekit.build(model, target=target, calib=calib, output=folder / "bundle", **options)
    finally:
        os.environ.pop("EDGEKIT_HOME")
        if before is not None:
            os.environ["EDGEKIT_HOME"] = before
    return folder / "bundle"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("made"), "null")


@pytest.fixture
def bundle(shared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared, tmp_path / "on-the-board"))


def start(python: Path, bundle: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """As a colleague does: with an environment of the board's own."""
    kept = {name: os.environ[name] for name in ("EDGEKIT_LEASE_DIR", "EDGEKIT_GUEST_HOME", "PATH")}
    command = [str(python), "-W", "error", str(bundle / PROGRAM), *map(str, arguments)]
    return subprocess.Popen(command, env=kept, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(python: Path, bundle: Path, *arguments: str | Path) -> tuple[int, str, str]:
    with start(python, bundle, *arguments) as child:
        out, err = child.communicate(timeout=120)
    return child.returncode, out, err


# ---------------------------------------------------------------- the bundle
def test_a_bundle_without_a_measurement_carries_what_may_win(shared: Path) -> None:
    manifest = check_bundle(shared).bundle
    carried = {each.candidate.id: each for each in manifest.carried}
    assert set(carried) == {"null/float32", "null/int8-dynamic"}, "int8 is wrong and w8 crashes: neither may win"
    assert manifest.winner is not None
    assert manifest.winner.provisional
    winner = carried[manifest.winner.id]
    assert all(path == f"artifact/{name}" for name, path in winner.files.items()), "the winner's files are there once"
    other = carried["null/int8-dynamic"]
    assert all(path.startswith("candidates/null-int8-dynamic/") for path in other.files.values())
    assert {PROGRAM, packing.GOLDEN_INPUTS, packing.GOLDEN_OUTPUTS} <= set(manifest.files)
    validator("bundle").validate(json.loads((shared / "edgekit.json").read_text()))
    assert PROGRAM in (shared / "README.md").read_text()


def test_golden_outputs_are_floats_and_inputs_nobodys(shared: Path) -> None:
    import onnxruntime

    with zipfile.ZipFile(shared / PROGRAM) as archive:
        plan = read_plan(archive.read("plan.json").decode())
    session = onnxruntime.InferenceSession(str(shared.parent / "net.onnx"), providers=["CPUExecutionProvider"])
    samples = np.load(shared.parent / "calib.npz")["x"]
    with np.load(shared / packing.GOLDEN_INPUTS) as inputs, np.load(shared / packing.GOLDEN_OUTPUTS) as outputs:
        assert plan.n_golden == len(inputs.files) == 16
        for number in range(plan.n_golden):
            x = inputs[f"{number}/x"]
            np.testing.assert_allclose(outputs[f"{number}/logits"], session.run(None, {"x": x})[0], rtol=1e-5, atol=1e-6)
            assert not any(np.array_equal(x[0], sample) for sample in samples)


def test_a_changed_candidate_is_noticed(bundle: Path) -> None:
    path = next((bundle / "candidates").rglob("*.onnx"))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(IntegrityError, match="candidates/null-int8-dynamic"):
        check_bundle(bundle)


def test_the_manifest_cannot_name_what_it_does_not_list(bundle: Path) -> None:
    from edgekit.manifest import self_hash

    document = json.loads((bundle / "edgekit.json").read_text())
    document["carried"][1]["files"]["model.onnx"] = "artifact/model.onnx"
    document["self_sha256"] = self_hash(document)
    (bundle / "edgekit.json").write_text(json.dumps(document))
    with pytest.raises(IntegrityError, match="two different sha256"):
        check_bundle(bundle)


def test_a_bundle_with_a_verdict_of_its_own_carries_nothing_to_try(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "bundle", tmp_path / "work")
    assert check_bundle(bundle).bundle.carried == ()
    assert not (bundle / PROGRAM).exists()
    assert PROGRAM not in (bundle / "README.md").read_text()


def test_files_that_candidates_share_are_in_the_bundle_once(tmp_path: Path) -> None:
    """And the same content gives the same program."""
    (tmp_path / "work").mkdir()
    artifact, runner = onnx_artifact(tmp_path / "work")
    feed, output = {"x": images(1)}, {"logits": np.zeros((1, 4), np.float32)}
    found = packing.OnDevice(
        candidates=tuple(
            packing.MayWin(Candidate("onnx", scheme), artifact, tmp_path / "work", runner, not number, 1.0, None)
            for number, scheme in enumerate((Float32(), Int8Dynamic()))
        ),
        inputs=(feed,), outputs=(output,), kinds={"logits": OutputKind("argmax")},
        needed_agreement=0.98, faster=1.03, objective="latency", has_chosen_precision=False,
    )  # fmt: skip
    first, second = (small_bundle(tmp_path / name, tmp_path / f"{name}-work", on_device=found) for name in ("first", "second"))
    assert {path for each in check_bundle(first).bundle.carried for path in each.files.values()} == {"artifact/model.onnx"}
    assert not (first / "candidates").exists()
    assert (first / PROGRAM).read_bytes() == (second / PROGRAM).read_bytes()


# ---------------------------------------------------------------- the program
@pytest.mark.waits  # int8-dynamic wins by its latency, which is a sleep
def test_the_verdict_is_given_with_nothing_of_edgekit_there(bundle: Path, board: Path, tmp_path: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in bundle.rglob("*"))
    code, out, err = run(board, bundle, "--json", "--output", tmp_path / "verdict.json")
    assert code == 0, err
    verdict, written = json.loads(out), json.loads((tmp_path / "verdict.json").read_text())
    validator("on-device").validate(verdict)
    validator("on-device").validate(written)
    rows = {row["id"]: row for row in verdict["candidates"]}
    assert verdict["winner"]["id"] == "null/int8-dynamic"
    assert rows["null/int8-dynamic"]["speedup_vs_float"]["ci95"][0] > 1.03
    assert rows["null/int8-dynamic"]["latency_s"] == written["candidates"][1]["latency_s"]
    assert written["samples"].keys() == rows.keys()
    assert sum(map(len, written["samples"]["null/float32"])) == rows["null/float32"]["latency_s"]["n"]
    golden = rows["null/int8-dynamic"]["golden"]
    assert golden["agreement"] == golden["host_agreement"]
    assert golden["sqnr_db"] == pytest.approx(golden["host_sqnr_db"], abs=0.01)
    assert rows["null/float32"]["golden"]["sqnr_db"] > 100, "the evaluator, not ONNX Runtime: a rounding apart"
    assert before == sorted((path, path.stat().st_mtime_ns) for path in bundle.rglob("*")), "a bundle stays what its manifest lists"


def test_onnx_runtime_alone_is_enough_on_a_board(tmp_path: Path) -> None:
    bundle = made(tmp_path, "onnx", precision="int8", budget="5s")
    code, out, err = run(clean_python(tmp_path / "venv", PACKAGES_OF_ONNX), bundle)
    assert code == 0, err
    assert "winner: onnx/int8" in out, "the precision that was asked for, faster or not"
    assert "onnx/float32" in out
    assert "net.onnx on " in out
    assert err.splitlines()[-1].startswith("measuring ")


@pytest.fixture
def missing(bundle: Path) -> Iterator[Path]:
    (bundle / "candidates" / "null-int8-dynamic" / "model.onnx").unlink()
    yield bundle


def test_a_bundle_that_is_not_whole_is_refused_before_anything_runs(missing: Path, board: Path) -> None:
    code, out, err = run(board, missing, "--json")
    problem = json.loads(out)
    validator("error").validate(problem)
    assert (code, problem["exit_code"]) == (8, 8)
    assert "candidates/null-int8-dynamic/model.onnx is missing" in err
    assert "copy the whole folder" in err


def test_a_file_that_changed_on_the_way_is_refused(bundle: Path, board: Path) -> None:
    path = bundle / "artifact" / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    code, _, err = run(board, bundle)
    assert code == 8
    assert "hashes to" in err


def test_without_the_runtime_it_says_what_is_needed(bundle: Path, tmp_path: Path) -> None:
    code, out, err = run(clean_python(tmp_path / "bare", ("numpy", "numpy.libs")), bundle, "--json")
    assert (code, json.loads(out)["exit_code"]) == (3, 3)
    assert "this Python needs: numpy, onnx" in err


def test_without_numpy_it_says_so(bundle: Path, tmp_path: Path) -> None:
    code, _, err = run(clean_python(tmp_path / "bare", ()), bundle)
    assert code == 3
    assert "numpy is not installed" in err
    assert "Traceback" not in err


def test_a_device_that_somebody_holds_is_left_alone(bundle: Path, board: Path) -> None:
    from edgekit.agent.lease import Lease

    lease = Lease()
    lease.acquire("a long measurement")
    try:
        code, _, err = run(board, bundle)
    finally:
        lease.release()
    assert code == 6
    assert "a long measurement" in err


def test_an_output_that_cannot_be_written_is_said_before_the_run(bundle: Path, board: Path, tmp_path: Path) -> None:
    for output, why in ((tmp_path / "no" / "such" / "folder.json", "its folder is missing"), (tmp_path, "it is a folder")):
        began = time.monotonic()
        code, _, err = run(board, bundle, "-o", output)
        assert code == 7
        assert "cannot be written" in err
        assert why in err
        assert time.monotonic() - began < 10


@pytest.mark.usefixtures("signals_as_in_a_terminal")
def test_an_interrupt_leaves_nothing_running(bundle: Path, board: Path, own_home: Path) -> None:
    with start(board, bundle) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line.startswith("measuring "):
                break
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    assert child.returncode == 130
    marker = str(bundle).encode()
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert not [command for command in commands if marker in command]
    assert not list((own_home / "guest").glob("sessions/*"))


# ---------------------------------------------------------------- the rule
def planned(scheme: str, *, is_float: bool = False, size: int = 100, host_db: float | None = 30.0) -> PlannedCandidate:
    return PlannedCandidate(
        id=f"null/{scheme}", scheme=scheme, target="null", is_float=is_float, entry="e", options={}, files={}, io=(),
        needs_device_build=False, size_bytes=size, host_agreement=1.0, host_sqnr_db=host_db,
    )  # fmt: skip


SCHEMES = (Float32(), Int8Static(), Int8Dynamic(), Vendor("fp8"))
one_row = st.tuples(
    st.sampled_from([1.0, 0.99, 0.97, 0.6, 1.5]), st.booleans(), st.sampled_from([None, 20.0, 35.0]), st.integers(1, 3)
)


@settings(max_examples=30)
@given(st.lists(one_row, min_size=4, max_size=4), st.booleans(), st.sampled_from(["latency", "size"]), st.integers(0, 1000))
def test_the_device_chooses_as_the_host_would(rows: list[Any], explicit: bool, objective: str, seed: int) -> None:
    """The same rows through both rules; reasons differ, the winner does not."""
    rng = np.random.default_rng(seed)
    seen, reports, measured = [], [], {}
    for scheme, (factor, accepted, db, size) in zip(SCHEMES, rows, strict=True):
        candidate = Candidate("null", scheme)
        rounds = tuple(tuple(float(x) for x in factor * 0.01 * np.exp(0.01 * rng.standard_normal(8))) for _ in range(10))
        is_float = isinstance(scheme, Float32)
        plan = planned(scheme.slug, is_float=is_float, size=size)
        seen.append(deciding.Seen(plan, "" if accepted else "wrong", 1.0, db, rounds))
        measured[candidate.id] = Measurement("agent/1", rounds, WarmUp(1, 0.1, True), 0.1, 0.01, 1, "resident", {}, {}, 1)
        cosine = 1.0 if db is None else 0.99
        reports.append(
            CandidateReport(
                id=candidate.id, target="null", scheme=scheme.slug, stage="measured", accepted=accepted, reason="",
                candidate=candidate, fidelity=Fidelity(db, cosine, 1.0), latency_s=summarize(rounds), size_bytes=size,
            )
        )  # fmt: skip
    expected = choose(reports, measured, objective=objective, explicit_precision=explicit, max_latency=None)
    found = deciding.decide(seen, faster=1.03, has_chosen_precision=explicit, objective=objective)
    assert found.winner == expected.winner
    reasons = {row.seen.candidate.id: row.reason for row in found.rows}
    assert found.winner is None or reasons[found.winner] == ""  # a reason says why a candidate does not win


def compared(noise: float, agreeing: bool) -> Comparison:
    comparison = Comparison({"y": OutputKind("argmax")})
    reference = np.eye(4, dtype=np.float32)
    candidate = (reference if agreeing else np.roll(reference, 1, axis=1)) + np.float32(noise)
    comparison.add({"y": reference}, {"y": candidate})
    return comparison


@pytest.mark.parametrize(
    ("noise", "agreeing", "host_db", "refused"),
    [
        (0.001, True, None, ""),
        (0.2, True, 30.0, ""),  # the gate is on agreement, as on the host
        (0.0, False, -3.0, ""),  # as close to float as on the host, where it held the gates on data
        (0.0, False, 30.0, "its SQNR of -3.0 dB was 30.0 dB on the host"),
        (0.0, False, None, "which is below 0.95"),
        (np.nan, True, 30.0, "not finite"),
    ],
)
def test_what_is_right_on_a_device(noise: float, agreeing: bool, host_db: float | None, refused: str) -> None:
    said = deciding.refusal(planned("int8", host_db=host_db), compared(noise, agreeing), 0.95)
    assert refused in said
    assert bool(said) == bool(refused)


@pytest.mark.parametrize(("own_loop", "remarks"), [("trtexec 10.3", 1), (None, 0)])
def test_times_by_different_loops_come_with_a_warning(own_loop: str | None, remarks: int, shared: Path) -> None:
    with zipfile.ZipFile(shared / PROGRAM) as archive:
        plan = read_plan(archive.read("plan.json").decode())
    seen = [
        deciding.Seen(planned("float32", is_float=True), "", 1.0, None, ((0.01,) * 8,) * 10),
        deciding.Seen(planned("int8"), "", 1.0, 30.0, ((0.005,) * 8,) * 10),
    ]
    verdict = deciding.decide(seen, faster=1.03, has_chosen_precision=False)
    found = Found({"kind": "real"}, seen, {"null/float32": {}, "null/int8": {"loop": own_loop}}, {})
    warnings = telling.document(plan, found, verdict, "now")["warnings"]
    assert len(warnings) == remarks
    assert [line for line in telling.text(plan, found, verdict) if line.startswith("warning: ")] == [
        f"warning: {text}" for text in warnings
    ]
    if warnings:
        assert "null/int8 by trtexec 10.3; with it: null/float32 by agent/1" in warnings[0]
        assert "upper bound" in warnings[0]


# ---------------------------------------------------------------- what travels
TRAVELLING = sorted(name for name in packing.sources() if name.endswith(".py"))


@pytest.mark.parametrize("name", TRAVELLING)
def test_what_travels_is_old_python_and_imports_nothing_that_stays_behind(name: str) -> None:
    members = packing.sources()
    tree = ast.parse(members[name], feature_version=(3, 8))
    at_type_checking = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for part in node.body
        for child in ast.walk(part)
    }
    for node in ast.walk(tree):
        if node in at_type_checking:
            continue
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names | {"numpy"}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert str(node.module).split(".")[0] in sys.stdlib_module_names | {"numpy"}
        elif isinstance(node, ast.ImportFrom):
            package = name.split("/")[: -node.level]
            for path in [node.module] if node.module else [alias.name for alias in node.names]:
                assert path is not None
                place = "/".join([*package, *path.split(".")])
                assert f"{place}.py" in members or f"{place}/__init__.py" in members, f"{name} imports {place}"


def test_the_types_that_travel_have_the_fields_of_the_real_ones() -> None:
    for name in ("TensorSpec", "TensorMap", "Latency", "Ratio", "Agreement"):
        real = [field.name for field in dataclasses.fields(getattr(types, name))]
        assert list(getattr(guest_types, name)._fields) == real


def old_pythons() -> Iterator[str]:
    for candidate in ("python3.8", *map(str, Path.home().glob(".pyenv/versions/3.8.*/bin/python3.8"))):
        if shutil.which(candidate) and not subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode:
            yield candidate


def test_it_starts_on_python_3_8(bundle: Path) -> None:
    """Where there is one; what it imports at first is held above everywhere."""
    python = next(old_pythons(), None)
    if python is None:
        pytest.skip("no Python 3.8 on this machine")
    code, _, err = run(Path(python), bundle)
    assert code in (0, 3), err
    assert "Traceback" not in err
