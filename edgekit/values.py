"""JSON for edgekit's frozen values: strict both ways, one place for the rules.

Values are frozen dataclasses. Writing gives plain JSON types with a stable order; reading checks types, refuses unknown keys and
reports the path of what is wrong. ``Scheme`` is a tagged union: ``{"kind": "int8", ...fields}``.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any, TypeVar, cast

from .errors import EdgekitError, IntegrityError

T = TypeVar("T")


@functools.cache
def _converter() -> Any:
    import cattrs
    from cattrs.preconf.json import make_converter
    from cattrs.strategies import configure_tagged_union

    from .schemes import SCHEME_CLASSES, Scheme

    converter = make_converter(forbid_extra_keys=True, prefer_attrib_converters=False)
    # JSON scalars are taken as they are; a float field accepts an integer, nothing else is coerced.
    for cls in (bool, int, str):
        converter.register_structure_hook(cls, functools.partial(_exactly, cls))
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook_func(lambda t: t is Any or t is object, lambda value, _: value)
    names = {
        "AsIs": "as-is", "Float32": "float32", "Float16": "float16", "BFloat16": "bfloat16", "Int8Dynamic": "int8-dynamic",
        "Int8Static": "int8", "WeightOnly": "weight-only", "Vendor": "vendor",
    }  # fmt: skip
    assert {cls.__name__ for cls in SCHEME_CLASSES} == set(names)
    configure_tagged_union(Scheme, converter, tag_name="kind", tag_generator=lambda cls: names[cls.__name__])
    # Sets have no order of their own; documents and hashes need one.
    converter.register_unstructure_hook_func(lambda t: getattr(t, "__origin__", None) is frozenset, sorted)
    converter.register_structure_hook_func(_is_scalar_union, lambda value, _: value)
    del cattrs
    return converter


def _is_scalar_union(t: Any) -> bool:
    from .schemes import Scalar

    return bool(t == Scalar)


def _exactly(cls: type, value: Any, _: Any) -> Any:
    if type(value) is not cls:
        raise ValueError(f"expected {cls.__name__}, got {type(value).__name__}")
    return value


def _float(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number, got {type(value).__name__}")
    return float(value)


def to_json(value: Any) -> Any:
    """Plain JSON types (dict, list, str, int, float, bool, None) of a frozen value."""
    return _converter().unstructure(value)


def from_json(cls: type[T], document: Any, *, error: type[EdgekitError] = IntegrityError, name: str = "document") -> T:
    """The value that a JSON document describes.

    Raises:
        ``error`` (IntegrityError unless said): a missing or unknown key, or a wrong type; names its path.
    """
    import cattrs

    try:
        return cast(T, _converter().structure(document, cls))
    except (cattrs.BaseValidationError, ValueError, TypeError, KeyError, AttributeError) as problem:
        if isinstance(problem, cattrs.BaseValidationError):
            why = "; ".join(cattrs.transform_error(problem, path=name)[:3])
        else:
            why = str(problem)
        raise error(f"{name} is not a valid {cls.__name__}", why=why) from problem


def canonical(document: Any) -> bytes:
    """Canonical JSON bytes: sorted keys, no spaces, no NaN. What is hashed for identifiers and cache keys."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_json(document: Any) -> str:
    return hashlib.sha256(canonical(document)).hexdigest()
