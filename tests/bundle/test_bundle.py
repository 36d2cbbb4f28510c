from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import onnx_artifact, small_bundle
from support.reports import FLOAT, full_report, measurement, request
from support.schemas import validator

from edgekit import bundle as bundle_module
from edgekit.bundle import MANIFEST, check_bundle, check_calibration, check_output, read_bundle, read_measurements, write_bundle
from edgekit.errors import IntegrityError, OutputError
from edgekit.manifest import self_hash
from edgekit.types import Artifact, DeployReport, Runner, TensorMap, TensorSpec, sha256_file
from edgekit.values import sha256_json


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One bundle for the tests that only read it or copy it."""
    folder = tmp_path_factory.mktemp("bundle")
    return small_bundle(folder / "out", folder / "work")


@pytest.fixture
def bundle(shared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared, tmp_path / "bundle"))


def edit(bundle: Path, change: Callable[[Any], object]) -> None:
    """What somebody does who knows the format: the manifest's own hash is right again."""
    document = json.loads((bundle / MANIFEST).read_text())
    change(document)
    with contextlib.suppress(IntegrityError):
        document["self_sha256"] = self_hash(document)
    (bundle / MANIFEST).write_text(json.dumps(document))


def run_example(bundle: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-X", "importtime", "run_example.py"]
    return subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=False, timeout=60)


# ---------------------------------------------------------------- what is in it
def test_every_file_is_listed_and_the_bundle_is_whole(shared: Path) -> None:
    result = check_bundle(shared)
    files = {p.relative_to(shared).as_posix() for p in shared.rglob("*") if p.is_file()}
    assert files == {
        MANIFEST, "README.md", "run_example.py", "artifact/model.onnx", "runner/device.py", "golden/inputs.npz",
        "golden/outputs.npz", "evidence/measurements.json",
    }  # fmt: skip
    assert set(result.bundle.files) == files - {MANIFEST}
    assert result.n_files == len(files)
    assert result.size_bytes == sum(p.stat().st_size for p in shared.rglob("*") if p.is_file())
    assert result.message == "integrity ok, origin unknown"
    assert len((shared / "README.md").read_text().splitlines()) == 5


def test_the_drawing_and_the_steps_of_the_search_are_evidence(tmp_path: Path) -> None:
    steps = ({"step": 1, "what": "built", "candidate": FLOAT.id, "outcome": f"read from {Path.cwd()}/data"},)
    report = replace(full_report(), trail=steps)
    out = small_bundle(tmp_path / "out", tmp_path / "work", report=report, drawing="<svg>µ</svg>")
    assert {"evidence/trail.svg", "evidence/trail.json"} < set(check_bundle(out).bundle.files)
    assert (out / "evidence" / "trail.svg").read_text(encoding="utf-8") == "<svg>µ</svg>"
    written = json.loads((out / "evidence" / "trail.json").read_text())
    assert written["schema"] == "edgekit.trail/1"
    assert written["steps"][0]["candidate"] == FLOAT.id
    assert str(Path.cwd()) not in json.dumps(written)


def test_the_manifest_keeps_request_provenance_and_evidence(shared: Path) -> None:
    read = read_bundle(shared)
    assert read.request() == request()
    assert read.candidate == FLOAT
    assert [step.step for step in read.provenance] == ["read", "calibrate", "build", "judge", "measure"]
    assert read.effective["runtime"] == measurement().effective
    assert read.effective["options"]["threads"] == 1
    assert read.calibration == full_report().calibration
    assert read.report == replace(full_report(), bundle=".")
    assert read_measurements(shared) == {FLOAT.id: measurement()}
    evidence = json.loads((shared / "evidence" / "measurements.json").read_text())
    assert evidence["failures"]["onnx/int8"]["kind"] == "crash"


def test_the_same_content_gives_the_same_bytes(shared: Path, tmp_path: Path) -> None:
    again = small_bundle(tmp_path / "again", tmp_path / "work")
    for name in (MANIFEST, *read_bundle(shared).files):
        assert (again / name).read_bytes() == (shared / name).read_bytes(), name


