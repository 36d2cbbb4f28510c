"""The tasks on rendered pages and crops: the text detector and the angle classifier. (What every task needs: test_tasks.py.)"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.requirements import missing
from support.running import onnx_predictor
from support.tasks import Recorder

from edgekit.feed_checks import hash_feed
from edgekit.fidelity import output_kinds
from edgekit.score_result import score_from_result

SIZES = {"detector": (60, 60, 100), "angle": (100, 200, 500)}  # feeds for calibration, evaluation, the third set
FLOAT_SCORES = {"detector": 0.962, "angle": 0.845}  # as README.md says


def load(name: str) -> ModuleType:
    """A task whose model and fonts are here."""
    module = importlib.import_module(name)
    fonts = importlib.import_module("rendering").FONTS
    models = importlib.import_module("task_common").MODELS
    if not module.model().exists() or not all((models / font).exists() for font in fonts):
        missing(f"the model of {name} or the fonts are not here: run scripts/fetch_models")
    return module


ANSWERS = {"detector": np.zeros((1, 1, 384, 384), np.float32), "angle": np.array([[0.9, 0.1]], np.float32)}


# ---------------------------------------------------------------- both tasks
@pytest.mark.real_model
@pytest.mark.parametrize("name", SIZES)
def test_the_three_sets_share_no_feed_and_have_the_models_shape(name: str) -> None:
    module = load(name)
    calibration = list(module.calibration())
    for feed in calibration:
        assert {key: (array.shape, array.dtype) for key, array in feed.items()} == {"x": (module.SHAPE["x"], np.float32)}
    hashes = [hash_feed(feed) for feed in calibration]
    evaluation, third = Recorder({"out": ANSWERS[name]}), Recorder({"out": ANSWERS[name]})
    scores = module.evaluate(evaluation), module.third(third)
    sets = (hashes, evaluation.hashes, third.hashes)
    assert tuple(len(part) for part in sets) == SIZES[name]
    assert len(set().union(*sets)) == sum(SIZES[name])
    for score, part in zip(scores, sets[1:], strict=True):
        assert score_from_result(score, name).n == len(part) == sum(s["n"] for s in score["slices"].values())
        assert np.mean(score["per_sample"]) == pytest.approx(score["value"])
        assert len(score["slices"]) == 2


@pytest.mark.real_model
@pytest.mark.parametrize(("name", "cached"), [("detector", "page"), ("angle", "picture")])
def test_a_feed_is_the_same_when_it_is_rendered_again(name: str, cached: str) -> None:
    module = load(name)
    first = [hash_feed(feed) for feed, _ in zip(module.calibration(), range(8), strict=False)]
    getattr(module, cached).cache_clear()
    assert first == [hash_feed(feed) for feed, _ in zip(module.calibration(), range(8), strict=False)]


@pytest.mark.real_model
@pytest.mark.parametrize("name", SIZES)
def test_float_scores_are_what_the_readme_says(name: str) -> None:
    """Within four points: another Pillow draws a little differently."""
    module = load(name)
    score = module.evaluate(onnx_predictor(module.model()))
    assert score["value"] == pytest.approx(FLOAT_SCORES[name], abs=0.04)


# ---------------------------------------------------------------- the angle classifier
@pytest.mark.real_model
def test_one_half_of_the_lines_is_turned_and_one_answer_to_all_is_a_coin_toss() -> None:
    angle = load("angle")
    score = angle.evaluate(Recorder({"out": ANSWERS["angle"]}))
    assert score["value"] == 0.5
    assert {name: s["value"] for name, s in score["slices"].items()} == {"upright": 1.0, "turned": 0.0}
    assert score["predictions"] == [0] * 200
    assert len(set(angle.texts())) == 800


@pytest.mark.real_model
def test_the_classifier_changes_its_mind_when_a_line_is_turned() -> None:
    """The labels mean what the network means by them: turning each picture once more turns most answers."""
    angle = load("angle")
    predict = onnx_predictor(angle.model())
    answers = []
    for index in range(50):
        grey = angle.picture(index)
        once, twice = (predict({"x": angle.normalise_line(side, 192)}) for side in (grey, grey[::-1, ::-1]))
        found = [int(np.argmax(*outputs.values())) for outputs in (once, twice)]
        answers.append(found == [index % 2, 1 - index % 2])
    assert np.mean(answers) > 0.6


# ---------------------------------------------------------------- the detector
@pytest.mark.real_model
def test_the_detectors_score_tells_a_right_map_from_wrong_ones() -> None:
    detector = load("detector")

    def knowing_all(shift_px: int) -> Any:
        pages = (detector.page(index) for index in range(60, 120))
        return lambda feed: {"map": np.roll(ideal_map(next(pages).lines), shift_px, axis=-2)}

    right = detector.evaluate(knowing_all(0))
    assert right["value"] > 0.99
    assert detector.evaluate(knowing_all(12))["value"] < 0.3  # each line found half a line too low
    assert detector.evaluate(Recorder({"out": ANSWERS["detector"]}))["value"] == 0.0
    assert detector.evaluate(Recorder({"out": ANSWERS["detector"] + 1}))["value"] < 0.05  # all of the page is one line
    assert set(right["slices"]) == {"small print", "large print"}


def ideal_map(lines: Any) -> np.ndarray[Any, Any]:
    """What a perfect DB network returns: each line's box shrunk by the ratio it is taught with (0.4), 1 inside and 0 outside."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (384, 384), 0)
    for box in lines:
        width, height = np.linalg.norm(box[1] - box[0]), np.linalg.norm(box[3] - box[0])
        distance = width * height * (1 - 0.4**2) / (2 * (width + height))
        right, down = (box[1] - box[0]) / width, (box[3] - box[0]) / height
        inwards = np.array([right + down, down - right, -right - down, right - down])
        ImageDraw.Draw(image).polygon([tuple(corner) for corner in box + distance * inwards], fill=1)
    return np.asarray(image, np.float32)[None, None]


