"""LiteRT and ai-edge-quantizer, loaded on first use: quiet, and with errors of edgekit's own.

The quantizer was renamed to litert-quantizer after 0.10; whichever is installed is used. Neither package needs TensorFlow or
PyTorch.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

from edgekit.errors import MissingExtraError, ModelError, not_importable

EXTRA = "tflite"
RUNTIME = "ai-edge-litert"
QUANTIZERS = {"ai-edge-quantizer": "ai_edge_quantizer", "litert-quantizer": "litert_quantizer"}
_LOG = logging.getLogger("edgekit_tflite")


def litert(module: str) -> Any:
    """The module ``ai_edge_litert.<module>``.

    Raises:
        DependencyError: the package is not installed, or does not load.
    """
    return _load(f"ai_edge_litert.{module}", RUNTIME)


def quantizer(module: str) -> Any:
    """The quantizer's module of that name.

    Raises:
        DependencyError: the package is not installed, or does not load.
    """
    for package, top in QUANTIZERS.items():
        if importlib.util.find_spec(top) is not None:
            return _load(f"{top}.{module}", package)
    raise MissingExtraError(next(iter(QUANTIZERS)), EXTRA, "the tflite target's integer formats")


def versions() -> dict[str, str]:
    """The installed versions of both packages, from their metadata: nothing is imported. Empty where none is installed."""
    from importlib import metadata

    found = {}
    for name in (RUNTIME, *QUANTIZERS):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _load(module: str, package: str) -> Any:
    try:
        with quiet():
            return importlib.import_module(module)
    except ImportError as problem:
        raise not_importable(package, EXTRA, "the tflite target", problem) from problem


def interpreter(path: Any, *, keep_all: bool = False) -> Any:
    """An interpreter on two threads with its tensors allocated.

    Args:
        keep_all: the value of every tensor can be read after a run.

    Raises:
        ModelError: the runtime does not take the model.
    """
    made = litert("interpreter")
    with quiet(native=True), as_model_errors("LiteRT does not accept the model"):
        found = made.Interpreter(model_path=str(path), num_threads=2, experimental_preserve_all_tensors=keep_all)
        found.allocate_tensors()
        return found


@contextlib.contextmanager
def quiet(*, native: bool = False) -> Iterator[None]:
    """Nothing that the vendors say reaches the terminal while the block runs; it goes to edgekit's log.

    Args:
        native: also what compiled code writes to the process's stderr; for short blocks, as it takes everybody's.
    """
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        try:
            with _native_stderr(said) if native else contextlib.nullcontext():
                yield
        finally:
            for line in said.getvalue().splitlines():
                _LOG.info("%s", line.strip())


@contextlib.contextmanager
def _native_stderr(said: io.StringIO) -> Iterator[None]:
    with tempfile.TemporaryFile() as taken:
        kept = os.dup(2)
        os.dup2(taken.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            taken.seek(0)
            said.write(taken.read().decode(errors="replace"))


@contextlib.contextmanager
def as_model_errors(what: str, hint: str = "") -> Iterator[None]:
    """Whatever the vendors raise about a model becomes a ModelError that says ``what`` failed and why.

    Errors of edgekit's own (of the calibration data, say), a full disk and too little memory pass through.
    """
    from edgekit.errors import EdgekitError

    try:
        yield
    except (EdgekitError, MemoryError, OSError):
        raise
    except Exception as problem:  # both packages raise whatever Python has, without a class of their own
        said = "; ".join(line.strip() for line in str(problem).splitlines() if line.strip())
        raise ModelError(what, why=f"{type(problem).__name__}: {said[:300]}", hint=hint) from problem
