"""Taking this machine out of what travels: a bundle holds relative paths, and nobody's folders are anybody else's business."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from .request import DeployRequest
from .state import cache_dir, state_dir

_PATH_FIELDS = ("model", "baseline", "calib", "eval")
_SURROGATES = re.compile("[\ud800-\udfff]")  # what Python makes of bytes in a file's name that are not UTF-8
#: Parts of the manifest that are names and settings of the model, never folders of a machine: they are kept to the letter.
_KEPT = frozenset({"candidate", "artifact", "files", "runner", "shape"})


def portable(request: DeployRequest, folder: Path) -> DeployRequest:
    """The request with its paths relative to ``folder`` where they lie in it, and reduced to their last part where they do not.

    A bundle keeps this one: it travels, and other people's folders are nobody's business.
    """
    return replace(
        request,
        model=_portable_path(request.model, folder) or request.model,
        baseline=_portable_path(request.baseline, folder),
        calib=_portable_path(request.calib, folder),
        eval=_portable_path(request.eval, folder),
    )


def _portable_path(text: str | None, folder: Path) -> str | None:
    if text is None or not Path(text).expanduser().is_absolute():
        # A relative path that climbs out says where it was; its last part is enough.
        return PurePosixPath(text).name if text and ".." in PurePosixPath(text).parts else text
    path = Path(text).expanduser()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def folders_named(request: DeployRequest) -> dict[str, str]:
    """Folders of this machine that a text in a report may mention, and what stands for each in a bundle."""
    named = (getattr(request, name) for name in _PATH_FIELDS)
    folders = {str(Path(text).expanduser().parent): "" for text in named if text and Path(text).expanduser().is_absolute()}
    for place in (Path.home(), Path.home().resolve()):
        folders[str(place)] = "~/"
    for place in (Path(tempfile.gettempdir()), cache_dir(), state_dir(), Path.cwd()):
        folders[str(place)] = ""
    return {folder: short for folder, short in folders.items() if len(Path(folder).parts) > 1}


def without_folders(document: Any, folders: Mapping[str, str]) -> Any:
    """The JSON document with ``folders`` taken out of its texts: a bundle travels, and they are nobody's business.

    What of a file's name is not UTF-8, which JSON cannot hold, becomes U+FFFD.
    """
    names = "|".join(re.escape(folder) for folder in sorted(folders, key=len, reverse=True)) or "(?!)"  # none: match nothing
    pattern = re.compile(rf"(?<![\w.~/-])({names})(?:/|(?![\w.-]))")

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: child if key in _KEPT else clean(child) for key, child in value.items()}
        if isinstance(value, list):
            return [clean(child) for child in value]
        return _readable(without(value)) if isinstance(value, str) else value

    def without(text: str) -> str:
        if "/" not in text:
            return text
        if Path(text).is_absolute() and os.path.lexists(text):
            return Path(text).name
        return pattern.sub(lambda match: folders[match[1]], text)

    return clean(document)


def _readable(text: str) -> str:
    return _SURROGATES.sub("\ufffd", text)
