"""The default recipes of ai-edge-quantizer, as its documents give them. Runs as a program of its own, like :mod:`.peer_recipes`.

The quantizer takes a ``.tflite`` and converts nothing, so it is given the float file that edgekit converts as well.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from edgekit_tflite import build, graph, vendor
from edgekit_tflite.convert import Converted, convert

from edgekit.contract import to_artifact
from edgekit.model import load_model
from edgekit.values import to_json

from .peer_recipes import Made, feeds, main

ENTRY = "model.tflite"


def litert_static(model: Path, calibration: Path, out: Path) -> Made:
    """``recipe.static_wi8_ai8`` with the default calibration over all feeds."""
    recipe = vendor.quantizer("recipe")
    found = _converted(model)
    (signature,) = vendor.interpreter(found.path).get_signature_list()
    samples = [to_artifact(feed, found.io) for feed in feeds(calibration)]
    return _quantized(found, recipe.static_wi8_ai8(), {signature: samples}, out)


def litert_dynamic(model: Path, _: Path, out: Path) -> Made:
    """``recipe.dynamic_wi8_afp32``."""
    recipe = vendor.quantizer("recipe")
    return _quantized(_converted(model), recipe.dynamic_wi8_afp32(), None, out)


def _converted(model: Path) -> Converted:
    return convert(load_model(model))


def _quantized(found: Converted, recipe: Any, samples: Any, out: Path) -> Made:
    quantizer = vendor.quantizer("quantizer")
    with contextlib.redirect_stdout(sys.stderr):  # it reports there what it saved; the last line is ours
        job = quantizer.Quantizer(str(found.path), recipe)
        result = job.quantize(job.calibrate(samples) if samples else None)
    (out / ENTRY).write_bytes(result.quantized_model)
    return _made(found, out)


def _made(found: Converted, out: Path) -> Made:
    made = graph.read(out / ENTRY)
    build.check(out / ENTRY, build.described(found.io, made), None)
    io = [to_json(tensor) for tensor in build.described(found.io, made)]
    return {"entry": ENTRY, "options": {"xnnpack": True}, "io": io}


if __name__ == "__main__":
    main({function.__name__: function for function in (litert_static, litert_dynamic)})
