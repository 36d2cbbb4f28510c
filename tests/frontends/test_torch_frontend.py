"""A .pt2 on its way into edgekit: loaded in a process of its own, exported once, compared with PyTorch."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.commands import document, edgekit_forked
from support.requirements import torch_models
from support.torch_archives import Touches, changed, edited, minimal, named, read, saved, write

from edgekit import cache
from edgekit.errors import MissingExtraError, ModelError, OutputError
from edgekit.frontends import torch_frontend, torch_worker
from edgekit.frontends.graph import all_graphs, all_nodes
from edgekit.frontends.onnx_frontend import read_clean
from edgekit.frontends.torch_frontend import Limits, export_archive
from edgekit.model import load_model

SYMBOL = "Symbol('s"


def _saved_net(folder: Path, kind: str) -> Path:
    """A net as a user saves it, any batch from 1 to 64."""
    models = torch_models()
    from torch.export import Dim

    net = models.net(getattr(models, kind)).eval()
    return models.save_pt2(folder / f"{kind}.pt2", net, (models.example(),), ({0: Dim("batch", min=1, max=64)},))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved_net(tmp_path_factory.mktemp("pt2"), "OneLayer")


def _torch_runs(path: Path) -> None:
    """What torch.export.load does with the file, whatever comes of it."""
    import contextlib
    import logging

    import torch

    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            torch.export.load(str(path))
    finally:
        logging.disable(logging.NOTSET)


# ---------------------------------------------------------------- what works
def test_a_saved_program_deploys_to_both_targets_and_is_exported_once(own_home: Path, tmp_path: Path) -> None:
    archive = _saved_net(tmp_path, "ResNet18")
    targets = "onnx,openvino" if importlib.util.find_spec("openvino") and importlib.util.find_spec("edgekit_openvino") else "onnx"
    np.savez(tmp_path / "fit.npz", image=np.concatenate([feed["image"] for feed in torch_models().calibration()]))
    before = archive.read_bytes()
    result = edgekit_forked(
        "deploy", archive, "--target", targets, "--calib", tmp_path / "fit.npz", "--budget", "2s", "-o", tmp_path / "out", "--json"
    )
    assert result.returncode == 0, result.stderr
    report = document(result)
    assert report["model"]["name"] == "ResNet18.pt2"
    assert report["model"]["format"] == "pt2"
    assert report["winner"] is not None
    measured = {row["target"] for row in report["candidates"] if row["stage"] == "measured" and row["accepted"]}
    assert measured == set(targets.split(","))
    assert any("exported from PyTorch" in warning for warning in report["warnings"])
    assert archive.read_bytes() == before

    # The second time nothing is exported: the cached ONNX is read, and no process is started.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_frontend, "_run_worker", None)
        model = load_model(archive)
    assert model.fingerprint == report["model"]["fingerprint"]
    assert (model.path, model.format) == (archive, "pt2")
    assert model.onnx_path.is_relative_to(own_home)
    (image,) = model.inputs
    assert (image.name, image.shape[1:]) == ("image", (3, 32, 32))
    assert isinstance(image.shape[0], str)
    remarks = [entry for node in read_clean(model).graph.node for entry in (*node.metadata_props, node.doc_string)]
    assert not any(remarks)  # no folder of the machine that it was exported on
    assert str(Path(__file__).parent) not in model.onnx_path.read_bytes().decode("latin-1")


def test_remarks_in_branches_and_functions_go_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter writes the stack trace of every node, wherever it lies."""
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    bodies = [
        onnx.helper.make_graph([onnx.helper.make_node(operator, ["x"], ["z"])], "body", [], [values[1]])
        for operator in ("Relu", "Neg")
    ]
    for body in bodies:
        body.output[0].name = "z"
    branch = onnx.helper.make_node("If", ["c"], ["y"], then_branch=bodies[0], else_branch=bodies[1])
    condition = onnx.helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    proto = onnx.helper.make_model(onnx.helper.make_graph([branch], "main", [condition, values[0]], values[1:]))
    opset = onnx.helper.make_opsetid("", 17)
    proto.functions.append(
        onnx.helper.make_function("own", "F", ["a"], ["b"], [onnx.helper.make_node("Abs", ["a"], ["b"])], [opset])
    )
    there = [each for graph in all_graphs(proto) for each in (graph, *graph.input, *graph.output)]
    for remarked in (proto, *proto.functions, *all_nodes(proto), *there):
        remarked.doc_string = "/home/me/net.py"
        remarked.metadata_props.add(key="stack_trace", value="/home/me/net.py")
    onnx.save(proto, tmp_path / "model.onnx")
    monkeypatch.setattr(torch_frontend.metadata, "version", lambda _: "2.9")
    (tmp_path / "kept").mkdir()
    torch_frontend.keep(tmp_path / "model.onnx", tmp_path / "kept", 0.0)
    assert b"/home/me" not in (tmp_path / "kept" / "model.onnx").read_bytes()


