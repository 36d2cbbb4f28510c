"""edgekit: the fastest artifact that is still right on the hardware you have, with the evidence.

The functions here do what the command line does::

    import edgekit
    report = edgekit.deploy("model.onnx", target="onnx", calib="photos/", eval="test/", metric="accuracy", output="out")
    report.winner, report.reason

Everything is loaded when it is first used, so that ``import edgekit`` costs nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime 1.31 keeps an identifier and a database of events in the home folder from the moment it is imported; edgekit has no
# telemetry, nor do the processes it starts.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from .api import build, deploy, deploy_fleet
    from .bundle import check_bundle, read_bundle
    from .cache import clear as clear_cache
    from .cache import usage as cache_usage
    from .demo import demo_models
    from .devices.inventory import probe_device
    from .doctor import diagnose
    from .errors import EdgekitError
    from .frontends.torch_module import from_torch
    from .inspect import inspect_model
    from .installation import install, rollback
    from .model import load_model
    from .packaging.api import package
    from .packaging.formats import PackageOptions
    from .profiles import load_profiles
    from .profiling import profile, profile_fleet
    from .request import DeployRequest
    from .signing import sign_bundle, verify_bundle
    from .targets import Target, get_target, registry

#: Where each public name lives: ``module:attribute``.
_HOMES = {
    "DeployRequest": "request:DeployRequest",
    "EdgekitError": "errors:EdgekitError",
    "PackageOptions": "packaging.formats:PackageOptions",
    "Target": "targets:Target",
    "build": "api:build",
    "cache_usage": "cache:usage",
    "check_bundle": "bundle:check_bundle",
    "clear_cache": "cache:clear",
    "demo_models": "demo:demo_models",
    "deploy": "api:deploy",
    "deploy_fleet": "api:deploy_fleet",
    "diagnose": "doctor:diagnose",
    "from_torch": "frontends.torch_module:from_torch",
    "get_target": "targets:get_target",
    "inspect_model": "inspect:inspect_model",
    "install": "installation:install",
    "load_model": "model:load_model",
    "load_profiles": "profiles:load_profiles",
    "package": "packaging.api:package",
    "probe_device": "devices.inventory:probe_device",
    "profile": "profiling:profile",
    "profile_fleet": "profiling:profile_fleet",
    "read_bundle": "bundle:read_bundle",
    "registry": "targets:registry",
    "rollback": "installation:rollback",
    "sign_bundle": "signing:sign_bundle",
    "verify_bundle": "signing:verify_bundle",
}
__all__ = [
    "DeployRequest",
    "EdgekitError",
    "PackageOptions",
    "Target",
    "build",
    "cache_usage",
    "check_bundle",
    "clear_cache",
    "demo_models",
    "deploy",
    "deploy_fleet",
    "diagnose",
    "from_torch",
    "get_target",
    "inspect_model",
    "install",
    "load_model",
    "load_profiles",
    "package",
    "probe_device",
    "profile",
    "profile_fleet",
    "read_bundle",
    "registry",
    "rollback",
    "sign_bundle",
    "verify_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    import importlib

    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f".{module}", __name__), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
