"""The demo page: static files, none of which comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from string import Template

from ..formats import PackageFile
from ..javascript import compiled_path
from .runtimes import WebRuntime

_TEMPLATES = Path(__file__).with_name("templates") / "demo"
_MODULES = ("demo", "drawing", "numbers", "page", "results")
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' '{importmap}'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
)


def demo_files(runtime: WebRuntime, package: str) -> Iterator[PackageFile]:
    """The page, and a server for this machine that hands out the runtime's files from ``node_modules``."""
    yield PackageFile("demo/index.html", _page(runtime).encode())
    for name in ("demo.css", "icon.svg"):
        yield PackageFile(f"demo/{name}", _TEMPLATES / name)
    for module in _MODULES:
        yield PackageFile(f"demo/{module}.js", compiled_path(f"demo/{module}.js"))
    served = json.dumps(dict(runtime.files), indent=2)
    serve = Template((_TEMPLATES / "serve.mjs").read_text("utf-8")).substitute(files=served, package=json.dumps(package))
    yield PackageFile("demo/serve.mjs", serve.encode())


def _page(runtime: WebRuntime) -> str:
    """The import map is the only inline script, so the page's policy names it by its hash."""
    importmap = json.dumps({"imports": {name: f"./runtime/{file}" for name, file in runtime.imports.items()}})
    digest = "sha256-" + base64.b64encode(hashlib.sha256(importmap.encode()).digest()).decode()
    template = Template((_TEMPLATES / "index.html").read_text("utf-8"))
    return template.substitute(importmap=importmap, policy=_POLICY.format(importmap=digest), runtime=runtime.title)