def test_without_a_winner_the_bundle_is_evidence(tmp_path: Path) -> None:
    none = {"artifact": None, "artifact_folder": None, "runner": None, "golden_inputs": None, "golden_outputs": None}
    out = small_bundle(tmp_path / "out", tmp_path / "work", report=full_report(winner=None), **none)
    read = read_bundle(out)
    assert read.winner is None
    assert read.artifact is None
    assert not (out / "run_example.py").exists()
    assert "no candidate was accepted" in (out / "README.md").read_text()


def test_nothing_of_this_machine_goes_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, project = tmp_path / "home" / "jane", tmp_path / "home" / "jane" / "project"
    secret = tmp_path / "customers" / "acme"
    for folder in (project, secret):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(project)
    (secret / "net.onnx").write_bytes(b"x")
    asked = request(
        model=str(secret / "net.onnx"), calib=str(project / "data" / "photos"), eval=f"{home}/eval.py:score", baseline="../b.onnx"
    )
    report = full_report(asked=asked)
    report = replace(
        report,
        warnings=(f"external data of {secret}/net.onnx is large", f"in {project}: nothing", f"log: {home}/x.log"),
        model={"path": str(secret / "net.onnx"), "outputs": ["/model/layer/Conv_output_0"]},
    )
    out = small_bundle(project / "out", tmp_path / "work", report=report)
    text = "".join(p.read_text(errors="replace") for p in out.rglob("*") if p.is_file())
    for private in ("jane", "acme", "customers", str(tmp_path)):
        assert private not in text
    read = read_bundle(out)
    assert read.request().model == "net.onnx"
    assert read.request().calib == "data/photos"
    assert read.request().eval == "eval.py:score"
    assert read.request().baseline == "b.onnx"
    assert read.report.warnings[0] == "external data of net.onnx is large"
    assert read.report.warnings[2] == "log: ~/x.log"
    assert read.report.model == {"path": "net.onnx", "outputs": ["/model/layer/Conv_output_0"]}


# ---------------------------------------------------------------- the example
def test_the_example_runs_without_edgekit_and_leaves_the_bundle_whole(bundle: Path) -> None:
    done = run_example(bundle)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "logits: float32 [1, 4], agrees with the golden output"
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if line.startswith("import time:")
    }
    assert "numpy" in imported
    assert "onnxruntime" in imported
    assert not {"edgekit", "edgekit_onnx", "onnx"} & imported
    check_bundle(bundle)


def test_the_example_notices_a_wrong_output(tmp_path: Path) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work", golden_outputs={"logits": np.zeros((1, 4), np.float32)})
    done = run_example(out)
    assert done.returncode == 1
    assert "DIFFERS FROM" in done.stdout


def test_the_example_speaks_the_models_layout(tmp_path: Path) -> None:
    """An artifact with NHWC, quantized tensors of other names still takes and gives the original ones."""
    device = tmp_path / "device.py"
    device.write_text(
        "import numpy as np\n"
        "class Session:\n"
        "    def __init__(self, files, options):\n"
        "        self.step = np.float32(open(files['step']).read())\n"
        "    def run(self, feeds):\n"
        "        x = feeds['nhwc']\n"
        "        assert x.dtype == np.int8 and x.shape == (1, 2, 3, 4), (x.dtype, x.shape)\n"
        "        return {'out': (x.astype(np.int32) - 3 + 7).astype(np.uint8)}\n"
        "    def close(self):\n"
        "        pass\n"
    )
    (tmp_path / "step").write_text("0.5")
    original, stored = TensorSpec("x", "float32", (1, 4, 2, 3)), TensorSpec("nhwc", "int8", (1, 2, 3, 4))
    result, kept = TensorSpec("y", "float32", (1, 4, 2, 3)), TensorSpec("out", "uint8", (1, 2, 3, 4))
    artifact = Artifact(
        {"step": sha256_file(tmp_path / "step")},
        "step",
        (TensorMap("input", original, stored, (0, 2, 3, 1), 0.5, 3), TensorMap("output", result, kept, (0, 2, 3, 1), 0.5, 7)),
    )
    x = np.arange(24, dtype=np.float32).reshape(1, 4, 2, 3) / 2
    out = write_bundle(
        tmp_path / "out",
        report=full_report(),
        artifact=artifact,
        artifact_folder=tmp_path,
        runner=Runner((device,), "device", (), ("step",), {}, 1e-6),
        golden_inputs={"x": x},
        golden_outputs={"y": x},
    )
    done = run_example(out)
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- where it goes
def test_an_older_bundle_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work")
    (out / "README.md").write_text("damaged")  # it is listed, so it is nobody's work
    assert small_bundle(tmp_path / "out", tmp_path / "work") == out
    check_bundle(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]


