"""Twenty golden vectors of preprocess schema 1: small pictures, what to do with them, and the exact result.

Every generated wrapper is tested against them. The pictures come from a generator that is a line in any language, so that the
file can be made again: ``python -m edgekit.preprocess_golden FILE``.
"""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .preprocess import Preprocess, preprocess_from_json, preprocess_image
from .state import write_file

if TYPE_CHECKING:
    from .types import Array

_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

#: (height, width of the picture, EXIF orientation, preprocessing)
_CASES: tuple[tuple[int, int, int, Preprocess], ...] = (
    (7, 5, 1, Preprocess((7, 5))),
    (9, 14, 1, Preprocess((6, 6))),
    (9, 14, 1, Preprocess((6, 6), antialias=False, **_IMAGENET)),
    (9, 14, 1, Preprocess((6, 6), round_to_uint8=False, **_IMAGENET)),
    (9, 14, 1, Preprocess((6, 6), antialias=False, round_to_uint8=False)),
    (5, 6, 1, Preprocess((11, 9), antialias=False)),
    (12, 16, 1, Preprocess((5, 7), filter="bicubic", **_IMAGENET)),
    (12, 16, 1, Preprocess((5, 7), filter="bicubic", antialias=False)),
    (12, 16, 1, Preprocess((5, 7), filter="bicubic", round_to_uint8=False)),
    (4, 4, 1, Preprocess((9, 9), filter="bicubic", round_to_uint8=False, antialias=False)),
    (11, 8, 1, Preprocess((4, 5), filter="nearest", antialias=False)),
    (3, 5, 1, Preprocess((8, 7), filter="nearest", antialias=False, dtype="uint8", layout="NHWC")),
    (13, 8, 1, Preprocess((6, 6), crop="center", **_IMAGENET)),
    (8, 15, 1, Preprocess((6, 4), crop="center", color="BGR", **_HALF)),
    (8, 15, 1, Preprocess((8, 8), crop="letterbox", pad_value=114, color="BGR")),
    (16, 6, 1, Preprocess((7, 9), crop="letterbox", pad_value=255, round_to_uint8=False, layout="NHWC", **_HALF)),
    (10, 12, 1, Preprocess((6, 6), color="gray", mean=(0.1307,), std=(0.3081,))),
    (10, 12, 6, Preprocess((7, 6), color="gray", dtype="uint8", layout="NHWC")),
    (9, 7, 8, Preprocess((5, 8), crop="letterbox", pad_value=7)),
    (9, 7, 5, Preprocess((5, 8), apply_exif=False, crop="center", filter="bicubic", dtype="uint8")),
)


@dataclass(frozen=True)
class GoldenVector:
    """``pixels`` (H, W, 3) uint8 RGB, as decoded; ``expected`` has the batch axis."""

    pixels: npt.NDArray[np.uint8]
    orientation: int
    preprocess: Preprocess
    expected: Array


def golden_vectors() -> tuple[GoldenVector, ...]:
    """The vectors that ship with the package."""
    document = json.loads(resources.files("edgekit").joinpath("_golden/preprocess-1.json").read_text("utf-8"))
    return tuple(_vector(entry) for entry in document["vectors"])


def _vector(entry: dict[str, Any]) -> GoldenVector:
    pixels = _from_base64(entry["pixels"], "uint8", (entry["height"], entry["width"], 3))
    expected = entry["expected"]
    return GoldenVector(
        pixels.astype(np.uint8),
        entry["orientation"],
        preprocess_from_json(entry["preprocess"], name="golden vector"),
        _from_base64(expected["data"], expected["dtype"], tuple(expected["shape"])),
    )


def _from_base64(text: str, dtype: str, shape: tuple[int, ...]) -> Array:
    return np.frombuffer(base64.b64decode(text), dtype=np.dtype(dtype).newbyteorder("<")).reshape(shape)


def synthetic_pixels(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    """(height, width, 3) uint8: the top byte of ``state = (1664525 * state + 1013904223) mod 2**32``, row by row, RGB."""
    state, levels = seed, []
    for _ in range(height * width * 3):
        state = (1664525 * state + 1013904223) % 2**32
        levels.append(state >> 24)
    return np.array(levels, dtype=np.uint8).reshape(height, width, 3)


def render() -> bytes:
    """The vectors' file, made afresh. Arrays are base64 of little-endian bytes in C order."""
    vectors = []
    for seed, (height, width, orientation, preprocess) in enumerate(_CASES, start=1):
        pixels = synthetic_pixels(height, width, seed)
        expected = preprocess_image(pixels, preprocess, orientation=orientation)
        little_endian = expected.astype(expected.dtype.newbyteorder("<"))
        vectors.append(
            {
                "seed": seed,
                "height": height,
                "width": width,
                "pixels": base64.b64encode(pixels.tobytes()).decode(),
                "orientation": orientation,
                "preprocess": preprocess.to_json(),
                "expected": {
                    "dtype": str(expected.dtype),
                    "shape": list(expected.shape),
                    "data": base64.b64encode(little_endian.tobytes()).decode(),
                },
            }
        )
    return json.dumps({"schema": "edgekit.preprocess-golden/1", "vectors": vectors}, indent=1).encode() + b"\n"


if __name__ == "__main__":
    write_file(Path(sys.argv[1]), render())
