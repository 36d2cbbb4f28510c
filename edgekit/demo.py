"""The two models that edgekit ships for its demo, with calibration and labelled data.

How they were made: ``tests/assets/digits/README.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).with_name("_demo")


@dataclass(frozen=True)
class DemoModel:
    """One model and its data: ``calibration`` without labels, ``evaluation`` with labels and slices, from separate splits."""

    name: str
    title: str
    model: Path
    calibration: Path
    evaluation: Path
    metric: str


def demo_models() -> tuple[DemoModel, ...]:
    """Two nets that read handwritten digits (float32 images, 1x1x28x28 in [0, 1]).

    The first has arithmetic enough for fewer bits to pay; the second is so small that it has not.

    Raises:
        Nothing: the files are part of the package, and are not opened here.
    """
    titles = {
        "digits-wide": "a residual net, heavy enough for fewer bits to pay",
        "digits-small": "a net so small that float is the fastest",
    }
    return tuple(
        DemoModel(
            name=name,
            title=title,
            model=DATA / f"{name}.onnx",
            calibration=DATA / "calibration.npz",
            evaluation=DATA / "evaluation.npz",
            metric="accuracy",
        )
        for name, title in titles.items()
    )
