"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import edgekit

# edgekit.agent is code for the device: its entry module starts an agent when it is imported as a program.
MODULES = [m.name for m in pkgutil.walk_packages(edgekit.__path__, "edgekit.") if not m.name.endswith("__main__")]


def _with_examples() -> list[str]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [name for name in MODULES if any(test.examples for test in finder.find(_load(name)))]


def _load(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", _with_examples())
def test_the_examples_of_a_module_do_what_they_show(name: str) -> None:
    found = doctest.testmod(_load(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0


def test_the_public_functions_have_examples() -> None:
    assert {"edgekit.api", "edgekit.model", "edgekit.profiling"} <= set(_with_examples())


def test_every_public_name_is_there_and_stays_what_it_is() -> None:
    """Importing a submodule must not shadow a function of the same name."""
    for name in MODULES:
        _load(name)
    for name in edgekit.__all__:
        assert not isinstance(getattr(edgekit, name), ModuleType), name
    assert set(edgekit.__all__) == set(edgekit._HOMES)
