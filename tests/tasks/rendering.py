"""Text with known truth for the PP-OCR tasks: what a line says, what it looks like, and how PP-OCR feeds it to a network.

Every random choice comes from the generator that is passed in, in a fixed order: a change of that order changes the data of a task.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from task_common import MODELS

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

LINE_HEIGHT_PX = 48  # of the networks that read one line
KINDS = ("words", "numbers", "mixed")
FONTS = (
    "font-caladea/Caladea-Regular.ttf",
    "font-caladea/Caladea-BoldItalic.ttf",
    "font-lato/Lato-Regular.ttf",
    "font-lato/Lato-LightItalic.ttf",
    "font-lato/Lato-Black.ttf",
    "font-manrope/Manrope-Medium.ttf",
    "font-source-sans-pro/SourceSansPro-Regular.ttf",
    "font-source-sans-pro/SourceSansPro-ExtraLight.ttf",
    "font-source-serif-pro/SourceSerifPro-It.ttf",
    "font-source-serif-pro/SourceSerifPro-Semibold.ttf",
)
VOCABULARY = """
    about above account across action address after again agency agree almost alone along amount animal answer appear April
    area around arrive article August author autumn balance battery before behind believe below between blanket bottle branch
    bread bridge bright bring brother budget build button cabinet calendar camera captain carbon castle center chance change
    chapter charge circle city climate clock cloud coffee collect column common compare concert copper corner cotton country
    couple course cover create credit culture current curtain customer danger daughter December decide delay deliver depart
    desert design detail device diagram different dinner direct discount distance doctor double drawer driver early earth east
    editor effort eight electric eleven empty energy engine enough entrance equal evening event every exact example except
    express factory family farmer February fifteen figure finger finish flower follow foreign forest forward fragile Friday
    friend garden gate general gentle glass government grain green ground growth handle harbour heavy height hidden history
    holiday honest hospital hotel hundred ice idea image index inside invoice iron island January journey July junction June
    keep kitchen label ladder language large later leather left letter level library light limit liquid little local lower
    luggage machine magazine manager March market material meadow measure member metal method middle minute mirror Monday
    month morning motor mountain museum music narrow nation needle network night nine north November number object October
    office often open orange order other outside owner paper parcel parking partner people period person piece planet plastic
    platform please pocket point police polish power present price printer private problem produce program public quality
    quarter question quick quiet railway rather reason receipt record region remain repair report return river road roof round
    safety salt Saturday school science season second section seller sentence September serial seven shelf shipping shoulder
    signal silver simple single sister sixteen small smooth soldier south special speed spring square station stone storage
    street string student subject summer Sunday supply surface switch system table teacher temple thank theatre thing thirty
    thousand Thursday ticket timber today together tomorrow tower traffic train travel Tuesday twelve twenty under union until
    upper usual valley value vehicle village visit volume wagon warehouse warm water weather Wednesday week weight west wheel
    white window winter within without wooden worker world yellow zero
"""
WORDS = VOCABULARY.split()


@dataclass(frozen=True)
class Hardness:
    """Bounds between which a line's looks are drawn; grey levels are 0..255."""

    font_px: tuple[int, int] = (15, 34)  # the second is excluded
    paper: tuple[int, int] = (150, 256)
    contrast: tuple[int, int] = (35, 140)
    inverted: float = 0.25  # share of lines with ink and paper exchanged
    slant_degrees: float = 1.5
    blur_px: float = 1.25
    noise: float = 15.0  # standard deviation


def compose(kind: str, rng: np.random.Generator) -> str:
    def words(count: int) -> str:
        return " ".join(str(word) for word in rng.choice(WORDS, count))

    if kind == "words":
        text = words(int(rng.integers(2, 4)))
        return (text, text.capitalize(), text.title())[rng.integers(3)]
    year, month, day, hour, minute = (int(rng.integers(*bounds)) for bounds in ((1950, 2040), (1, 13), (1, 29), (0, 24), (0, 60)))
    amount = f"{rng.integers(1, 9999):,}.{rng.integers(100):02d}"
    if kind == "numbers":
        choices = [
            f"{year}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}",
            f"+{rng.integers(1, 99)} {rng.integers(100, 999)} {rng.integers(1000000, 9999999)}",
            f"{amount} {rng.integers(10, 99)}%",
            f"{rng.integers(10**8, 10**9)}-{rng.integers(10, 99)}",
        ]
    else:
        choices = [
            f"{words(1).title()} {rng.integers(1, 400)}, {words(1).title()}",
            f"No. {rng.integers(1000, 99999)} {words(1)}",
            f"{words(1)}.{words(1)}@{words(1)}.org".lower(),
            f"Total {words(1)}: ${amount}",
            f"{words(1)[:3].upper()}-{rng.integers(100, 9999)}/{words(1)[:2].upper()}{rng.integers(10, 99)}",
        ]
    return choices[rng.integers(len(choices))]


def render_line(text: str, rng: np.random.Generator, hardness: Hardness) -> npt.NDArray[np.uint8]:
    """Grey image of the line as a camera might crop it: height x width, uint8."""
    from PIL import Image, ImageDraw, ImageFilter

    font = load_font(FONTS[rng.integers(len(FONTS))], int(rng.integers(*hardness.font_px)))
    left, top, right, bottom = font.getbbox(text)
    margin = 6
    width, height = int(right - left) + 2 * margin, int(bottom - top) + 2 * margin
    paper, contrast = int(rng.integers(*hardness.paper)), int(rng.integers(*hardness.contrast))
    ink = paper - contrast
    if rng.random() < hardness.inverted:
        paper, ink = ink, paper
    image = Image.new("L", (width, height), paper)
    ImageDraw.Draw(image).text((margin - left, margin - top), text, fill=ink, font=font)
    slant = float(rng.uniform(-hardness.slant_degrees, hardness.slant_degrees))
    image = image.rotate(slant, resample=Image.Resampling.BICUBIC, fillcolor=paper)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.0, hardness.blur_px))))
    noisy = np.asarray(image, np.float32) + rng.normal(0.0, rng.uniform(0.0, hardness.noise), (height, width))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def normalise_line(grey: npt.NDArray[np.uint8], width_px: int) -> npt.NDArray[np.float32]:
    """PP-OCR's own, 1 x 3 x 48 x ``width_px``: ratio kept up to that width, (x / 255 - 0.5) / 0.5, padded with 0 on the right."""
    from PIL import Image

    width = min(width_px, int(np.ceil(LINE_HEIGHT_PX * grey.shape[1] / grey.shape[0])))
    resized = np.asarray(Image.fromarray(grey).resize((width, LINE_HEIGHT_PX), Image.Resampling.BILINEAR), np.float32)
    tensor = np.zeros((1, 3, LINE_HEIGHT_PX, width_px), np.float32)
    tensor[0, :, :, :width] = (resized / 255.0 - 0.5) / 0.5
    return tensor


@cache
def load_font(file: str, size_px: int) -> FreeTypeFont:
    """One of FONTS; without Raqm, so that every machine lays a line out alike."""
    from PIL import ImageFont

    return ImageFont.truetype(MODELS / file, size_px, layout_engine=ImageFont.Layout.BASIC)
