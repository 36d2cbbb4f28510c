"""Weights that take few values: a codebook (clustered), or the evenly spaced values that rounding to integers leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from .types import Finding
from .weights import MIN_ELEMENTS, Values, Weight, count_of, largest

MAX_VALUES = 256  # of a codebook for a whole tensor
MAX_ROW_VALUES = 16  # of a codebook for each row
USES_A_VALUE = 8  # a codebook must be used so often; otherwise few values only mean a small tensor
ROW_SHARE = 0.99  # of the rows that say something
ROWS_LOOKED_AT = 64  # evenly spaced; a tensor on a lattice has every row on it, so a sample is enough to refuse
COLUMNS_LOOKED_AT = 64  # of each row, its extremes included, to find the step; the whole row is then checked
INT4_STEPS, INT8_STEPS = 15, 255
GROUP_SIZES = (128, 64, 32, 16)
TOLERANCE = 1e-3  # of a step: float32 products and differences stay far below
MIN_DISTINCT = 5  # values in a row: four or fewer lie on some lattice too easily
NEEDED_ELEMENTS_FLOAT16 = 48  # its rounding reaches a quarter of an int8 step, so that only long rows prove anything


def find_few_values(weights: Sequence[Weight]) -> tuple[list[Finding], frozenset[str]]:
    """Findings ``clustered`` and ``quantized-residue``, and the names of the tensors on a 4-bit lattice.

    Tensors stored as integers are quantized openly and are not looked at. A tensor is claimed by one finding only: evenly spaced
    values are a residue, other repeated values a codebook.
    """
    floats = [w for w in weights if not w.integer and w.stored != "bfloat16"]
    candidates = [w for w in floats if w.rows.size >= MIN_ELEMENTS and not _is_fixed_kernel(w.rows)]
    residue = {id(w): found for w in candidates if (found := lattice_of(w.rows)) is not None}
    codebooks = {id(w): n for w in candidates if id(w) not in residue and (n := codebook_size(w.rows)) is not None}
    findings = []
    if codebooks:
        findings.append(_clustered([w for w in candidates if id(w) in codebooks], codebooks, weights))
    if residue:
        findings.append(_residue([w for w in candidates if id(w) in residue], residue, weights))
    return findings, frozenset(w.name for w in candidates if residue.get(id(w), "").startswith("int4"))


def _clustered(found: Sequence[Weight], sizes: Mapping[int, int], weights: Sequence[Weight]) -> Finding:
    return Finding(
        "clustered",
        f"{count_of(len(found), 'weight tensor')} of few values: at most {max(sizes.values())} in a tensor or row",
        {
            "fraction": _share(found, weights),
            "tensors": len(found),
            "largest": [
                {"tensor": w.name, "node": w.node, "values": sizes[id(w)], "elements": w.rows.size} for w in largest(found)
            ],
        },
    )


def _residue(found: Sequence[Weight], lattices: Mapping[int, str], weights: Sequence[Weight]) -> Finding:
    kinds = sorted(set(lattices.values()))
    return Finding(
        "quantized-residue",
        f"{count_of(len(found), 'float weight tensor')} of evenly spaced values ({', '.join(kinds)}): quantized before",
        {
            "fraction": _share(found, weights),
            "tensors": len(found),
            "lattices": kinds,
            "largest": [
                {"tensor": w.name, "node": w.node, "lattice": lattices[id(w)], "elements": w.rows.size} for w in largest(found)
            ],
        },
    )


def codebook_size(rows: Values) -> int | None:
    """How many values the tensor (or, then the most of any row, each row) takes; None when that is not few.

    Zeros are left out of the count, because a pruned tensor repeats zero without being clustered.
    """
    sample = rows.reshape(-1)[:: max(1, rows.size // 4096)]
    if len(np.unique(sample[sample != 0])) <= MAX_VALUES:
        used = rows[rows != 0]
        n_values = len(np.unique(used))
        if 2 <= n_values <= MAX_VALUES and used.size >= USES_A_VALUE * n_values:
            return n_values
    if rows.shape[1] < USES_A_VALUE * 2 or not _rows_repeat(_some(rows)):
        return None
    counts = _distinct(rows)
    return int(counts.max()) if _rows_repeat(rows) else None


def _rows_repeat(rows: Values) -> bool:
    """True when at least 99 % of the rows with anything in them repeat at most 16 values, each eight times on average."""
    values, used = _distinct(rows), np.count_nonzero(rows, axis=1)
    live = used > 0
    repeats = (values >= 2) & (values <= MAX_ROW_VALUES) & (used >= USES_A_VALUE * values)
    return bool(live.sum() >= USES_A_VALUE and repeats[live].mean() >= ROW_SHARE)


def _distinct(rows: Values) -> npt.NDArray[np.int64]:
    """How many different values other than zero each row has."""
    ordered = np.sort(rows, axis=1)
    counts: npt.NDArray[np.int64] = np.count_nonzero(np.diff(ordered, axis=1), axis=1) + 1 - (rows == 0).any(axis=1)
    return counts


def lattice_of(rows: Values) -> str | None:
    """``"int4"``, ``"int4 in groups of 32"``, ``"int8"`` ... when the rows lie on evenly spaced values, as integers times a step.

    A zero point is allowed for: only the differences within a row (or a group along it) count. Rows of fewer than five different
    values prove nothing and are passed over.
    """
    looked_at = _some(rows).astype(np.float64)
    if not np.isfinite(looked_at).all() or (rows.dtype == np.float16 and rows.shape[1] < NEEDED_ELEMENTS_FLOAT16):
        return None
    epsilon = float(np.finfo(rows.dtype).eps)
    if _on_lattice(looked_at, INT4_STEPS, epsilon):
        return "int4"
    if _on_lattice(looked_at, INT8_STEPS, epsilon):
        return "int8"
    if rows.dtype == np.float16:
        return None
    for size in GROUP_SIZES:
        if rows.shape[1] % size == 0 and rows.shape[1] >= 2 * size:
            groups = looked_at.reshape(-1, size)
            if _on_lattice(_some(groups), INT4_STEPS, epsilon):
                return f"int4 in groups of {size}"
    return None


def _on_lattice(rows: npt.NDArray[np.float64], max_steps: int, epsilon: float) -> bool:
    """True when at least 99 % of the rows that say something, and half of all, fit some number of steps up to ``max_steps``."""
    telling = rows[_distinct(rows) >= MIN_DISTINCT]
    if len(telling) < max(2, len(rows) / 2):
        return False
    if not any(_row_fits(row, max_steps, epsilon) for row in telling[:2]):  # nearly every tensor leaves here
        return False
    return bool(np.mean([_row_fits(row, max_steps, epsilon) for row in telling]) >= ROW_SHARE)


def _row_fits(row: npt.NDArray[np.float64], max_steps: int, epsilon: float) -> bool:
    low, span = row.min(), np.ptp(row)
    unit = (np.unique(row) - low) / span
    few = unit[:: max(1, len(unit) // COLUMNS_LOOKED_AT)]
    steps = np.arange(MIN_DISTINCT - 1, max_steps + 1)[:, None]
    tolerance = np.maximum(TOLERANCE, epsilon * steps[:, 0])
    possible = steps[_off_lattice(few, steps) < tolerance]
    return any(_off_lattice(unit, k) < max(TOLERANCE, epsilon * k) for k in possible[:, 0])


def _off_lattice(unit: npt.NDArray[np.float64], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The largest distance from a lattice of ``steps`` steps over 0..1, in steps."""
    scaled = unit * steps
    return np.asarray(np.abs(scaled - np.rint(scaled)).max(axis=-1))


def _is_fixed_kernel(rows: Values) -> bool:
    """True when every row holds the same values: an interpolation or averaging kernel written by hand, not learned weights."""
    ordered = np.sort(_some(rows), axis=1)
    return bool((ordered == ordered[0]).all())


def _some(rows: Values) -> Values:
    return rows[:: max(1, len(rows) // ROWS_LOOKED_AT)][:ROWS_LOOKED_AT]


def _share(found: Sequence[Weight], weights: Sequence[Weight]) -> float:
    return round(sum(w.rows.size for w in found) / sum(w.rows.size for w in weights), 4)
