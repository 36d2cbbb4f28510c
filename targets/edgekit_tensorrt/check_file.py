"""The linter on a file as it is, for ``edgekit check``."""

from __future__ import annotations

from pathlib import Path

from edgekit.targets import RuleFinding

from .limits import Limits


def check_file(path: Path, limits: Limits) -> list[RuleFinding]:
    """What TensorRT has against the ONNX file ``path``.

    Raises:
        ModelError: it is not ONNX, or its external data are missing or unsafe.
    """
    from edgekit.frontends.external_data import check_external_data, load_external_data
    from edgekit.frontends.onnx_file import parse

    from .lint import lint

    proto = parse(path)
    check_external_data(proto, path.parent)
    load_external_data(proto, path.parent)
    return lint(proto, limits)
