"""A PyTorch module from Python: exported in the caller's own process, where its code runs already."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import cache
from ..errors import ModelError, UsageError
from ..state import work_folder
from ..types import JSON, Artifact
from . import torch_convert
from .torch_frontend import ONNX_NAME, export_key, keep, note, require_torch
from .torch_parity import check_parity

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

_log = logging.getLogger(__name__)


def from_torch(
    module: nn.Module | ExportedProgram,
    example_inputs: Tensor | tuple[Any, ...] | Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    name: str | None = None,
) -> Path:
    """The ONNX file of a PyTorch module, for every function that takes a model: ``deploy(from_torch(net, example), ...)``.

    The module is exported in eval mode (its own mode is put back), its ONNX is compared with what the module answers to the
    example and to seeded inputs, and the file is kept in edgekit's cache: ``edgekit cache clear`` removes it, and the same module
    gives the same file again. Neither the module nor its weights are changed. Needs the ``torch`` extra.

    Args:
        module: a ``torch.nn.Module`` on the CPU, or what ``torch.export.export`` returned.
        example_inputs: one tensor, a tuple of positional arguments of ``forward``, or a dict of named ones. Only for a module.
        dynamic_shapes: which axes are free, as ``torch.export.export`` takes it; none unless said. Only for a module.
        name: what reports call the model; the module's class unless said.

    Returns:
        The path of the ``.onnx`` file.

    Raises:
        MissingExtraError: torch or onnxscript is not installed.
        UsageError: not a module, no example inputs, tensors that are not on the CPU, or hooks that an export cannot keep.
        ModelError: PyTorch cannot export it, it changes its own buffers, or the ONNX does not say what the module says.
        OutputError: the cache cannot be written.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU())
        >>> from_torch(net, torch.zeros(1, 8), name="tiny").name
        'tiny.onnx'
    """
    require_torch("reading a PyTorch module")
    import torch
    from torch.export import ExportedProgram

    called = re.sub(r"[^A-Za-z0-9._-]+", "_", name or type(module).__name__).strip("._") or "model"
    with torch_convert.quiet(), work_folder() as scratch:
        if isinstance(module, ExportedProgram):
            if example_inputs is not None or dynamic_shapes is not None:
                raise UsageError("an exported program has its inputs and shapes already", hint="leave the other arguments out")
            program, cases, examples = module, [], {}
            torch_convert.check_inference(program)
        elif isinstance(module, torch.nn.Module):
            arguments, named = _arguments(example_inputs)
            _check_module(module, (*arguments, *named.values()))
            with _evaluating(module):
                program = _exported(module, arguments, named, dynamic_shapes)
                torch_convert.check_inference(program)
                case = torch_convert.example_case(program, module, arguments, named)
            cases, examples = [case], case[0]
        else:
            raise UsageError(
                f"{type(module).__name__} is not a PyTorch module",
                hint="give a torch.nn.Module with example_inputs, or what torch.export.export returned",
            )
        torch_convert.write_onnx(program, scratch / ONNX_NAME, dynamic_shapes)
        cases += torch_convert.parity_cases(program, examples)
        difference = check_parity(scratch / ONNX_NAME, cases, called)
        return _kept(scratch / ONNX_NAME, called, difference)


def _kept(exported: Path, name: str, difference: float) -> Path:
    tidied = exported.with_name("tidied")
    tidied.mkdir()
    artifact = keep(exported, tidied, difference, name=f"{name}.onnx")
    key: dict[str, JSON] = {**export_key(), "name": name, "files": dict(artifact.files)}

    def build(files: Path) -> Artifact:
        for file in artifact.files:
            (tidied / file).rename(files / file)
        return artifact

    artifact, folder, _ = cache.get_or_build(key, build)
    _log.info("%s: %s", name, note(artifact))
    return folder / artifact.entry


def _arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    import torch

    if isinstance(example_inputs, torch.Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, (tuple, list)):
        return tuple(example_inputs), {}
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    raise UsageError(
        "a PyTorch module needs example inputs" if example_inputs is None else "example_inputs cannot be used",
        why="PyTorch exports a module by following one call of it",
        hint="give a tensor, a tuple of tensors or a dict of them: from_torch(module, torch.zeros(1, 3, 224, 224))",
    )


def _check_module(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError("TorchScript modules are not supported", hint="give the torch.nn.Module that it was made from")
    tensors = [*module.state_dict(keep_vars=True).items(), *((f"input {index}", value) for index, value in enumerate(inputs))]
    for what, tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.device.type != "cpu":
            raise UsageError(
                f"{what} is on {tensor.device}", why="edgekit compares on the CPU", hint="call module.cpu() and move the inputs too"
            )
    hooked = [
        label or type(part).__name__
        for label, part in module.named_modules()
        if part._forward_hooks or part._forward_pre_hooks
    ]  # fmt: skip
    if hooked:
        raise UsageError(
            f"{', '.join(hooked[:4])} has forward hooks",
            why="an export would call them with tensors that hold no values, and cannot keep what they do",
            hint="remove the hooks first; those of old weight_norm by torch.nn.utils.remove_weight_norm",
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode, and each part's own mode and values back afterwards.

    Raises:
        ModelError: the module writes to its own buffers in eval mode, too.
    """
    import torch

    modes = [(part, part.training) for part in module.modules()]
    buffers = {name: (buffer, buffer.detach().clone()) for name, buffer in module.named_buffers()}
    module.eval()
    try:
        yield
    finally:
        changed = {
            name: pair for name, pair in buffers.items() if not torch.allclose(*pair, rtol=0, atol=0, equal_nan=True)
        }  # fmt: skip
        with torch.no_grad():
            for buffer, before in changed.values():
                buffer.copy_(before)
        for part, mode in modes:
            part.training = mode
    if changed:
        raise torch_convert.changes_itself(list(changed))


def _exported(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], dynamic_shapes: Any) -> ExportedProgram:
    import torch

    try:
        with torch.no_grad():
            return torch.export.export(module, arguments, named, dynamic_shapes=dynamic_shapes, strict=False)
    except Exception as problem:  # the exporter runs the user's code and raises whatever that raises
        raise ModelError(
            f"PyTorch cannot export {type(module).__name__}",
            why=torch_convert.first_line(problem),
            hint="torch.export.export(module, args, strict=False) shows the whole message",
        ) from problem
