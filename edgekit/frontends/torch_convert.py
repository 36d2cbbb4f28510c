"""From an exported PyTorch program to ONNX, and what PyTorch itself says to made-up inputs.

The only module of the core that imports torch, and only inside its functions. Two callers reach them: the subprocess that reads
``.pt2`` files (``torch_worker.py``) and :func:`edgekit.from_torch`, whose caller has torch loaded already.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..synthetic import synthetic_feeds
from ..types import Array, TensorSpec

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

OPSET = 18  #: the oldest that PyTorch's exporter writes without converting versions
_DTYPES = {
    f"torch.{name}": name
    for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
}  # fmt: skip
_LARGEST_FREE_SIZE = 4096  # of an axis that is tried; a picture or a sequence of that size still runs in seconds

Case = tuple[dict[str, Array], list[Array]]  #: ({input name: array}, outputs in order)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """PyTorch's exporters warn of their own internals; what matters to the user is said by an error."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(before)


def preload() -> None:
    """Import everything that an export needs."""
    import onnxscript  # noqa: F401
    import torch.export
    import torch.onnx

    with contextlib.suppress(ImportError):  # operators of quantized programs; newer versions keep them in a package of its own
        import torch.ao.quantization.fx._decomposed  # noqa: F401


def load_program(path: Path) -> ExportedProgram:
    """The program in an archive that has been checked (or that the user trusts).

    Raises:
        ModelError: PyTorch cannot load it; says why.
    """
    import torch

    reasons = _Reasons()
    logger = logging.getLogger("torch.export")
    logger.addHandler(reasons)
    try:
        return torch.export.load(str(path))
    except Exception as problem:  # torch's loader raises whatever its parts raise
        raise ModelError(
            f"PyTorch {torch.__version__} cannot load this program",
            why=first_line(reasons.found[0] if reasons.found else problem),
            hint="it may be damaged or written by a newer PyTorch; write it with torch.export.save of the installed one",
        ) from problem
    finally:
        logger.removeHandler(reasons)


class _Reasons(logging.Handler):
    """Keeps the exceptions that torch.export.load only logs, before it raises one that says to look at the log."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(record.exc_info[1])


def check_inference(program: ExportedProgram) -> None:
    """Refuse a program whose answers change from run to run: exported in training mode, or writing to its own buffers.

    Raises:
        ModelError: names the operator or the buffer.
    """
    buffers = program.graph_signature.inputs_to_buffers
    changed = [spec.target for spec in program.graph_signature.output_specs if spec.kind.name == "BUFFER_MUTATION"]
    for node in program.graph.nodes:
        schema = getattr(node.target, "_schema", None) if node.op == "call_function" else None
        if schema is None:
            continue
        for argument, value in zip(schema.arguments, node.args, strict=False):
            if argument.name in ("train", "training") and value is True:
                raise ModelError(
                    "the program was exported in training mode",
                    why=f"{schema.name.removeprefix('aten::')} behaves as in training",
                    hint="call model.eval() before torch.export.export(...)",
                )
            if argument.alias_info is not None and argument.alias_info.is_write and str(getattr(value, "name", "")) in buffers:
                changed.append(buffers[str(value)])
    if changed:
        raise changes_itself([str(name) for name in changed])


def changes_itself(buffers: Sequence[str]) -> ModelError:
    """The error for a program whose answer depends on the runs before."""
    return ModelError(
        "the program changes its own buffers when it runs",
        why=f"it writes to {', '.join(buffers[:4])}, so that its answer depends on the runs before",
        hint="call model.eval() before the export, or make the state an input and an output of forward",
    )


def write_onnx(program: ExportedProgram, path: Path, dynamic_shapes: Any = None) -> None:
    """Export ``program`` to ``path``: opset 18, names of the inputs and free sizes kept.

    Args:
        dynamic_shapes: as ``torch.export.export`` got them; their names are given to the free axes.

    Raises:
        ModelError: an operator that PyTorch cannot express in ONNX; names it.
    """
    import torch

    named = {"dynamic_shapes": dynamic_shapes} if dynamic_shapes is not None else {}
    try:
        exported = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False, **named)
        assert exported is not None, "dynamo=True returns the program"
        exported.save(str(path))
    except Exception as problem:  # the exporter wraps its failures in several classes of its own
        cause: BaseException = problem
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise ModelError(
            "PyTorch cannot express this program in ONNX",
            why=first_line(cause),
            hint="replace that operator in the model's forward, or export to .onnx yourself and give that file",
        ) from problem


def parity_cases(program: ExportedProgram, examples: Mapping[str, Array] | None = None) -> list[Case]:
    """What PyTorch answers to seeded inputs: two at the sizes of the export, one at other free sizes where there are any.

    Args:
        program: run in PyTorch, on the CPU.
        examples: {input name: array} that the module was exported with; integers stay within their range.

    Raises:
        ModelError: an input or output that is no plain tensor, or PyTorch itself cannot run the program.
    """
    specs, hints = _inputs(program)
    ranges = {name: (float(array.min()), float(array.max())) for name, array in (examples or {}).items() if array.size}
    integers = {spec.name: ranges.get(spec.name, (0.0, 1.0)) for spec in specs if spec.dtype[0] in "iu"}
    module = program.module()
    cases: list[Case] = []
    problems: list[Exception] = []
    for sizes in _sizes(program, hints):
        shapes = {spec.name: [sizes.get(str(size), size) for size in spec.shape] for spec in specs}
        wanted = 1 if cases else 2
        # Numbers of tokens, else (a table that is smaller than they are) zeros and ones.
        for limits in ({}, integers) if not ranges else (integers,):
            feeds = synthetic_feeds(specs, n=wanted, seed=len(cases), ranges=limits, shapes=shapes)  # type: ignore[arg-type]
            try:
                cases += [(dict(feed), _answer(program, module, feed)) for feed in feeds]
                break
            except (RuntimeError, IndexError, ValueError, AssertionError, TypeError) as problem:
                problems.append(problem)
        if len(cases) == 3:
            break
    if not cases:
        raise ModelError("PyTorch itself cannot run this program", why=first_line(problems[-1]) if problems else "")
    return cases


def example_case(program: ExportedProgram, module: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Case:
    """What the module itself answers to its example inputs; the module is in eval mode."""
    import torch
    from torch.utils import _pytree as pytree

    names = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    _, keywords = pytree.tree_unflatten(names, program.call_spec.in_spec)  # in the program's order, whatever the caller's
    given = pytree.tree_leaves((arguments, {keyword: named[keyword] for keyword in keywords}))
    with torch.no_grad():
        outputs = pytree.tree_leaves(module(*arguments, **named))
    feed = {name: numpy_of(value).copy() for name, value in zip(names, given, strict=True) if isinstance(value, torch.Tensor)}
    return feed, [numpy_of(output) for output in outputs if isinstance(output, torch.Tensor)]


def first_line(problem: BaseException) -> str:
    """The first line that says something, without terminal escapes."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    text = lines[0] if lines else type(problem).__name__
    return "".join(character for character in text if character.isprintable())[:300]


