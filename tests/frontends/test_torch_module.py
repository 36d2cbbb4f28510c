"""A module from Python becomes an ONNX file that every function takes; the module stays as it was."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.requirements import torch_models

import edgekit
from edgekit.errors import ModelError, UsageError


@pytest.fixture(scope="module")
def models() -> ModuleType:
    return torch_models()


def _targets() -> str:
    there = importlib.util.find_spec("openvino") and importlib.util.find_spec("edgekit_openvino")
    return "onnx,openvino" if there else "onnx"


@pytest.mark.parametrize("kind", ["MobileNetV2", "VisionTransformer"])
def test_a_net_deploys_to_both_targets_and_is_not_changed(models: ModuleType, tmp_path: Path, kind: str) -> None:
    import torch

    net = models.net(getattr(models, kind))  # in training mode, with dropout
    net.get_submodule("head").eval()  # one part of it frozen
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [part.training for part in net.modules()]
    path = edgekit.from_torch(net, models.example(), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},))
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert [part.training for part in net.modules()] == modes
    assert path.name == f"{kind}.onnx"

    picture = models.example(5)
    with torch.no_grad():
        expected = net.eval()(picture).numpy()
    (found,) = onnxruntime.InferenceSession(path).run(None, {"image": picture.numpy()})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    if kind == "MobileNetV2":
        return  # as an ONNX file it is one of convolutions, as that of the .pt2 of test_torch_frontend.py is, which is deployed
    report = edgekit.deploy(path, target=_targets(), calib=models.calibration(), budget="3s", output=tmp_path / "out")
    assert report.winner is not None
    assert report.model["inputs"][0]["shape"] == ["batch", 3, 32, 32]
    assert {row.target for row in report.candidates if row.stage == "measured" and row.accepted} == set(_targets().split(","))


def test_several_inputs_whole_numbers_and_named_outputs(models: ModuleType) -> None:
    import torch
    from torch import nn

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(20, 8), nn.Linear(8, 3)  # a table that is smaller than most token numbers

        def forward(self, ids: torch.Tensor, mask: torch.Tensor, scale: float = 2.0) -> dict[str, torch.Tensor]:
            seen = self.table(ids) * mask[..., None]
            return {"logits": self.head(seen.mean(1)) * scale, "kept": mask.sum(1)}

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=32)
    free = {0: batch, 1: length}
    ids, mask = torch.randint(0, 20, (2, 9)), torch.randint(0, 2, (2, 9))
    path = edgekit.from_torch(Tokens(), {"mask": mask, "ids": ids}, dynamic_shapes={"ids": free, "mask": free}, name="my net/..")
    model = edgekit.load_model(path)
    assert path.name == "my_net.onnx"
    assert [(spec.name, spec.dtype, spec.shape) for spec in model.inputs] == [
        ("mask", "int64", ("batch", "length")),
        ("ids", "int64", ("batch", "length")),
    ]
    assert len(model.outputs) == 2


def test_an_exported_program_is_taken_as_it_is(models: ModuleType) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(torch.nn.Linear(4, 2).eval(), (torch.zeros(1, 4),))
    path = edgekit.from_torch(program, name="linear")
    assert edgekit.load_model(path).inputs[0].shape == (1, 4)
    assert edgekit.from_torch(program, name="linear") == path  # the same program gives the same file
    assert edgekit.from_torch(program, name="other") != path
    with pytest.raises(UsageError, match="has its inputs"):
        edgekit.from_torch(program, torch.zeros(1, 4))


def test_a_module_that_keeps_state_is_refused_and_its_state_stays(models: ModuleType) -> None:
    import torch

    class Counter(torch.nn.Module):
        def __init__(self, part: slice) -> None:
            super().__init__()
            self.part = part
            self.register_buffer("seen", torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen[self.part].add_(x.sum())
            return x + self.seen

    for part in (slice(None), slice(0, 2)):
        counter = Counter(part)
        with pytest.raises(ModelError, match=r"its own buffers.*seen"):
            edgekit.from_torch(counter, torch.ones(2, 4))
        assert counter.seen.tolist() == [0, 0, 0, 0]


def test_a_random_answer_is_not_equal(models: ModuleType) -> None:
    import torch

    class Noise(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand_like(x)

    with pytest.raises(ModelError, match=r"differs by 0\.\d+ of its largest value"):
        edgekit.from_torch(Noise(), torch.ones(2, 4))


def test_what_cannot_be_exported_is_said_in_one_line(models: ModuleType) -> None:
    import torch
    from torch import nn

    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    class Eigenvalues(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvalsh(x)

    with pytest.raises(ModelError, match="cannot export Branches"):
        edgekit.from_torch(Branches(), torch.ones(2, 4))
    with pytest.raises(ModelError, match=r"in ONNX.*eigh"):
        edgekit.from_torch(Eigenvalues(), torch.eye(4))
    with pytest.raises(ModelError, match=r"'input' is not supported.*bfloat16"):
        edgekit.from_torch(nn.Linear(4, 2).bfloat16(), torch.zeros(1, 4, dtype=torch.bfloat16))


def test_misuse_is_a_usage_error(models: ModuleType) -> None:
    import torch
    from torch import nn

    hooked = nn.Sequential(nn.Linear(4, 2))
    hooked[0].register_forward_hook(lambda *_: None)
    odd: list[tuple[tuple[Any, ...], str]] = [
        ((nn.Linear(4, 2),), "needs example inputs"),
        ((nn.Linear(4, 2), "x"), "cannot be used"),
        ((print, torch.zeros(1)), "not a PyTorch module"),
        ((nn.Linear(4, 2, device="meta"), torch.zeros(1, 4)), "weight is on meta"),
        ((nn.Linear(4, 2), torch.zeros(1, 4, device="meta")), "input 0 is on meta"),
        ((hooked, torch.zeros(1, 4)), "0 has forward hooks"),
    ]
    for arguments, words in odd:
        with pytest.raises(UsageError, match=words):
            edgekit.from_torch(*arguments)
    for function in (edgekit.deploy, edgekit.load_model, edgekit.profile):
        with pytest.raises(UsageError, match=r"Linear is not the path of a model.*edgekit\.from_torch"):
            function(nn.Linear(4, 2))
