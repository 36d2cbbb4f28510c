"""Text recognition: the PP-OCRv4 recogniser on rendered lines of known text; the metric is the exact match of a whole line, spaces
left out as PaddleOCR's own metric does (this model drops most spaces between digits).

One feed is one line, ``x``: float32, 1 x 3 x 48 x 320, in [-1, 1], padded on the right with 0 as PP-OCR does it. The lines of the
three sets come from one seeded stream of distinct texts, so no text is in two sets. Font size, slant, contrast, blur and noise are
chosen so that the float model misses about one line in six: a metric at 1.0 would hide damage.

Deploy with ``--shape x=1x3x48x320 --calib tests/tasks/recogniser.py:calibration --eval tests/tasks/recogniser.py:evaluate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from task_common import MODELS, Array, Feed, Predict, score_document

SHAPE = {"x": (1, 3, 48, 320)}
N_CALIBRATION, N_EVALUATION, N_THIRD = 100, 200, 500
HEIGHT, WIDTH = 48, 320
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
class Line:
    """One rendered line: what it says, of which kind it is, and the feed."""

    text: str
    kind: str
    feed: Feed


def model() -> Path:
    """The recogniser as its package ships it (opset 12, weights in Constant nodes, dictionary in the metadata)."""
    return MODELS / "ppocr" / "recogniser.onnx"


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 100 lines that no score is taken from."""
    for line in lines(0, N_CALIBRATION):
        yield line.feed


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: exact match on 200 lines; slices by kind of text."""
    return score(predict, lines(N_CALIBRATION, N_EVALUATION))


def third(predict: Predict) -> dict[str, Any]:
    """The score on 500 lines that edgekit is never given."""
    return score(predict, lines(N_CALIBRATION + N_EVALUATION, N_THIRD))


def score(predict: Predict, samples: Iterable[Line]) -> dict[str, Any]:
    alphabet = dictionary()
    predictions: list[str] = []
    hits: list[bool] = []
    kinds: list[str] = []
    for line in samples:
        (probabilities,) = predict(line.feed).values()  # 1 x 40 x 6625
        text = decode(np.asarray(probabilities)[0], alphabet).replace(" ", "")
        predictions.append(text)
        hits.append(text == line.text.replace(" ", ""))
        kinds.append(line.kind)
    return score_document("exact match", hits, kinds, predictions)


def decode(probabilities: Array, alphabet: tuple[str, ...]) -> str:
    """Greedy CTC: the best class of each column (columns x classes), repeats merged, blanks (class 0) dropped."""
    best = probabilities.argmax(axis=-1)
    changed = np.concatenate([[True], best[1:] != best[:-1]])
    return "".join(alphabet[index] for index in best[changed & (best != 0)]).strip()


@cache
def dictionary() -> tuple[str, ...]:
    """Class index -> character: the blank, the characters in the model's metadata, the space."""
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(model()).metadata_props}
    return ("", *metadata["character"].split("\n"), " ")


# ---------------------------------------------------------------- the lines
def lines(first: int, count: int) -> Iterator[Line]:
    """Lines ``first`` to ``first + count`` of the one stream; the same on every call."""
    for index, (text, kind) in enumerate(texts()[first : first + count], start=first):
        yield Line(text, kind, {"x": normalise(render(text, np.random.default_rng([7, index])))})


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """All texts of the three sets, distinct, with their kinds in turn."""
    rng = np.random.default_rng(2026)
    found: dict[str, str] = {}
    while len(found) < N_CALIBRATION + N_EVALUATION + N_THIRD:
        kind = KINDS[len(found) % len(KINDS)]
        found.setdefault(compose(kind, rng), kind)
    return tuple(found.items())


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


def render(text: str, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Grey image of the line as a camera might crop it: height x width, uint8."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    file, size = MODELS / FONTS[rng.integers(len(FONTS))], int(rng.integers(15, 34))
    font = ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = font.getbbox(text)
    margin = 6
    width, height = int(right - left) + 2 * margin, int(bottom - top) + 2 * margin
    paper, contrast = int(rng.integers(150, 256)), int(rng.integers(35, 140))
    ink = paper - contrast
    if rng.random() < 0.25:
        paper, ink = ink, paper
    image = Image.new("L", (width, height), paper)
    ImageDraw.Draw(image).text((margin - left, margin - top), text, fill=ink, font=font)
    image = image.rotate(float(rng.uniform(-1.5, 1.5)), resample=Image.Resampling.BICUBIC, fillcolor=paper)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.0, 1.25))))
    noisy = np.asarray(image, np.float32) + rng.normal(0.0, rng.uniform(0.0, 15.0), (height, width))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def normalise(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """PP-OCR's own: 48 px high, ratio kept up to 320 px, (x / 255 - 0.5) / 0.5, padded with 0 on the right."""
    from PIL import Image

    width = min(WIDTH, int(np.ceil(HEIGHT * grey.shape[1] / grey.shape[0])))
    resized = np.asarray(Image.fromarray(grey).resize((width, HEIGHT), Image.Resampling.BILINEAR), np.float32)
    tensor = np.zeros((1, 3, HEIGHT, WIDTH), np.float32)
    tensor[0, :, :, :width] = (resized / 255.0 - 0.5) / 0.5
    return tensor
