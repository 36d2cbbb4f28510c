from __future__ import annotations

import importlib
import sysconfig
from pathlib import Path

import pytest

from edgekit.errors import DependencyError, MissingExtraError, not_importable


def _failure(module: str) -> DependencyError:
    with pytest.raises(ImportError) as problem:
        importlib.import_module(module)
    return not_importable("their-package", "theirs", "the target", problem.value)


def test_a_package_that_is_not_there_names_the_extra() -> None:
    found = _failure("edgekit_of_nowhere")
    assert isinstance(found, MissingExtraError)
    assert "edgekit-sdk[theirs]" in found.hint


def test_a_package_whose_library_does_not_load_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a wheel does that was made for a newer system: to install it again would not help."""
    (tmp_path / f"edgekit_broken{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(b"not a library")
    monkeypatch.syspath_prepend(tmp_path)
    found = _failure("edgekit_broken")
    assert not isinstance(found, MissingExtraError)
    assert "is installed, but does not load" in found.what
    assert "edgekit_broken" in found.why
    assert "pip" not in found.hint
