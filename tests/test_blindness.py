"""Agreement is blind where float decides the same for every sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import deploy
from edgekit.blindness import undecided
from edgekit.fidelity import OutputKind
from edgekit.types import Array

PROBABILITY = {"p": OutputKind("argmax")}


def scores(*values: float) -> list[dict[str, Array]]:
    return [{"p": np.array([[value]], np.float32)} for value in values]


@pytest.mark.parametrize(
    ("values", "found"),
    [((0.1, 0.2, 0.3), ("p",)), ((0.1, 0.2, 0.6), ()), ((0.9, 0.8), ("p",)), ((0.1,), ()), ((), ())],
)
def test_a_probability_that_never_crosses(values: tuple[float, ...], found: tuple[str, ...]) -> None:
    assert undecided(scores(*values), PROBABILITY) == found


def test_classes_maps_and_what_is_no_decision() -> None:
    kinds = {"logits": OutputKind("argmax"), "map": OutputKind("iou"), "embedding": OutputKind("cosine")}
    one = {"logits": np.array([[1.0, 2.0]]), "map": np.zeros((1, 8, 8)), "embedding": np.ones((1, 4))}
    assert undecided([one, one], kinds) == ("logits", "map")
    other = {**one, "logits": np.array([[2.0, 1.0]])}
    assert undecided([one, one, other], kinds) == ("map",)
    longer = {**one, "map": np.zeros((1, 8, 9)), "logits": np.array([[2.0, 1.0]])}
    assert undecided([one, longer], kinds) == ()


def test_an_output_that_holds_nothing_now_and_then() -> None:
    empty, full = np.zeros((1, 0)), np.array([[0.2, 0.8]])
    kinds = {"classes": OutputKind("argmax")}
    assert undecided([{"classes": full}, {"classes": empty}], kinds) == ()
    assert undecided([{"classes": empty}, {"classes": full}], kinds) == ()


def test_a_deploy_says_so() -> None:
    model = Path(__file__).parent / "assets" / "digits" / "digits.onnx"
    one = np.zeros((1, 1, 28, 28), np.float32)
    feeds = [{"image": one + 1e-5 * index} for index in range(48)]
    report = deploy(model, target="onnx", calib=feeds, measure=False, precision="int8")
    assert any("float decides the same for every held-out sample" in warning for warning in report.warnings), report.warnings
