"""``--format react-native``: an npm package with the model as an asset, on a runtime that the app installs beside it."""

from __future__ import annotations

from .package import FORMAT

__all__ = ["FORMAT"]
