"""edgekit: the fastest artifact that is still right on the hardware you have, with the evidence.

The functions here do what the command line does::

    import edgekit
    report = edgekit.deploy("model.onnx", target="onnx", calib="photos/", eval="test/", metric="accuracy", output="out")
    report.winner, report.reason

Everything is loaded when it is first used, so that ``import edgekit`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import build, deploy
    from .bundle import check_bundle, read_bundle
    from .errors import EdgekitError
    from .inspect import inspect_model
    from .install import install
    from .model import load_model
    from .profiling import profile
    from .request import DeployRequest
    from .targets import Target, get_target

__all__ = [
    "DeployRequest",
    "EdgekitError",
    "Target",
    "build",
    "check_bundle",
    "deploy",
    "get_target",
    "inspect_model",
    "install",
    "load_model",
    "profile",
    "read_bundle",
]

_HOMES = {
    "DeployRequest": "request",
    "EdgekitError": "errors",
    "Target": "targets",
    "build": "api",
    "check_bundle": "bundle",
    "deploy": "api",
    "get_target": "targets",
    "inspect_model": "inspect",
    "install": "install",
    "load_model": "model",
    "profile": "profiling",
    "read_bundle": "bundle",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