@pytest.mark.real_model
def test_agreement_on_the_detector_is_judged_by_the_map() -> None:
    detector = load("detector")
    predict = onnx_predictor(detector.model())
    outputs = [predict(feed) for feed, _ in zip(detector.calibration(), range(2), strict=False)]
    assert [kind.kind for kind in output_kinds(outputs).values()] == ["iou"]
    assert "predictions" not in detector.mean_document("hmean", [1.0], ["small print"])


@pytest.mark.real_model
def test_boxes_lie_on_the_ink_of_a_page() -> None:
    detector = load("detector")
    for index in range(6):
        page = detector.page(index)
        grey = page.picture.astype(np.float32).mean(axis=2)
        inside = ideal_map(page.lines)[0, 0] > 0
        assert len(page.lines) >= 3
        assert grey[inside].std() > 1.3 * np.median(np.abs(np.diff(grey, axis=1))), index  # strokes, not only noise
        corners = np.concatenate(page.lines)
        assert corners.min() >= 0
        assert corners.max() <= 384


# ---------------------------------------------------------------- from a map to boxes
def test_components_are_those_of_a_flood_fill() -> None:
    text_boxes = importlib.import_module("text_boxes")
    for seed, density in ((1, 0.2), (2, 0.4), (3, 0.6)):
        mask = np.random.default_rng(seed).random((30, 41)) < density
        runs = text_boxes.find_runs(mask)
        painted = np.full(mask.shape, -1)
        for row, start, stop, component in zip(runs.row, runs.start, runs.stop, runs.component, strict=True):
            painted[row, start:stop] = component
        assert np.array_equal(painted >= 0, mask)
        expected = flood_fill(mask)
        pairs = {(int(a), int(b)) for a, b in zip(painted[mask], expected[mask], strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def flood_fill(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    labels = np.zeros(mask.shape, int)
    for number, seed in enumerate(zip(*np.nonzero(mask), strict=True), start=1):
        waiting = [seed]
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not labels[y, x]:
                labels[y, x] = number
                waiting += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return labels


def test_a_map_without_text_has_no_boxes() -> None:
    text_boxes = importlib.import_module("text_boxes")
    assert text_boxes.find_boxes(np.zeros((20, 30), np.float32)) == []
    assert text_boxes.find_boxes(np.full((20, 30), 0.4, np.float32)) == []  # above the threshold, but nowhere sure
    speck = np.zeros((20, 30), np.float32)
    speck[4:6, 4:20] = 1
    assert text_boxes.find_boxes(speck) == []


def test_a_box_is_grown_by_area_over_perimeter() -> None:
    text_boxes = importlib.import_module("text_boxes")
    probabilities = np.zeros((60, 120), np.float32)
    probabilities[20:30, 30:90] = 1  # 60 x 10
    (box,) = text_boxes.find_boxes(probabilities)
    grow = 1.5 * 600 / 140
    np.testing.assert_allclose(
        box, [[30 - grow, 20 - grow], [90 + grow, 20 - grow], [90 + grow, 30 + grow], [30 - grow, 30 + grow]]
    )


def shifted(box: np.ndarray[Any, Any], x: float, y: float) -> np.ndarray[Any, Any]:
    return np.asarray(box + np.array([x, y]))


def test_iou_of_boxes_that_are_shifted_turned_and_apart() -> None:
    text_boxes = importlib.import_module("text_boxes")
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    assert text_boxes.iou(square, square) == pytest.approx(1)
    assert text_boxes.iou(square, shifted(square, 5, 0)) == pytest.approx(50 / 150)
    assert text_boxes.iou(square, shifted(square, 10, 0)) == 0
    assert text_boxes.iou(square, shifted(square, 30, 30)) == 0
    diamond = np.array([[5, -5], [15, 5], [5, 15], [-5, 5]], float)  # the square inside it
    assert text_boxes.iou(square, diamond) == text_boxes.iou(diamond, square) == pytest.approx(100 / 200)


def test_hmean_counts_what_is_missed_and_what_is_found_twice() -> None:
    text_boxes = importlib.import_module("text_boxes")
    line = np.array([[0, 0], [50, 0], [50, 10], [0, 10]], float)
    two = [line, shifted(line, 0, 20)]
    assert text_boxes.hmean(two, two) == 1
    assert text_boxes.hmean([line], two) == pytest.approx(2 / 3)
    assert text_boxes.hmean([line, line], [line]) == pytest.approx(2 / 3)
    assert text_boxes.hmean([shifted(line, 0, 6)], [line]) == 0
    assert text_boxes.hmean([], two) == 0
    assert text_boxes.hmean([], []) == 1
