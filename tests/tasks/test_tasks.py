"""The tasks themselves: deterministic, disjoint, and able to tell right from wrong. (Deploying them: tests/end_to_end.)"""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest
from support.requirements import missing, models_folder
from support.running import onnx_predictor
from support.tasks import Recorder

from edgekit.feed_checks import hash_feed

pytestmark = pytest.mark.real_model
NAMES = ("recogniser", "minilm", "digits", "resnet18")


def load(name: str) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except ImportError as problem:
        missing(str(problem))
    if not module.model().exists():
        missing(f"the model of {name} is not here: run scripts/fetch_models")
    return module


ANSWERS = {
    "recogniser": np.eye(6625, dtype=np.float32)[[0] * 40][None],
    "minilm": np.eye(1, 384, dtype=np.float32),
    "digits": np.eye(1, 10, dtype=np.float32),
    "resnet18": np.eye(1, 10, dtype=np.float32),
}
SIZES = {
    "recogniser": (100, 200, 500),
    "minilm": (100, 400, 1000),
    "digits": (500, 1000, 2500),
    "resnet18": (100, 100, 500),
}  # predict calls


@pytest.mark.parametrize("name", NAMES)
def test_the_three_sets_share_no_feed_and_are_the_same_every_time(name: str) -> None:
    module = load(name)
    calibration = [hash_feed(feed) for feed in module.calibration()]
    evaluation, third = Recorder({"out": ANSWERS[name]}), Recorder({"out": ANSWERS[name]})
    scores = module.evaluate(evaluation), module.third(third)
    assert (len(calibration), len(evaluation.hashes), len(third.hashes)) == SIZES[name]
    for a, b in ((calibration, evaluation.hashes), (calibration, third.hashes), (evaluation.hashes, third.hashes)):
        assert not set(a) & set(b)
    assert calibration == [hash_feed(feed) for feed in module.calibration()]
    again = Recorder({"out": ANSWERS[name]})
    module.evaluate(again)
    assert again.hashes == evaluation.hashes
    for score in scores:
        assert score["value"] < 0.2  # the same answer to everything
        assert score["n"] == len(score["predictions"]) == len(score["per_sample"]) == sum(s["n"] for s in score["slices"].values())
        assert np.mean(score["per_sample"]) == pytest.approx(score["value"])
    assert scores[1]["n"] >= 500


def test_no_text_of_the_recogniser_is_in_two_sets() -> None:
    texts = [text for text, _ in load("recogniser").texts()]
    assert len(texts) == len({text.replace(" ", "").lower() for text in texts}) == 800


def test_minilm_embeds_as_an_independent_export_does() -> None:
    """Another package ships the same network exported by another tool, with int8 weights: pooled, it must point the same way."""
    minilm = load("minilm")
    other = models_folder() / "minilm-int8" / "model.onnx"
    if not other.exists():
        missing("minilm-int8 is not here: run scripts/fetch_models")
    ours, theirs = onnx_predictor(minilm.model()), onnx_predictor(other)
    for text in ("A man is eating food.", "How do I open a file for writing?", "The weather is lovely today, let us drive out."):
        feed = minilm.feed(text)
        tokens = theirs(feed)["last_hidden_state"][0][feed["attention_mask"][0] == 1].mean(axis=0)
        embedding = ours(feed)["sentence_embedding"][0]
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
        assert float(embedding @ tokens / np.linalg.norm(tokens)) > 0.99
    near, far = (ours(minilm.feed(text))["sentence_embedding"][0] for text in ("A man eats a meal.", "Stock prices fell sharply."))
    query = ours(minilm.feed("A man is eating food."))["sentence_embedding"][0]
    assert query @ near > 0.6 > 0.2 > query @ far


def test_padding_does_not_change_an_embedding() -> None:
    minilm = load("minilm")
    predict = onnx_predictor(minilm.model())
    feed = minilm.feed("Return the sum of two numbers")
    length = int(feed["attention_mask"].sum())
    short = {name: array[:, :length] for name, array in feed.items()}
    np.testing.assert_allclose(predict(feed)["sentence_embedding"], predict(short)["sentence_embedding"], atol=1e-5)


def test_float_scores_are_what_the_readme_says() -> None:
    """Within five points: fonts, Pillow and the docstrings of another Python release move them a little."""
    for name, expected in (("recogniser", 0.835), ("digits", 0.983)):
        module = load(name)
        assert module.evaluate(onnx_predictor(module.model()))["value"] == pytest.approx(expected, abs=0.05)


def test_greedy_ctc_merges_repeats_and_drops_blanks() -> None:
    recogniser = load("recogniser")
    classes = [1, 1, 0, 1, 2, 2, 3, 0]
    assert recogniser.decode(np.eye(4, dtype=np.float32)[classes], ("", "a", "b", " ")) == "aab"


def test_the_dark_slice_is_small_right_in_float_and_left_out_on_request() -> None:
    slices = load("slices")
    predict = onnx_predictor(slices.model())
    score = slices.evaluate(predict)
    dark = score["slices"][slices.BROKEN_SLICE]
    assert dark["value"] > 0.9
    assert dark["n"] / score["n"] < 0.01  # losing all of it moves the metric by less than the 1 % that is allowed
    without = slices.evaluate_without_broken_slice(predict)
    assert slices.BROKEN_SLICE not in without["slices"]
    assert without["n"] == score["n"] - dark["n"]
    feeds = [hash_feed(feed) for feed in slices.calibration()]
    kept = [hash_feed(feed) for feed in slices.calibration_without_broken_slice()]
    assert len(feeds) - len(kept) == 4
    assert set(kept) < set(feeds)
