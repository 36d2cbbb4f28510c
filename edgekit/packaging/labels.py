"""The names of a model's classes: a text file, one a line, in the order of the model's output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError

MAX_BYTES = 8 << 20
MAX_LABEL = 256


def read_labels(path: Path, output_shape: Sequence[int | None]) -> tuple[str, ...]:
    """The labels in ``path``; those of an output whose last axis has a fixed size must be as many.

    Raises:
        DataError: not readable UTF-8, an empty or overlong line, control characters, or another number than the output's classes.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror or str(problem) if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise DataError(f"cannot read the labels in {path.name}", why=why) from problem
    if len(data) > MAX_BYTES:
        raise DataError(f"{path.name} is too long for labels", why=f"over {MAX_BYTES} bytes")
    labels = tuple(line.strip() for line in text.rstrip("\r\n").split("\n"))
    for number, label in enumerate(labels, start=1):
        if not label or len(label) > MAX_LABEL or not label.isprintable():
            raise DataError(
                f"line {number} of {path.name} is no label",
                why=f"a label has 1 to {MAX_LABEL} printable characters",
                hint="one a line",
            )
    classes = output_shape[-1] if output_shape else None
    if classes is not None and classes != len(labels):
        raise DataError(
            f"{path.name} has {len(labels)} labels",
            why=f"the first output has {classes} classes",
            hint="one line a class, in order",
        )
    return labels
