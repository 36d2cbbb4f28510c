"""What npm has to know of a package."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from ...errors import UsageError
from ...types import JSON
from ..formats import PackageOptions
from ..names import comment
from ..source import DEFAULT_GROUP, PackageSource

_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?")


def npm_name(source: PackageSource) -> str:
    """``@group/name``: a scope of its own, so that no registry's package of that name is taken for it."""
    return f"@{source.group}/{source.name}"


def peer_range(options: PackageOptions, tested: str) -> str:
    """The versions of the runtime that the package asks for: those compatible with the tested one, or with the one that was named.

    Raises:
        UsageError: what was named is no version.
    """
    version = options.runtime_version or tested
    if not _VERSION.fullmatch(version):
        raise UsageError(f"--runtime-version {version[:40]!r} is no version", hint=f"three numbers, such as {tested}")
    return f"^{version}"


def package_json(source: PackageSource, *, peers: Mapping[str, str], files: Sequence[str], more: Mapping[str, JSON]) -> bytes:
    """``package.json``. Without a ``--group`` it is marked private, so that it cannot be published by mistake."""
    document: dict[str, JSON] = {
        "name": npm_name(source),
        "version": source.version,
        "description": f"The model {comment(source.model_name)}, packaged by edgekit ({comment(source.winner.id)})",
        "sideEffects": False,
        "files": list(files),
        **more,
        "peerDependencies": dict(peers),
    }
    if source.group == DEFAULT_GROUP:
        document["private"] = True
    return (json.dumps(document, indent=2, ensure_ascii=True) + "\n").encode()
