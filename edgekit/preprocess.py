"""From an encoded image to the array a model takes: preprocess schema 1 and its reference function.

``preprocess.toml`` says what to do; :func:`preprocess_image` does it, in arithmetic that ``docs/preprocess.md`` fixes to the bit,
so that the wrappers edgekit generates for phones and browsers see the same numbers as the calibration did. Pillow only decodes.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, get_type_hints

import numpy as np
import numpy.typing as npt

from .decoding import decode_image
from .errors import DataError, UnknownNameError, UsageError
from .resize import Filter, centre_crop, fitted_size, resize

if TYPE_CHECKING:
    from .types import JSON, Array

FILE_NAME = "preprocess.toml"
MAX_SIDE = 16_384
MAX_TOML_BYTES = 64 * 1024
_HINT = "docs/preprocess.md describes every key"


@dataclass(frozen=True)
class Preprocess:
    """Preprocess schema 1. The fields are the keys of ``preprocess.toml``.

    Attributes:
        resize: (height, width) of the model's input in pixels.
        color: channel order of the result; ``gray`` has one channel.
        apply_exif: turn the picture as its EXIF orientation says.
        crop: ``none`` stretches; ``center`` cuts the largest centred part of the right aspect; ``letterbox`` keeps the whole
            picture and pads with ``pad_value``.
        filter, antialias, round_to_uint8: see :func:`edgekit.resize.resize`.
        mean, std: one number a channel, in the order of the result's channels, after division by 255; empty means 0 and 1.
        dtype: ``uint8`` gives the pixels as they are, with neither division nor mean and std.
    """

    resize: tuple[int, int]
    color: Literal["RGB", "BGR", "gray"] = "RGB"
    apply_exif: bool = True
    crop: Literal["none", "center", "letterbox"] = "none"
    pad_value: int = 0
    filter: Filter = "bilinear"
    antialias: bool = True
    round_to_uint8: bool = True
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "uint8"] = "float32"
    schema: int = 1

    def __post_init__(self) -> None:
        """Refuses a contradiction, so that no half-right value exists.

        Raises:
            UsageError: names the key.
        """
        choices = get_type_hints(Preprocess)
        for key in ("color", "crop", "filter", "layout", "dtype"):
            if getattr(self, key) not in get_args(choices[key]):
                raise UnknownNameError(f"{key} of preprocess", str(getattr(self, key)), get_args(choices[key]))
        _require(self.schema == 1, "schema must be 1")
        _require(
            len(self.resize) == 2 and all(1 <= side <= MAX_SIDE for side in self.resize),
            f"resize must be [height, width] of 1 to {MAX_SIDE}",
        )
        _require(0 <= self.pad_value <= 255, "pad_value must be 0 to 255")
        channels = 1 if self.color == "gray" else 3
        for key, numbers in (("mean", self.mean), ("std", self.std)):
            _require(
                len(numbers) in (0, channels), f"{key} must have {channels} number{'s' * (channels > 1)} for color {self.color}"
            )
            _require(all(math.isfinite(number) for number in numbers), f"{key} must be finite")
        _require(all(number > 0 for number in self.std), "std must be above 0")
        if self.dtype == "uint8":
            _require(not self.mean and not self.std, "mean and std have no meaning with dtype uint8")
            _require(self.round_to_uint8, "dtype uint8 needs round_to_uint8 = true")

    def to_json(self) -> dict[str, JSON]:
        """Every key with its value, defaults included; what manifests and generated wrappers keep."""
        document = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in sorted(document.items())}


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise UsageError("the preprocessing makes no sense", why=why, hint=_HINT)


# ---------------------------------------------------------------- preprocess.toml
def read_preprocess(path: Path) -> Preprocess:
    """The preprocessing that a ``preprocess.toml`` describes.

    Raises:
        UsageError: not readable, not TOML, an unknown key (with the nearest), a wrong type or a contradiction.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_TOML_BYTES + 1)
    except OSError as problem:
        raise UsageError(f"cannot read {path}", why=problem.strerror or str(problem)) from problem
    if len(data) > MAX_TOML_BYTES:
        raise UsageError(f"{path} is too long to be a preprocess.toml", why=f"over {MAX_TOML_BYTES} bytes", hint=_HINT)
    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} is not TOML", why=str(problem), hint=_HINT) from problem
    return preprocess_from_json(document, name=path.name)


def preprocess_from_json(document: Mapping[str, Any], *, name: str = FILE_NAME) -> Preprocess:
    """The preprocessing of a parsed document; the other direction of :meth:`Preprocess.to_json`.

    Raises:
        UsageError: an unknown key (with the nearest), a missing key, a wrong type or a contradiction.
    """
    for key in document:
        if key not in _READERS:
            raise UnknownNameError(f"key in {name}", key, sorted(_READERS))
    for key in ("schema", "resize"):
        if key not in document:
            raise UsageError(f"{name} has no {key}", hint=_HINT)
    values: dict[str, Any] = {}
    for key, value in document.items():
        expected, read = _READERS[key]
        try:
            values[key] = read(value)
        except TypeError as problem:
            raise UsageError(f"{key} in {name} must be {expected}", why=f"it is {value!r}", hint=_HINT) from problem
    return Preprocess(**values)


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(kind)
        return value

    return read


