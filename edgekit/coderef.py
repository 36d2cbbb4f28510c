"""Code references: ``file.py:function``. Whoever calls :func:`load_function` has decided that the file may run (CONTRACTS 9.1)."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import DataError, UnknownNameError, UsageError
from .paths import kind_of

_counter = itertools.count(1)


def is_reference(text: str) -> bool:
    """Whether ``text`` has the form ``file.py:function``."""
    path, _, function = text.rpartition(":")
    return path.endswith(".py") and function.isidentifier()


def parse_reference(reference: str) -> tuple[Path, str]:
    """The file and the function's name.

    Raises:
        UsageError: not of the form ``file.py:function``.
    """
    if not is_reference(reference):
        raise UsageError(f"{reference!r} is not a code reference", hint="write it as file.py:function")
    path, _, function = reference.rpartition(":")
    return Path(path), function


def load_function(reference: str) -> Callable[..., Any]:
    """Run the file of ``reference`` and return its function.

    The file becomes a module of its own name, each time afresh. Its folder is on ``sys.path`` only while it is being run, so
    imports of neighbouring files belong at its top.

    Raises:
        UsageError: not a reference, or no such function in the file (with the nearest).
        DataError: the file is missing or raises; names the line, with the original chained.
    """
    path, name = parse_reference(reference)
    if kind_of(path, DataError) != "file":
        raise DataError(f"{path} does not exist", hint="the part before the last colon must be a Python file")
    module = _run(path.resolve())
    function = getattr(module, name, None)
    if function is None:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UnknownNameError(f"function in {path.name}", name, known)
    if not callable(function):
        raise UsageError(f"{name} in {path.name} is not a function", why=f"it is a {type(function).__name__}")
    return function  # type: ignore[no-any-return]


def _run(path: Path) -> Any:
    module_name = f"edgekit_user_code_{next(_counter)}_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        with _folder_on_path(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:
        del sys.modules[module_name]
        raise DataError(f"{path.name} fails when it is loaded", why=explain(problem, path)) from problem
    return module


@contextlib.contextmanager
def _folder_on_path(folder: Path) -> Iterator[None]:
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing is left beside the user's file
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the file may have changed sys.path itself
            sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes_bytecode


def explain(problem: BaseException, code: Path | Callable[..., Any] | None) -> str:
    """``ValueError: text, at file.py:12``: what was raised and the last line of ``code``'s file that was on the way to it."""
    text = " ".join(_text_of(problem).split())[:300]
    said = f"{type(problem).__name__}: {text}" if text else type(problem).__name__
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{said}, at {Path(problem.filename).name}:{problem.lineno}"
    frames = traceback.extract_tb(problem.__traceback__)
    where = line_of(problem, code) or (f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "")
    return f"{said}, at {where}" if where else said


def line_of(problem: BaseException, code: Path | Callable[..., Any] | None) -> str:
    """``file.py:12``: the last line of ``code``'s file on the way to ``problem``; of a function that was not even entered, where
    it is defined. Empty where its file is not known.
    """
    compiled = getattr(code, "__code__", None)
    file_name = str(code) if isinstance(code, Path) else getattr(compiled, "co_filename", None)
    if file_name is None:
        return ""
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == file_name]
    if lines:
        return f"{Path(file_name).name}:{lines[-1]}"
    return f"{Path(file_name).name}:{compiled.co_firstlineno}" if compiled is not None else ""


def _text_of(problem: BaseException) -> str:
    try:
        return str(problem)
    except (Exception, SystemExit) as second:  # noqa: BLE001  __str__ is the user's code too; what it raises is told in its place
        return f"its text cannot be had, __str__ raises {type(second).__name__}"