# ---------------------------------------------------------------- what is refused
def _attacks(archive: Path, folder: Path, sentinel: Path) -> dict[str, Path]:
    program = read(archive)[named(read(archive), "models/model.json")].decode()
    size = program.partition('"expr_str": "')[2].partition('"')[0]
    assert size.startswith(SYMBOL)
    bomb = saved(((Touches(sentinel),), {}))
    weights = named(read(archive), "model_weights_config.json")
    config = json.loads(read(archive)[weights])
    next(iter(config["config"].values()))["use_pickle"] = True
    pickled = changed(archive, folder / "weights.pt2", "model_weights_config.json", json.dumps(config).encode())
    return {
        "samples": changed(archive, folder / "samples.pt2", "sample_inputs/model.pt", bomb),
        "weights": changed(pickled, pickled, "weights/weight_0", bomb),
        "size": edited(archive, folder / "size.pt2", size, f"__import__('pathlib').Path('{sentinel}').touch()"),
    }


@pytest.mark.parametrize("kind", ["samples", "weights", "size"])
def test_a_bomb_is_refused_without_running_it(archive: Path, tmp_path: Path, kind: str) -> None:
    sentinel = tmp_path / "ran"
    path = _attacks(archive, tmp_path, sentinel)[kind]
    with pytest.raises(ModelError, match="was not loaded"):
        export_archive(path)
    assert not sentinel.exists()
    _torch_runs(path)
    assert sentinel.exists()  # it is a real one


def test_the_command_line_refuses_a_bomb_and_takes_trust_from_nowhere_else(archive: Path, tmp_path: Path) -> None:
    path = _attacks(archive, tmp_path, tmp_path / "ran")["samples"]
    (tmp_path / "edgekit.toml").write_text("[deploy]\ntrust-model = true\n")
    refused = edgekit_forked("deploy", path, "--target", "onnx", cwd=tmp_path)
    assert refused.returncode == 2
    assert "trust" in refused.stderr
    (tmp_path / "edgekit.toml").unlink()
    refused = edgekit_forked("inspect", path, "--json")
    assert refused.returncode == 4
    assert "--trust-model" in document(refused)["hint"]
    assert not (tmp_path / "ran").exists()


def test_trusted_code_runs_in_the_process_apart(archive: Path, tmp_path: Path) -> None:
    """--trust-model means what it says: the pickle is loaded, and the program with it."""
    path = _attacks(archive, tmp_path, tmp_path / "ran")["samples"]
    exported = export_archive(path, trusted=True)
    assert (tmp_path / "ran").exists()
    assert load_model(exported.onnx_path).inputs[0].name == "image"
    (tmp_path / "ran").unlink()
    with pytest.raises(ModelError, match="was not loaded"):
        export_archive(path)  # what trust exported is not what is found without it


def test_behind_the_examination_stand_two_more_lines(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Were the examination to overlook a pickle, torch would still be held to tensors, and the process to no lookups by name."""
    path = _attacks(archive, tmp_path, tmp_path / "ran")["samples"]
    monkeypatch.setattr(torch_frontend, "write_checked", lambda source, target, *, trusted: target.write_bytes(source.read_bytes()))
    with pytest.raises(ModelError, match="cannot load this program"):
        export_archive(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "event", ["socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class"]
)
def test_the_process_apart_starts_nothing_and_calls_nobody(event: str) -> None:
    with pytest.raises(PermissionError, match=event.replace(".", r"\.")):
        torch_worker._refuse_any(event, ())
    torch_worker._refuse_any("open", ())
    if event.startswith("socket."):
        with pytest.raises(PermissionError):
            torch_worker._refuse_network(event, ())


# ---------------------------------------------------------------- bounds
def test_time_and_memory_are_bounded(archive: Path, own_home: Path) -> None:
    with pytest.raises(ModelError, match=r"within 0\.3 s"):
        export_archive(archive, limits=Limits(time_s=0.3))
    with pytest.raises(ModelError) as caught:
        export_archive(archive, limits=Limits(memory_bytes=96 << 20, memory_per_file_byte=0))
    assert "memory" in str(caught.value)
    assert cache.usage().n_entries == 0
    assert not list((own_home / "cache" / "work").glob("run.*"))


def test_what_the_process_says_at_its_end_is_kept(archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text("import sys; sys.exit('\\x1b[31mno luck')")
    monkeypatch.setattr(torch_frontend, "_WORKER", script)
    with pytest.raises(ModelError) as caught:
        export_archive(archive)
    assert caught.value.why == "it ended with code 1: [31mno luck"


def test_the_process_sees_nothing_of_the_users_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    seen = torch_frontend._environment(tmp_path, trusted=False)
    assert "secret" not in seen.values()
    assert "PYTHONPATH" not in seen
    assert seen["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in torch_frontend._environment(tmp_path, trusted=True)


# ---------------------------------------------------------------- without torch
@pytest.mark.parametrize("package", ["torch", "onnxscript"])
def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    found = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == package else "there" if name in ("torch", "onnxscript") else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(MissingExtraError, match=rf"{package} is not installed.*edgekit-sdk\[torch\]"):
        load_model(write(tmp_path / "net.pt2", minimal()))
    with pytest.raises(ModelError, match="not part of a tensor"):  # a bomb is refused all the same
        load_model(write(tmp_path / "bomb.pt2", {**minimal(), "net/data/sample_inputs/model.pt": saved(Touches(tmp_path / "ran"))}))


def test_the_modules_are_there_without_torch() -> None:
    """Reading about a .pt2 imports no torch: edgekit stays as light as it was."""
    import subprocess

    code = (
        "import sys, edgekit.frontends.torch_frontend, edgekit.frontends.torch_module, edgekit.frontends.torch_worker; "
        "sys.exit('torch' in sys.modules or 'onnxscript' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_cache_that_cannot_be_written_is_said(archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError):
        export_archive(archive)