def _tuple_of(*kinds: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or any(type(entry) not in kinds for entry in value):
            raise TypeError(kinds)
        return tuple(kinds[-1](entry) for entry in value)

    return read


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "schema": ("the number 1", _exactly(int)),
    "resize": ("[height, width]", _tuple_of(int)),
    "color": ("a string", _exactly(str)),
    "apply_exif": ("true or false", _exactly(bool)),
    "crop": ("a string", _exactly(str)),
    "pad_value": ("an integer", _exactly(int)),
    "filter": ("a string", _exactly(str)),
    "antialias": ("true or false", _exactly(bool)),
    "round_to_uint8": ("true or false", _exactly(bool)),
    "mean": ("a list of numbers", _tuple_of(int, float)),
    "std": ("a list of numbers", _tuple_of(int, float)),
    "layout": ("a string", _exactly(str)),
    "dtype": ("a string", _exactly(str)),
}


# ---------------------------------------------------------------- the reference function
def preprocess_image(image: bytes | npt.NDArray[np.uint8], preprocess: Preprocess, *, orientation: int = 1) -> Array:
    """The model's input for one picture.

    Args:
        image: an encoded picture (JPEG, PNG, BMP, WebP, TIFF, PPM), or decoded pixels (H, W, 3) uint8 in RGB order.
        preprocess: what to do.
        orientation: EXIF orientation 1 to 8 of decoded pixels; an encoded picture carries its own.

    Returns:
        (1, C, height, width) or (1, height, width, C) by ``layout``; float32 or uint8 by ``dtype``; C-contiguous.

    Raises:
        DataError: the picture does not decode, is too large, or has more than 8 bits a channel.
    """
    if isinstance(image, bytes):
        pixels, orientation = decode_image(image)
    else:
        pixels = image
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise DataError("decoded pixels must be (H, W, 3) uint8", why=f"they are {pixels.shape} {pixels.dtype}")
    if preprocess.apply_exif:
        pixels = apply_orientation(pixels, orientation)
    if preprocess.color == "gray":
        pixels = to_gray(pixels)
    levels = _crop_and_resize(pixels, preprocess)
    if preprocess.color == "BGR":
        levels = levels[:, :, ::-1]
    values = levels if preprocess.dtype == "uint8" else _normalise(levels, preprocess)
    if preprocess.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None])


def _crop_and_resize(pixels: npt.NDArray[np.uint8], preprocess: Preprocess) -> npt.NDArray[np.generic]:
    height, width = preprocess.resize
    if preprocess.crop == "center":
        top, left, part_height, part_width = centre_crop(pixels.shape[0], pixels.shape[1], height, width)
        pixels = pixels[top : top + part_height, left : left + part_width]
    inner_height, inner_width = height, width
    if preprocess.crop == "letterbox":
        inner_height, inner_width = fitted_size(pixels.shape[0], pixels.shape[1], height, width)
    levels = resize(
        pixels,
        inner_height,
        inner_width,
        preprocess.filter,
        antialias=preprocess.antialias,
        round_to_uint8=preprocess.round_to_uint8,
    )
    if (inner_height, inner_width) == (height, width):
        return levels
    boxed = np.full((height, width, levels.shape[2]), preprocess.pad_value, dtype=levels.dtype)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    boxed[top : top + inner_height, left : left + inner_width] = levels
    return boxed


def _normalise(levels: npt.NDArray[np.generic], preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """(level / 255 - mean) / std in float64, rounded once to float32."""
    channels = levels.shape[2]
    mean = np.array(preprocess.mean or (0.0,) * channels, dtype=np.float64)
    std = np.array(preprocess.std or (1.0,) * channels, dtype=np.float64)
    return cast("npt.NDArray[np.float32]", ((levels.astype(np.float64) / 255.0 - mean) / std).astype(np.float32))


def to_gray(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB as (H, W, 1): ITU-R 601 luma in 16-bit fixed point, ``(19595 R + 38470 G + 7471 B + 32768) >> 16``."""
    wide = pixels.astype(np.int32)
    luma = (19595 * wide[:, :, 0] + 38470 * wide[:, :, 1] + 7471 * wide[:, :, 2] + 32768) >> 16
    return luma.astype(np.uint8)[:, :, None]


def apply_orientation(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """The picture upright, from its EXIF orientation; anything but 2 to 8 leaves it as it is (the tag is often nonsense)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
