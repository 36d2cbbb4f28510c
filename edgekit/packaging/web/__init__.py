"""``--format web``: an npm package on ONNX Runtime Web or LiteRT for the web, and a page to try it on."""

from __future__ import annotations

from .package import FORMAT

__all__ = ["FORMAT"]
