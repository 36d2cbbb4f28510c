"""``--format android``: a Maven repository with an AAR, and the same as a source module for Gradle."""

from __future__ import annotations

from .format import FORMAT

__all__ = ["FORMAT"]
