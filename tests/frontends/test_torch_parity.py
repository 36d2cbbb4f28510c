"""An export that does not say what PyTorch says is refused, and by how much is said. No test here needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.running import onnx_predictor
from support.small_models import classifier, images

from edgekit.errors import ModelError
from edgekit.frontends.torch_parity import check_parity


def _case(path: Path) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    feed = {"x": images(1)}
    return feed, list(onnx_predictor(path)(feed).values())


def test_what_is_equal_passes_with_the_difference(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx")
    feed, (logits,) = _case(path)
    assert check_parity(path, [(feed, [logits])], "m.pt2") < 1e-6
    nudged = logits + 5e-5 * np.abs(logits).max()
    assert check_parity(path, [(feed, [logits]), (feed, [nudged])], "m.pt2") == pytest.approx(5e-5, rel=0.1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda logits: [logits * 1.01], r"'logits' differs by 0\.0099 of its largest value, on x \[1, 1, 8, 8\]"),
        (lambda logits: [np.where(logits == logits.max(), np.nan, logits)], "differs by inf"),
        (lambda logits: [np.where(logits == logits.max(), np.inf, logits)], "differs by inf"),
        (lambda logits: [logits[0]], r"is \[4\] in PyTorch and \[1, 4\] in the ONNX"),
        (lambda logits: [logits, logits], "returns 2 tensors, the ONNX 1"),
    ],
)
def test_what_is_not_equal_is_refused(tmp_path: Path, wrong, words: str) -> None:  # type: ignore[no-untyped-def]
    path = classifier(tmp_path / "m.onnx")
    feed, (logits,) = _case(path)
    with pytest.raises(ModelError, match=words):
        check_parity(path, [(feed, wrong(logits))], "m.pt2")


def test_an_input_that_pytorch_does_not_have(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="input 'x' that the program does not have"):
        check_parity(path, [({"y": images(1)}, [])], "m.pt2")