def test_an_output_that_cannot_be_written_is_refused_before_slow_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        check_output(tmp_path / "file" / "out")
    assert check_output(tmp_path / "new" / "deeper" / "out") == tmp_path / "new" / "deeper" / "out"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_foreign_folder_needs_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert check_output(out) == out
    (out / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="not a bundle") as error:
        small_bundle(out, tmp_path / "work")
    assert "--force" in error.value.hint
    assert (out / "thesis.tex").read_text() == "x"
    check_bundle(small_bundle(out, tmp_path / "work", force=True))
    assert not (out / "thesis.tex").exists()


@pytest.mark.parametrize("name", ["thesis.txt", "artifact/notes/thesis.txt", ".hidden"])
def test_a_file_that_the_manifest_does_not_list_needs_force(bundle: Path, tmp_path: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_text("years of work")
    with pytest.raises(OutputError, match="not a bundle's") as error:
        check_output(bundle)
    assert repr(name) in error.value.why
    assert "--force" in error.value.hint
    with pytest.raises(OutputError):
        small_bundle(bundle, tmp_path / "work")
    assert (bundle / name).read_text() == "years of work"
    assert check_output(bundle, force=True) == bundle


def test_links_are_foreign_and_empty_folders_are_not(bundle: Path, tmp_path: Path) -> None:
    (bundle / "empty" / "deeper").mkdir(parents=True)
    assert check_output(bundle) == bundle
    (bundle / "data").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="does not list 'data'"):
        check_output(bundle)


@pytest.mark.parametrize(
    "manifest", ["", "[]", '{"schema": "edgekit.bundle/2", "files": {}}', '{"schema": "edgekit.bundle/1", "files": 3}']
)
def test_any_edgekit_json_is_not_enough(tmp_path: Path, manifest: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text(manifest)
    with pytest.raises(OutputError, match="not a bundle"):
        check_output(out)


def test_a_file_that_comes_while_the_bundle_is_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work")
    listing = bundle_module._listing

    def listing_then_thesis(folder: Path) -> Any:
        (out / "thesis.txt").write_text("years of work")
        return listing(folder)

    monkeypatch.setattr(bundle_module, "_listing", listing_then_thesis)
    with pytest.raises(OutputError, match="thesis"):
        small_bundle(out, tmp_path / "work")
    assert (out / "thesis.txt").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]


def test_home_and_the_working_directory_are_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    for out in (Path(), Path(".."), Path.home(), Path("/")):
        with pytest.raises(OutputError, match="never replaced"):
            check_output(out, force=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="not a folder"):
        check_output(tmp_path / "file", force=True)


@pytest.mark.parametrize("moment", ["artifact", "rename"])
def test_a_failed_write_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work")
    before = (out / MANIFEST).read_bytes()
    if moment == "artifact":
        changed, _ = onnx_artifact(tmp_path / "work")
        with pytest.raises(IntegrityError, match="changed after its build"):
            small_bundle(out, tmp_path / "work", artifact=replace(changed, files={"model.onnx": "0" * 64}))
    else:
        rename = Path.rename

        def interrupted(self: Path, target: Path) -> Path:
            if self.name.endswith(".tmp"):
                raise KeyboardInterrupt
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            small_bundle(out, tmp_path / "work")
        monkeypatch.undo()
    assert (out / MANIFEST).read_bytes() == before
    check_bundle(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]


