"""What candidates depend on in a model, read once a model."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.errors import ModelError
from edgekit.targets import RuleFinding

from .limits import Limits

if TYPE_CHECKING:
    from edgekit.model import Model

STATIC_OPERATORS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


@dataclass(frozen=True)
class Content:
    """What could be quantized in the main graph.

    ``operators``: those that int8 covers and that are wide enough for it, by type. ``narrow``: how many are not. ``sparse``: how
    many of their weights have two zeros in every four, and of how many. ``cannot_be_raised``: why the model cannot be brought to a
    current opset; then nothing else is known.
    """

    operators: Counter[str] = field(default_factory=Counter)
    narrow: int = 0
    sparse: tuple[int, int] = (0, 0)
    cannot_be_raised: str = ""

    @property
    def is_sparse(self) -> bool:
        """Whether most of its weights are pruned 2:4: in others the sparse kernels have nothing to skip."""
        return 2 * self.sparse[0] > self.sparse[1] > 0


@functools.lru_cache(maxsize=8)  # ``candidates`` and ``reject`` ask several times a run
def content_of(model: Model) -> Content:
    from edgekit.frontends import onnx_frontend
    from edgekit.inspect.sparsity import is_two_of_four
    from edgekit.inspect.weights import MIN_ELEMENTS, find_weights
    from edgekit.quantize.placement import plan_placement

    from .placement import PAIRED, narrow_nodes

    try:
        raised = onnx_frontend.read_raised(model)
    except ModelError as problem:
        return Content(cannot_be_raised=str(problem))
    narrow = set(narrow_nodes(raised))
    plan = [operator for operator in plan_placement(raised.graph, PAIRED) if operator.weight is not None]
    weights = [each for each in find_weights(raised) if each.role in {"filter", "linear"} and each.rows.size >= MIN_ELEMENTS]
    return Content(
        Counter(operator.operator for operator in plan if operator.node not in narrow),
        sum(operator.node in narrow for operator in plan),
        (sum(is_two_of_four(weight) for weight in weights), len(weights)),
    )


@functools.lru_cache(maxsize=8)
def objections(model: Model, limits: Limits) -> tuple[RuleFinding, ...]:
    """What the TensorRT of ``limits`` has against ``model`` as it would be built unchanged: errors only.

    Raises:
        ModelError: it does not read the model's opset.
    """
    from .lint import errors, lint
    from .unchanged import unchanged

    return tuple(errors(lint(unchanged(model, limits)[0], limits)))
