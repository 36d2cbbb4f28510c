"""The tasks magika and silero: deterministic, disjoint, true to their models, and able to tell right from wrong."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.requirements import missing
from support.running import onnx_predictor
from support.tasks import Recorder, task

from edgekit.feed_checks import hash_feed

pytestmark = pytest.mark.real_model
Feed = dict[str, Any]


@pytest.fixture(scope="module")
def magika() -> ModuleType:
    return task("magika")


@pytest.fixture(scope="module")
def silero() -> ModuleType:
    module = task("silero")
    try:
        module.spoken_sentences()
    except RuntimeError as problem:
        missing(str(problem))
    return module


def no_answer(name: str) -> Feed:
    if name == "magika":
        return {"target_label": np.eye(1, 214, dtype=np.float32)}
    return {"output": np.full((1, 1), 0.5, np.float32), "stateN": np.ones((2, 1, 128), np.float32)}


@pytest.mark.parametrize(("name", "sizes"), [("magika", (100, 300, 500)), ("silero", (129, 1555, 2625))])
def test_the_three_sets_share_no_feed_and_are_the_same_every_time(
    name: str, sizes: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    module = request.getfixturevalue(name)
    calibration = [hash_feed(feed) for feed in module.calibration()]
    evaluation, third, again = (Recorder(no_answer(name)) for _ in range(3))
    scores = module.evaluate(evaluation), module.third(third)
    module.evaluate(again)
    sets = calibration, evaluation.hashes, third.hashes
    assert tuple(map(len, sets)) == sizes
    assert len(set().union(*sets)) == sum(sizes)
    assert again.hashes == evaluation.hashes
    for score in scores:
        assert score["n"] == len(score["predictions"]) == len(score["per_sample"]) == sum(s["n"] for s in score["slices"].values())
        assert np.mean(score["per_sample"]) == pytest.approx(score["value"])
        assert score["value"] <= 0.5  # the same answer to everything
        json.dumps(score)


@pytest.mark.parametrize(("name", "expected"), [("magika", 0.985), ("silero", 0.968)])
def test_float_scores_are_what_the_readme_says(name: str, expected: float, request: pytest.FixtureRequest) -> None:
    """Within three points: files of another release of Python or numpy move the one, nothing but rounding the other."""
    module = request.getfixturevalue(name)
    assert module.evaluate(onnx_predictor(module.model()))["value"] == pytest.approx(expected, abs=0.03)


# ---------------------------------------------------------------- magika
def test_features_are_cut_stripped_and_padded_as_magika_does(magika: ModuleType) -> None:
    short = magika.features(b" \n\tabc \r\n")
    assert short[:4].tolist() == [97, 98, 99, 32]  # only leading white space goes from the beginning ...
    assert short[-4:].tolist() == [9, 97, 98, 99]  # ... and only trailing white space from the end
    assert set(short[6:1024]) == {256} == set(short[1024:-6])
    long = magika.features(bytes(range(65, 91)) * 400)
    assert 256 not in long
    assert long[0] == 65
    assert long[-1] == 90
    blank = magika.features(b" " * 5000 + b"x")  # magika looks at a block of 4096 from either end, and strips within it
    assert set(blank[:1024]) == {256}
    assert blank[-1] == ord("x")


def test_files_are_of_many_types_and_none_dominates(magika: ModuleType) -> None:
    types = [sample.right[0] for _, sample in magika.files()]
    assert len(set(types)) >= 35
    assert max(types.count(name) for name in set(types)) <= 0.15 * len(types)
    known = set(magika.settings()["target_labels_space"])
    assert {name for _, sample in magika.files() for name in sample.right} <= known


# ---------------------------------------------------------------- silero
def test_auc_counts_ties_by_half_and_placements_average_to_it(silero: ModuleType) -> None:
    truth = np.array([True, True, True, False, False])
    scores = np.array([0.9, 0.5, 0.2, 0.5, 0.1], np.float32)
    shares = silero.placements(scores, truth)
    auc = (2 + 1.5 + 1) / 6  # of six pairs of speech and rest
    assert shares[truth].mean() == shares[~truth].mean() == pytest.approx(auc)
    assert shares.mean() == pytest.approx(auc)
    assert silero.placements(np.full(5, 0.5, np.float32), truth).mean() == 0.5


def test_chunks_carry_their_context_and_the_state_goes_from_output_to_input(silero: ModuleType) -> None:
    clip = silero.clips(silero.N_CALIBRATION, 1)[0]
    np.testing.assert_array_equal(clip.chunks[1:, : silero.CONTEXT], clip.chunks[:-1, -silero.CONTEXT :])
    assert not clip.chunks[0, : silero.CONTEXT].any()
    asked: list[Feed] = []

    def predict(feed: Feed) -> Feed:
        asked.append(feed)
        return {"output": np.zeros((1, 1), np.float32), "stateN": feed["state"] + 1}

    silero.probabilities_of(predict, clip)
    assert [float(feed["state"].max()) for feed in asked] == list(range(len(clip.chunks)))
    assert {name: array.shape for name, array in asked[0].items()} == silero.SHAPE
    assert all(feed["sr"].dtype == np.int64 and feed["sr"] == 16_000 for feed in asked)


def test_losing_the_state_costs_more_than_any_gate_allows(silero: ModuleType) -> None:
    """What makes the task one of a stateful model: an artifact that returns no useful state must be seen."""
    predict = onnx_predictor(silero.model())
    full = silero.evaluate(predict)
    forgetful = silero.evaluate(lambda feed: {**predict(feed), "stateN": silero.no_state()})
    assert forgetful["value"] < full["value"] - 0.03
    equal = np.mean([a == b for a, b in zip(full["predictions"], forgetful["predictions"], strict=True)])
    assert equal < 0.95


def test_decisions_see_what_auc_cannot(silero: ModuleType) -> None:
    predict = onnx_predictor(silero.model())
    full = silero.evaluate(predict)
    squeezed = silero.evaluate(lambda feed: {**(found := predict(feed)), "output": 0.25 * found["output"]})
    assert squeezed["value"] == pytest.approx(full["value"], abs=1e-3)  # the order is the same
    assert not any(squeezed["predictions"])
    assert any(full["predictions"])


def test_the_three_exports_are_one_network(silero: ModuleType) -> None:
    clip = silero.clips(silero.N_CALIBRATION, 1)[0]
    first, *others = (silero.probabilities_of(onnx_predictor(silero.variant(file)), clip) for file in silero.VARIANTS)
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-3)