@pytest.mark.parametrize("moment", ["made", "retired", "renamed", "removing"])
def test_ctrl_c_leaves_a_whole_bundle_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work")
    rename, mkdir, rmtree = Path.rename, Path.mkdir, shutil.rmtree
    interrupted: list[str] = []

    def interrupt(*, when: bool) -> None:
        if when and not interrupted:
            interrupted.append(moment)
            raise KeyboardInterrupt

    def renaming(self: Path, target: Path) -> Path:
        done = rename(self, target)
        interrupt(when=(moment == "retired" and target.name == "bundle") or (moment == "renamed" and self.name.endswith(".tmp")))
        return done

    def making(self: Path, *arguments: Any, **options: Any) -> None:
        mkdir(self, *arguments, **options)
        interrupt(when=moment == "made" and self.name.endswith(".old"))

    def removing(path: Path, *arguments: Any, **options: Any) -> None:
        if moment == "removing" and str(path).endswith(".old"):
            next(p for p in Path(path).rglob("*") if p.is_file()).unlink(missing_ok=True)
            interrupt(when=True)
        rmtree(path, *arguments, **options)

    monkeypatch.setattr(Path, "rename", renaming)
    monkeypatch.setattr(Path, "mkdir", making)
    monkeypatch.setattr(shutil, "rmtree", removing)
    with pytest.raises(KeyboardInterrupt):
        small_bundle(out, tmp_path / "work")
    assert interrupted == [moment]
    check_bundle(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "work"]


# ---------------------------------------------------------------- the calibration manifest
def calibrated(n_fit: int) -> DeployReport:
    """A report whose calibration manifest has a hash for each feed, as a real one has."""
    hashes = [f"{i:064x}" for i in range(n_fit + 8)]
    lists = {"fit": hashes[:n_fit], "held_out": hashes[n_fit:]}
    return replace(full_report(), calibration={"kind": "npz", "n_fit": n_fit, "n_held_out": 8, "samples": None, **lists})


def test_the_hashes_of_the_feeds_stand_in_the_manifest_once(tmp_path: Path) -> None:
    report = calibrated(32)
    assert report.calibration is not None
    out = small_bundle(tmp_path / "out", tmp_path / "work", report=report)
    text = (out / MANIFEST).read_text()
    assert all(text.count(value) == 1 for name in ("fit", "held_out") for value in report.calibration[name])
    read = read_bundle(out)
    assert read.calibration == report.calibration
    short = {"kind": "npz", "n_fit": 32, "n_held_out": 8, "samples": None}
    digests = {f"{name}_sha256": sha256_json(report.calibration[name]) for name in ("fit", "held_out")}
    assert read.report.calibration == {**short, **digests}
    assert next(step for step in read.provenance if step.step == "calibrate").effective == {**short, **digests}
    assert read.report == replace(report, bundle=".", calibration={**short, **digests})
    validator("deploy").validate(json.loads(text)["report"])


def test_too_many_feeds_are_refused_before_slow_work_and_the_most_that_fit_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "MAX_JSON_BYTES", bundle_module._RESERVED_BYTES + 100_000)
    with pytest.raises(OutputError, match=r"hashes of 2008 calibration feeds do not fit") as error:
        check_calibration(calibrated(2000).calibration)
    fit = int(error.value.hint.split(": ")[1].split()[0])
    small_bundle(tmp_path / "out", tmp_path / "work", report=calibrated(fit - 8 - 10))
    with pytest.raises(OutputError, match="do not fit"):
        small_bundle(tmp_path / "other", tmp_path / "work", report=calibrated(fit + 10))
    assert not (tmp_path / "other").exists()
    check_calibration(None)


def test_unsafe_artifact_names_never_reach_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "work").mkdir()
    artifact, _ = onnx_artifact(tmp_path / "work")
    for name in ("../secret", str(tmp_path / "secret"), "missing"):
        with pytest.raises(IntegrityError, match="artifact file"):
            small_bundle(tmp_path / "out", tmp_path / "work", artifact=replace(artifact, files={name: "0" * 64}))
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- hostile bundles
def _listed(bundle: Path, name: str) -> None:
    """Makes the list agree with what now stands at ``name``."""
    entry = {"sha256": sha256_file(bundle / name), "size_bytes": (bundle / name).stat().st_size}
    edit(bundle, lambda m: m["files"].update({name: entry}))


def _hardlink(bundle: Path) -> None:
    outside = bundle.parent / "outside"
    os.link(bundle / "artifact/model.onnx", outside)


def _replace_by_link(bundle: Path) -> None:
    shutil.move(bundle / "artifact/model.onnx", bundle.parent / "model.onnx")
    (bundle / "artifact/model.onnx").symlink_to(bundle.parent / "model.onnx")