def _inputs(program: ExportedProgram) -> tuple[list[TensorSpec], dict[str, int]]:
    """The program's inputs, free sizes by symbol; and {symbol: its size at the export}."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    specs: list[TensorSpec] = []
    hints: dict[str, int] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind.name != "USER_INPUT" or not hasattr(spec.arg, "name") or hasattr(spec.arg, "value"):
            continue
        value = values[spec.arg.name]
        dtype = _DTYPES.get(str(getattr(value, "dtype", None)))
        if dtype is None:
            raise ModelError(
                f"input {spec.arg.name!r} is not supported",
                why=f"it is {getattr(value, 'dtype', type(value).__name__)}",
                hint="inputs are tensors of 16 to 64 bit floats, integers or booleans; convert others in forward",
            )
        shape: list[int | str] = []
        for size in value.shape:
            if isinstance(size, int):
                shape.append(size)
                continue
            hints |= {str(symbol): _size_at_export(size, symbol) for symbol in size.node.expr.free_symbols}
            shape.append(str(size))
        specs.append(TensorSpec(spec.arg.name, dtype, tuple(shape)))
    return specs, hints


def _size_at_export(size: Any, symbol: Any) -> int:
    environment = size.node.shape_env
    known = getattr(environment, "backed_var_to_val", None) or getattr(environment, "var_to_val", {})  # its name before 2.10
    return int(known.get(symbol, 2))


def _sizes(program: ExportedProgram, hints: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """{size as the program writes it: number}: first as at the export, then others that the program says it allows."""
    yield _evaluated(program, hints)
    limits = {str(symbol): allowed for symbol, allowed in program.range_constraints.items()}
    for factor, step in ((1, 1), (2, 0), (1, -1)):
        chosen: dict[str, int] = {}
        for name, hint in hints.items():
            low, high = (getattr(limits.get(name), end, None) for end in ("lower", "upper"))
            least = max(int(low), 1) if low is not None and low.is_Integer else 1
            most = min(int(high), _LARGEST_FREE_SIZE) if high is not None and high.is_Integer else _LARGEST_FREE_SIZE
            chosen[name] = max(min(hint * factor + step, most), least)
        if chosen != dict(hints):
            yield _evaluated(program, chosen)


def _evaluated(program: ExportedProgram, symbols: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        for size in getattr(node.meta.get("val"), "shape", ()):
            if not isinstance(size, int):
                expression = size.node.expr
                found[str(size)] = int(expression.subs({symbol: symbols[str(symbol)] for symbol in expression.free_symbols}))
    return found


def _answer(program: ExportedProgram, module: nn.Module, feed: Mapping[str, Array]) -> list[Array]:
    import torch
    from torch.utils import _pytree as pytree

    given = [
        spec.arg.value if hasattr(spec.arg, "value") else torch.from_numpy(feed[spec.arg.name].copy())
        for spec in program.graph_signature.input_specs
        if spec.kind.name == "USER_INPUT"
    ]
    arguments, named = pytree.tree_unflatten(given, program.call_spec.in_spec)
    with torch.no_grad():
        outputs = pytree.tree_leaves(module(*arguments, **named))
    return [numpy_of(output) for output in outputs if isinstance(output, torch.Tensor)]


def numpy_of(tensor: Any) -> Array:
    """A tensor as an array; bfloat16, which numpy lacks, as float32."""
    import torch

    tensor = tensor.detach().cpu()
    array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array
