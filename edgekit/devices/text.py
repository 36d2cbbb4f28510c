"""Device text is hostile: it ends up on terminals, in logs and in reports."""

from __future__ import annotations

import re
from typing import Any

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|\Z)|[ -/]*[0-~])", re.DOTALL)


def clean(text: object, limit: int = 200) -> str:
    """``text`` without terminal escapes and control characters, at most ``limit`` long; line ends become spaces."""
    plain = _ESCAPES.sub("", str(text)[: 4 * limit + 1024])
    plain = "".join(" " if character in "\r\n\t" else character for character in plain)
    plain = "".join(character for character in plain if character.isprintable())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def clean_lines(text: str, limit: int = 20_000) -> str:
    """As :func:`clean` for a log: line ends stay."""
    return "\n".join(clean(line, 500) for line in text[:limit].replace("\r", "\n").split("\n"))


def clean_json(value: object, depth: int = 8) -> Any:
    """A JSON value from the device with every text in it cleaned, at most 1000 entries a level and ``depth`` levels."""
    if depth == 0:
        return None
    if isinstance(value, str):
        return clean(value, 1000)
    if isinstance(value, dict):
        return {clean(name): clean_json(item, depth - 1) for name, item in list(value.items())[:1000]}
    if isinstance(value, list):
        return [clean_json(item, depth - 1) for item in value[:1000]]
    return value