def _folder_by_link(bundle: Path) -> None:
    shutil.move(bundle / "golden", bundle.parent / "golden")
    (bundle / "golden").symlink_to(bundle.parent / "golden")


def _fifo(bundle: Path) -> None:
    (bundle / "README.md").unlink()
    os.mkfifo(bundle / "README.md")


def _manifest_fifo(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    os.mkfifo(bundle / MANIFEST)


def _manifest_folder(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    (bundle / MANIFEST).mkdir()


def _manifest_link(bundle: Path) -> None:
    shutil.move(bundle / MANIFEST, bundle.parent / MANIFEST)
    (bundle / MANIFEST).symlink_to(bundle.parent / MANIFEST)


def _huge_manifest(bundle: Path) -> None:
    os.truncate(bundle / MANIFEST, 1 << 40)


def _huge_file(bundle: Path) -> None:
    """A sparse file of a petabyte, declared honestly."""
    try:
        os.truncate(bundle / "README.md", 1 << 43)
    except OSError:
        os.truncate(bundle / "README.md", 1 << 38)
    edit(bundle, lambda m: m["files"]["README.md"].update(size_bytes=(bundle / "README.md").stat().st_size))


def replace_text(bundle: Path, old: str, new: str) -> None:
    text = (bundle / MANIFEST).read_text()
    assert old in text
    (bundle / MANIFEST).write_text(text.replace(old, new, 1))


def _raw(text: str) -> Callable[[Path], object]:
    return lambda bundle: (bundle / MANIFEST).write_text(text)


def _edit(change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda bundle: edit(bundle, change)


FILE = {"sha256": "0" * 64, "size_bytes": 1}
ATTACKS: dict[str, Callable[[Path], object]] = {
    "flip": lambda b: (b / "README.md").write_bytes((b / "README.md").read_bytes().replace(b"edgekit", b"edgekid")),
    "truncate": lambda b: os.truncate(b / "artifact/model.onnx", 10),
    "append": lambda b: (b / "README.md").write_text((b / "README.md").read_text() + "x"),
    "remove": lambda b: (b / "runner/device.py").unlink(),
    "add": lambda b: (b / "artifact/extra.bin").write_bytes(b"x"),
    "add-hidden": lambda b: (b / ".hidden").write_bytes(b"x"),
    "add-weird-name": lambda b: (b / "a\nb").write_bytes(b"x"),
    "hard link": _hardlink,
    "symbolic link": _replace_by_link,
    "folder by link": _folder_by_link,
    "pipe": _fifo,
    "manifest by pipe": _manifest_fifo,
    "manifest by link": _manifest_link,
    "manifest a folder": _manifest_folder,
    "manifest gone": lambda b: (b / MANIFEST).unlink(),
    "manifest huge": _huge_manifest,
    "manifest empty": _raw(""),
    "manifest list": _raw("[]"),
    "manifest null": _raw("null"),
    "manifest binary": lambda b: (b / MANIFEST).write_bytes(b"\xff\xfe\x00"),
    "deep": _raw("[" * 200_000),
    "deep object": _raw('{"a":' * 900 + "1" + "}" * 900),
    "long number": _raw('{"a": ' + "9" * 100_000 + "}"),
    "nan": _edit(lambda m: m["report"].update(wall_s=float("nan"))),
    "key twice": lambda b: replace_text(b, '"tools":', '"tools": {}, "tools":'),
    "unknown key": _edit(lambda m: m.update(extra=1)),
    "unknown inner key": _edit(lambda m: m["artifact"].update(extra=1)),
    "key gone": _edit(lambda m: m.pop("tools")),
    "other schema": _edit(lambda m: m.update(schema="edgekit.bundle/2")),
    "report of another schema key": _edit(lambda m: m["report"].pop("winner")),
    "deep calibration": _edit(lambda m: m.update(calibration=json.loads('{"a":' * 70 + "1" + "}" * 70))),
    "absolute path": _edit(lambda m: m["files"].update({"/etc/passwd": FILE})),
    "climbing path": _edit(lambda m: m["files"].update({"a/../../x": FILE})),
    "backslash path": _edit(lambda m: m["files"].update({"..\\x": FILE})),
    "empty path": _edit(lambda m: m["files"].update({"": FILE})),
    "dot path": _edit(lambda m: m["files"].update({"./README.md": FILE})),
    "nul path": _edit(lambda m: m["files"].update({"a\0b": FILE})),
    "long path": _edit(lambda m: m["files"].update({"a/" * 5000 + "b": FILE})),
    "listed but missing": _edit(lambda m: m["files"].update({"a": FILE})),
    "huge size": _edit(lambda m: m["files"]["README.md"].update(size_bytes=1 << 62)),
    "negative size": _edit(lambda m: m["files"]["README.md"].update(size_bytes=-1)),
    "float size": _edit(lambda m: m["files"]["README.md"].update(size_bytes=1.5)),
    "bad hash": _edit(lambda m: m["files"]["README.md"].update(sha256="x")),
    "upper-case hash": _edit(lambda m: m["files"]["README.md"].update(sha256="A" * 64)),
    "honest petabyte": _huge_file,
    "too many files": _edit(lambda m: m["files"].update({f"f{i}": FILE for i in range(10_001)})),
    "entry outside": _edit(lambda m: m["artifact"].update(entry="../x")),
    "artifact file outside": _edit(lambda m: m["artifact"]["files"].update({"../x": "0" * 64})),
    "damaged evidence": lambda b: replace_text(b, "nothing is faster", "all is faster"),
    "infinite number": lambda b: replace_text(b, '"wall_s": 12.5', '"wall_s": 1e999'),
    "two hashes": _edit(lambda m: m["artifact"]["files"].update({"model.onnx": "0" * 64})),
    "runner code outside": _edit(lambda m: m["runner"].update(code=["/bin/sh"])),
    "runner file outside": _edit(lambda m: m["runner"].update(files=["../x"])),
    "golden outside": _edit(lambda m: m["golden"].update(inputs="/etc/passwd")),
}


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_every_attack_is_an_integrity_error_at_once(bundle: Path, attack: str) -> None:
    ATTACKS[attack](bundle)
    around = sorted(p.name for p in bundle.parent.iterdir())
    inside = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*"))
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    with pytest.raises(IntegrityError) as error:
        check_bundle(bundle)
    assert time.process_time() - started_cpu_s < 1.0, "of work; a neighbour's does not count"
    assert time.monotonic() - started_s < 20, "nor does it wait for anything"
    assert len(str(error.value)) < 2000
    assert sorted(p.name for p in bundle.parent.iterdir()) == around
    assert sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*")) == inside


def test_a_wrong_hash_names_the_file_expected_and_found(bundle: Path) -> None:
    expected = sha256_file(bundle / "README.md")
    ATTACKS["flip"](bundle)
    with pytest.raises(IntegrityError) as error:
        check_bundle(bundle)
    assert "README.md" in error.value.what
    assert expected in error.value.why
    assert sha256_file(bundle / "README.md") in error.value.why


@pytest.mark.parametrize("seed", range(3))
def test_any_changed_byte_is_found_or_changes_nothing(bundle: Path, shared: Path, seed: int) -> None:
    """Random damage anywhere, the manifest included: refused, or read as exactly what was written (white space in the JSON)."""
    rng = np.random.default_rng(seed)
    original = read_bundle(shared)
    for _ in range(60):
        names = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())
        name = str(rng.choice([MANIFEST, *names]))
        data = bytearray((bundle / name).read_bytes())
        at = int(rng.integers(len(data)))
        kind = rng.choice(["flip", "cut", "insert"])
        if kind == "flip":
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == "cut":
            del data[at:]
        else:
            data[at:at] = bytes([int(rng.integers(256))])
        (bundle / name).write_bytes(data)
        try:
            result = check_bundle(bundle)
        except IntegrityError:
            pass
        else:
            assert name == MANIFEST
            assert result.bundle == original
        shutil.copyfile(shared / name, bundle / name)
    check_bundle(bundle)


def test_a_corrected_list_is_only_a_list(bundle: Path) -> None:
    """Whoever rewrites file and list passes the integrity check: that is why the origin is unknown."""
    (bundle / "README.md").write_text("other")
    _listed(bundle, "README.md")
    assert check_bundle(bundle).origin == "unknown"


def test_what_is_no_bundle_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path(__file__)):
        with pytest.raises(IntegrityError, match="not a bundle"):
            check_bundle(path)
