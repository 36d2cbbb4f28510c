"""Rendered pages with known text boxes: one to three columns of lines, in many fonts, light and dark, seen by a poor camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rendering import FONTS, KINDS, compose, load_font
from text_boxes import Box

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

Floats = npt.NDArray[np.float32]

SIDE_PX = 384
MARGIN_PX = 20  # so that the slant moves no line over the edge
GUTTER_PX = 22  # between columns
FONT_PX = {"small print": (12, 17), "large print": (17, 28)}  # the second is excluded
MOST_COLUMNS = {"small print": 3, "large print": 2}
INK = (100, 256)  # of a line; 255 is all of the page's contrast
SLANT_DEGREES = 2.5
BLUR_PX = 1.0
NOISE = 12.0  # standard deviation, in grey levels


@dataclass(frozen=True)
class Page:
    """``picture``: height x width x 3, RGB, uint8; ``lines``: the box of each line, from ascender to descender."""

    picture: npt.NDArray[np.uint8]
    lines: tuple[Box, ...]


def render_page(kind: str, rng: np.random.Generator) -> Page:
    """A page in small or in large print (the keys of FONT_PX)."""
    from PIL import Image, ImageDraw, ImageFilter

    sheet = Image.new("L", (SIDE_PX, SIDE_PX), 0)  # how much ink there is on each pixel
    drawing = ImageDraw.Draw(sheet)
    columns = int(rng.integers(1, MOST_COLUMNS[kind] + 1))
    width = (SIDE_PX - 2 * MARGIN_PX - (columns - 1) * GUTTER_PX) // columns
    boxes: list[Box] = []
    for column in range(columns):
        boxes += draw_column(drawing, MARGIN_PX + column * (width + GUTTER_PX), width, FONT_PX[kind], rng)
    slant = float(rng.uniform(-SLANT_DEGREES, SLANT_DEGREES))
    sheet = sheet.rotate(slant, resample=Image.Resampling.BICUBIC)
    sheet = sheet.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.0, BLUR_PX))))
    return Page(photograph(np.asarray(sheet, np.float32) / np.float32(255), rng), tuple(turned(box, slant) for box in boxes))


def draw_column(drawing: ImageDraw, left: int, width: int, font_px: tuple[int, int], rng: np.random.Generator) -> list[Box]:
    """Fills a column from top to bottom with ragged lines in one font, now and then a rule between them; the boxes of the lines."""
    font = load_font(FONTS[rng.integers(len(FONTS))], int(rng.integers(*font_px)))
    height = sum(font.getmetrics())
    pitch = height * float(rng.uniform(1.05, 1.5))
    top = MARGIN_PX + height * float(rng.uniform(0, 1.5))
    boxes = []
    while top + pitch < SIDE_PX - MARGIN_PX:
        text = line_of_text(width * float(rng.uniform(0.5, 1.0)), font.getlength, rng)
        if text:
            drawing.text((left, top), text, fill=int(rng.integers(*INK)), font=font)
            boxes.append(upright_box(left, top, left + font.getlength(text), top + height))
        top += pitch
        if rng.random() < 0.12:
            drawing.line((left, top + pitch / 2, left + width, top + pitch / 2), fill=255, width=1)
            top += pitch
    return boxes


def line_of_text(width: float, length_of: Callable[[str], float], rng: np.random.Generator) -> str:
    """As many words as fit into ``width`` pixels; perhaps none."""
    text = ""
    while True:
        for word in compose(KINDS[rng.integers(len(KINDS))], rng).split():
            longer = f"{text} {word}".strip()
            if length_of(longer) > width:
                return text
            text = longer


def photograph(ink: Floats, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Height x width x 3, RGB: ink (height x width, 0..1) on coloured paper, one in three dark, in uneven light, with noise."""
    dark = bool(rng.random() < 1 / 3)
    paper = (rng.uniform(20, 90, 3) if dark else rng.uniform(180, 250, 3)).astype(np.float32)
    contrast = (rng.uniform(90, 170) * (1 if dark else -1) + rng.uniform(-15, 15, 3)).astype(np.float32)
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32) / SIDE_PX - 0.5
    direction, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 40)
    light = (fall * (x * np.cos(direction) + y * np.sin(direction))).astype(np.float32)
    grey = light + rng.standard_normal(ink.shape, np.float32) * np.float32(rng.uniform(0.0, NOISE))
    levels: Floats = paper + contrast * ink[..., None] + grey[..., None]
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def upright_box(left: float, top: float, right: float, bottom: float) -> Box:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def turned(box: Box, degrees: float) -> Box:
    """A box after Pillow has rotated the page about its centre (counter-clockwise as a reader sees it)."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    result: Box = (box - SIDE_PX / 2) @ np.array([[cosine, -sine], [sine, cosine]]) + SIDE_PX / 2
    return result
