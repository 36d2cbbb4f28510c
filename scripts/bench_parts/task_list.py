"""The tasks of tests/tasks, loaded as a user's own code would be."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import DataError, DependencyError

from .results import ROOT

FOLDER = ROOT / "tests" / "tasks"
NAMES = ("recogniser", "detector", "angle", "magika", "digits", "minilm", "silero")
FROM_PYTORCH = ("mobilenetv2", "resnet18")


@dataclass(frozen=True)
class Task:
    """One task: its model, the shapes that its feeds have, and its three sets of data.

    ``evaluate`` is given to edgekit, ``third`` never is; both take ``predict`` and return the document of an evaluation.
    """

    name: str
    model: Path
    shape: dict[str, tuple[int, ...]]
    calibration: Callable[[], Iterable[Any]]
    evaluate: Callable[..., Any]
    third: Callable[..., Any]


def load(name: str) -> Task:
    """The task called ``name``.

    Raises:
        DependencyError: a package that it needs is not installed.
        DataError: its model has not been fetched.
    """
    spec = importlib.util.spec_from_file_location(f"bench_task_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(FOLDER))
    try:
        spec.loader.exec_module(module)
        model = module.model()
    except ImportError as problem:
        hint = f"it needs the package {problem.name}" if problem.name else ""
        raise DependencyError(f"the task {name} cannot be loaded", why=str(problem), hint=hint) from problem
    except FileNotFoundError as problem:
        raise DataError(f"there is no task {name}", why=f"{problem.filename} is missing") from problem
    finally:
        sys.path.remove(str(FOLDER))
    if not model.exists():
        raise DataError(f"the model of {name} is not here", hint="scripts/fetch_models fetches it")
    return Task(name, model, dict(getattr(module, "SHAPE", {})), module.calibration, module.evaluate, module.third)
