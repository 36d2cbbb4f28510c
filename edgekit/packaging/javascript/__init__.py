"""What the packages for the web and for React Native share: the sources in ``src/`` and the modules generated for each package.

``src/`` is TypeScript. ``dist/`` is what its compiler makes of it, kept beside it so that packaging needs no Node.js;
``scripts/compile_javascript`` writes it, and a test compiles again and compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..formats import PackageFile

_FOLDER = Path(__file__).parent


def compiled(modules: Iterable[str], *, into: str = "") -> Iterator[PackageFile]:
    """JavaScript and declarations of modules of ``dist/``: ``"resize"`` is ``resize.js`` and ``resize.d.ts``."""
    for module in modules:
        for suffix in (".js", ".d.ts"):
            yield PackageFile(f"{into}{module}{suffix}", _FOLDER / "dist" / f"{module}{suffix}", delivered=suffix == ".js")


def compiled_path(name: str) -> Path:
    """One file of ``dist/``."""
    return _FOLDER / "dist" / name
