"""Zeros in the weights: scattered, two in every four, or whole filters. Each tensor is claimed by one of the three only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .types import Finding
from .weights import MIN_ELEMENTS, Weight, count_of, largest

UNSTRUCTURED_SHARE = 0.30  # of all weights; a fixed filterbank that nobody pruned was seen with 0.22
RARER_THAN_CHANCE = 20  # so that one tensor in tens of millions is mistaken
MASKED_SHARE = 0.02  # of all filters
GROUP_SHARE = 0.99  # of the groups of four; weights that are 70 % zero at random reach 0.92


def find_sparsity(weights: Sequence[Weight], *, rounded_to_zero: frozenset[str]) -> list[Finding]:
    """Findings ``2:4-sparsity``, ``masked-structured`` and ``unstructured-sparsity``.

    Args:
        rounded_to_zero: names of tensors on so coarse a lattice (4 bits) that zeros come from rounding; not counted as pruned.
    """
    layers = [w for w in weights if w.role in {"filter", "linear", "recurrent"} and w.rows.size >= MIN_ELEMENTS]
    two_of_four = [w for w in layers if is_two_of_four(w)]
    claimed = {id(w) for w in two_of_four}
    scattered = [w for w in layers if id(w) not in claimed and w.name not in rounded_to_zero and w.stored not in {"int4", "uint4"}]
    findings = [_two_of_four(two_of_four, layers), _masked(layers), _unstructured(scattered)]
    return [finding for finding in findings if finding is not None]


def is_two_of_four(weight: Weight) -> bool:
    """True when at least 99 % of the groups of four along the input channels hold two or more zeros, and not by chance.

    The pattern is that of sparse tensor cores: groups of four consecutive input channels of one output at one kernel position. At
    very high sparsity scattered zeros satisfy it too, so the violations must also be far rarer than those would give.
    """
    inputs = weight.grouped.shape[-1]
    if weight.role == "recurrent" or inputs % 4:
        return False
    zeros = np.count_nonzero(weight.grouped.reshape(-1, 4) == 0, axis=1)
    violations = int(np.count_nonzero(zeros < 2))
    if violations > (1 - GROUP_SHARE) * len(zeros):
        return False
    p = float(zeros.mean()) / 4
    by_chance = len(zeros) * ((1 - p) ** 4 + 4 * p * (1 - p) ** 3)
    return by_chance >= RARER_THAN_CHANCE * max(violations, 1)


def _two_of_four(found: Sequence[Weight], layers: Sequence[Weight]) -> Finding | None:
    if not found:
        return None
    elements, total = sum(w.rows.size for w in found), sum(w.rows.size for w in layers)
    return Finding(
        "2:4-sparsity",
        f"two zeros in every four values of {len(found)} of {len(layers)} weight tensors",
        {
            "fraction": round(elements / total, 4),
            "tensors": len(found),
            "largest": [{"tensor": w.name, "node": w.node, "elements": w.rows.size} for w in largest(found)],
        },
    )


def _masked(layers: Sequence[Weight]) -> Finding | None:
    """Output units (filters, neurons) whose every weight is zero: masked by structured pruning, not removed."""
    units = [w for w in layers if w.role in {"filter", "linear"}]
    dead = {id(w): int(np.count_nonzero(~w.rows.any(axis=1))) for w in units}
    total, n_dead = sum(len(w.rows) for w in units), sum(dead.values())
    if not n_dead or n_dead / total < MASKED_SHARE:
        return None
    concerned = [w for w in units if dead[id(w)]]
    return Finding(
        "masked-structured",
        f"{n_dead} of {total} filters are all zero ({n_dead / total:.0%}), in {count_of(len(concerned), 'tensor')}",
        {
            "fraction": round(n_dead / total, 4),
            "zero_filters": n_dead,
            "filters": total,
            "tensors": len(concerned),
            "largest": [
                {"tensor": w.name, "node": w.node, "zero_filters": dead[id(w)], "filters": len(w.rows)} for w in largest(concerned)
            ],
        },
    )


def _unstructured(layers: Sequence[Weight]) -> Finding | None:
    """Zeros outside all-zero filters and all-zero input channels."""
    counts = {id(w): _scattered_zeros(w) for w in layers}
    zeros, elements = (sum(c[i] for c in counts.values()) for i in (0, 1))
    if not elements or zeros / elements < UNSTRUCTURED_SHARE:
        return None
    share = {id(w): counts[id(w)][0] / max(counts[id(w)][1], 1) for w in layers}
    concerned = [w for w in layers if share[id(w)] >= UNSTRUCTURED_SHARE]
    return Finding(
        "unstructured-sparsity",
        f"{zeros / elements:.0%} of the weights are zero, scattered over {len(concerned)} of {len(layers)} weight tensors",
        {
            "fraction": round(zeros / elements, 4),
            "zeros": zeros,
            "elements": elements,
            "tensors": len(concerned),
            "largest": [
                {
                    "tensor": w.name,
                    "node": w.node,
                    "fraction": round(share[id(w)], 4),
                    "elements": w.rows.size,
                }
                for w in largest(concerned)
            ],
        },
    )


def _scattered_zeros(weight: Weight) -> tuple[int, int]:
    """(zeros, elements) of the outputs and input channels that are alive."""
    used = weight.grouped != 0
    zeros, elements = used.size - int(np.count_nonzero(used)), used.size
    live_outputs = int(np.count_nonzero(used.any(axis=(1, 2))))
    live_inputs = int(np.count_nonzero(used.any(axis=(0, 1))))
    live = live_outputs * used.shape[1] * live_inputs
    return zeros - (elements - live), live
