"""What an evaluation function returned, read strictly.

    {"name", "value", "higher_is_better", "n",
     "slices": {name: {"value", "n"} or a number}, "predictions": [one a sample], "per_sample": [one number a sample]}

The second line's may be left out.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import DataError
from .labels import MAX_SLICES, SLICES_HINT
from .types import Score, SliceValue

if TYPE_CHECKING:
    from .types import JSON

_REQUIRED = ("name", "value", "higher_is_better", "n")
_KEYS = (*_REQUIRED, "slices", "predictions", "per_sample")


def score_from_result(result: object, where: str) -> Score:
    """The Score that a function's dict describes.

    Raises:
        DataError: a missing or unknown key, a wrong type, a value that is not finite, or a list that is not of ``n`` entries.
    """
    if not isinstance(result, Mapping):
        value = 0.93 if isinstance(result, bool) or not isinstance(result, numbers.Real) else result
        raise DataError(
            f"{where} returned no dict",
            why=f"it is a {type(result).__name__}; a score also needs its name, its direction and its count",
            hint=f'the least is {{"name": "accuracy", "value": {value}, "higher_is_better": True, "n": 100}}',
        )
    for key in _REQUIRED:
        if key not in result:
            raise DataError(f"{where} returned no {key!r}", hint=f"return a dict with {', '.join(_REQUIRED)}")
    for key in result:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise DataError(
                f"{where} returned an unknown key {key!r}",
                hint=f"did you mean: {near[0]}" if near else f"known: {', '.join(_KEYS)}",
            )
    if not isinstance(result["name"], str) or not result["name"]:
        raise DataError(f"{where}: name must be text")
    higher_is_better = _plain(result["higher_is_better"])
    if not isinstance(higher_is_better, bool):
        raise DataError(f"{where}: higher_is_better must be True or False", why=f"it is {higher_is_better!r}")
    n = _count(result["n"], f"{where}: n")
    return Score(
        name=result["name"],
        value=_finite(result["value"], f"{where}: value"),
        higher_is_better=higher_is_better,
        n=n,
        slices=_slice_values(result.get("slices"), n, where),
        predictions=_predictions(result.get("predictions"), n, where),
        per_sample=_per_sample(result.get("per_sample"), n, where),
    )


def _slice_values(slices: Any, n: int, where: str) -> dict[str, SliceValue]:
    if slices is None:
        return {}
    if not isinstance(slices, Mapping):
        raise DataError(f"{where}: slices must be a dict", why=f"it is a {type(slices).__name__}")
    if len(slices) > MAX_SLICES:
        raise DataError(f"{where}: over {MAX_SLICES} slices", hint=SLICES_HINT)
    return {str(name): _slice_value(value, n, f"{where}: slice {str(name)!r}") for name, value in slices.items()}


def _slice_value(value: Any, n: int, where: str) -> SliceValue:
    """A bare number says nothing of its count; all ``n`` then stand in, with which the slice's gate is at its strictest."""
    if not isinstance(value, Mapping):
        return SliceValue(_finite(value, where), n)
    if set(value) != {"value", "n"}:
        raise DataError(f"{where} must have value and n", why=f"it has {', '.join(map(str, value)) or 'nothing'}")
    return SliceValue(_finite(value["value"], where), _count(value["n"], f"{where}: n"))


def _predictions(values: Any, n: int, where: str) -> tuple[JSON, ...] | None:
    if values is None:
        return None
    predictions = tuple(_hashable(value) for value in _of_length(values, n, f"{where}: predictions"))
    for value in predictions:
        if not _is_plain(value):
            raise DataError(
                f"{where}: predictions must be plain values that can be compared",
                why=f"one is a {type(value).__name__}",
                hint="text, numbers, or lists of them",
            )
    return predictions


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _per_sample(values: Any, n: int, where: str) -> tuple[float, ...] | None:
    if values is None:
        return None
    return tuple(_finite(value, f"{where}: per_sample") for value in _of_length(values, n, f"{where}: per_sample"))


def _of_length(values: Any, n: int, where: str) -> Sequence[Any]:
    plain = _plain(values)
    if not isinstance(plain, (list, tuple)):
        raise DataError(f"{where} must be a list", why=f"it is a {type(values).__name__}")
    if len(plain) != n:
        raise DataError(f"{where} must have one entry a sample", why=f"it has {len(plain)}, n is {n}")
    return plain


def _plain(value: Any) -> Any:
    """numpy's arrays and numbers as Python's."""
    return value.tolist() if hasattr(value, "tolist") else value


def _hashable(value: Any) -> Any:
    value = _plain(value)
    return tuple(_hashable(entry) for entry in value) if isinstance(value, (list, tuple)) else value


def _finite(value: Any, where: str) -> float:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise DataError(f"{where} must be a number", why=f"it is a {type(value).__name__}")
    if not math.isfinite(value):
        raise DataError(f"{where} is not finite", why=f"it is {float(value)}")
    return float(value)


def _count(value: Any, where: str) -> int:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError(f"{where} must be a whole number of at least 1", why=f"it is {value!r}")
    return value
