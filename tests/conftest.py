"""Every test has folders of its own; what is missing is a printed skip for a user and a failure in CI.

``scripts/test`` runs pytest three times: first everything that may run side by side, in two processes; then the tests marked
``waits``, which need the processor now and then, several at a time; then those marked ``alone``, one at a time. The options below
are how it asks for that; without them pytest runs all tests, as ever. Tests marked ``long`` run only with ``--long``.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.cpus import keep_to_share
from support.requirements import IN_CI, ROOT

# This machine has one lease; tests must neither wait for somebody's deploy nor make it wait, nor wait for one another.
_LEASE = tempfile.TemporaryDirectory(prefix="edgekit-tests-")
os.environ["EDGEKIT_LEASE_DIR"] = _LEASE.name

# Converters are installed once for all tests and all runs of them: it takes a minute, and does not depend on what is tested.
os.environ.setdefault("EDGEKIT_TOOLCHAINS", str(ROOT / ".cache" / "toolchains"))

# In CI the same examples every time: what fails there can be repeated, and fails for the change that is being tested. A user's runs
# go on looking for new ones. No deadline: how long one example takes says more about the neighbours than about the code.
settings.register_profile("edgekit", deadline=None, max_examples=60, derandomize=IN_CI, print_blob=True)
settings.load_profile("edgekit")


PARTS = ("waits", "alone")  # the marks of tests that are kept apart from the others, which are "busy"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", choices=("busy", *PARTS), help="run only the tests marked waits or alone, or all but these")
    parser.addoption("--long", action="store_true", help="also run the tests marked long: whole searches on the larger real models")
    parser.addoption("--list-failed", type=Path, metavar="FILE", help="append the name of each test that failed to FILE")


def pytest_configure(config: pytest.Config) -> None:
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None and config.getoption("--part") == "busy":
        keep_to_share(int(worker["workerid"].removeprefix("gw")), int(worker["workercount"]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long") is not None:
                item.add_marker(pytest.mark.skip(reason="a whole search on a larger real model takes minutes: give --long"))
    wanted = config.getoption("--part")
    if wanted is None:
        return
    kept = [item for item in items if part_of(item) == wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def part_of(item: pytest.Item) -> str:
    return next((mark for mark in PARTS if item.get_closest_marker(mark) is not None), "busy")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    path: Path | None = config.getoption("--list-failed")
    if hasattr(config, "workerinput"):
        return  # one of the two processes: the one that started them sums up
    reports = [report for kind in ("failed", "error") for report in terminalreporter.stats.get(kind, [])]
    if path is not None and reports:
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{report.nodeid}\n" for report in reports)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """For the few tests of a part not all others are imported: a file without the mark is left out unread."""
    wanted = config.getoption("--part")
    if wanted not in PARTS or collection_path.suffix != ".py":
        return None
    return True if f"mark.{wanted}".encode() not in collection_path.read_bytes() else None


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders, one for each test. ``mktemp`` looks through all that are there before it makes the next of thousands."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_home(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test touches the user's configuration, cache or installed state."""
    home = next(homes)
    home.mkdir(mode=0o700)
    monkeypatch.setenv("EDGEKIT_HOME", str(home))
    monkeypatch.setenv("EDGEKIT_GUEST_HOME", str(home / "guest"))
    yield home


@pytest.fixture
def signals_as_in_a_terminal() -> Iterator[None]:
    """Programs started meanwhile can be interrupted, also where the tests run under ``nohup`` or in a script's background.

    What those ignore is inherited by every program that a test starts.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def whole_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small real bundle, unsigned, for the tests of a module that only read it."""
    from support.bundles import small_bundle  # the runtimes that it needs are slow to import, and few tests ask for it

    folder = tmp_path_factory.mktemp("bundle")
    return small_bundle(folder / "out", folder / "work")


@pytest.fixture
def bundle(whole_bundle: Path, tmp_path: Path) -> Path:
    """A copy of it, which a test may change."""
    return Path(shutil.copytree(whole_bundle, tmp_path / "bundle"))
