"""SQNR, cosine and agreement, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.fidelity import Comparison, OutputKind, output_kinds, prediction_agreement

RNG = np.random.default_rng(0)


def _softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return (e / e.sum(axis, keepdims=True)).astype(np.float32)


def _detections(scale: float = 1.0) -> np.ndarray:
    """1 x 7 x 50: the boxes of fifty places in pixels, and the scores of three classes, of which two places hold something."""
    made = np.random.default_rng(1)
    scores = made.uniform(0, 0.02, size=(1, 3, 50))
    scores[0, 1, 7], scores[0, 2, 30] = 0.8, 0.4
    return np.concatenate([made.uniform(0, 320, size=(1, 4, 50)), scores * scale], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("logits", RNG.normal(size=(1, 10)).astype(np.float32), OutputKind("argmax")),
        ("probabilities", _softmax(RNG.normal(size=(1, 40, 97))), OutputKind("argmax", -1)),
        ("classes_first", _softmax(RNG.normal(size=(1, 5, 4, 4)), axis=1), OutputKind("argmax", 1)),
        ("maps", RNG.uniform(size=(1, 1, 32, 32)).astype(np.float32), OutputKind("iou")),
        ("speech", RNG.uniform(size=(1, 1)).astype(np.float32), OutputKind("argmax")),
        ("sentence_embedding", RNG.normal(size=(1, 384)).astype(np.float32), OutputKind("cosine")),
        ("unit", (lambda v: v / np.linalg.norm(v))(RNG.normal(size=(1, 384))).astype(np.float32), OutputKind("cosine")),
        ("hidden", RNG.normal(size=(1, 16, 384)).astype(np.float32), OutputKind("cosine")),
        ("ids", np.arange(5), OutputKind("argmax")),
        ("token_logits", RNG.normal(size=(1, 40, 9)).astype(np.float32), OutputKind("argmax", -1)),
        ("seg", RNG.normal(size=(1, 21, 16, 16)).astype(np.float32), OutputKind("argmax", 1)),
        ("boxes", RNG.normal(size=(1, 4)).astype(np.float32), OutputKind("cosine")),
        ("price", np.float32([[37.5]]), OutputKind("r2")),
        ("fields_first", _detections(), OutputKind("detections", 1)),
        ("fields_last", _detections().transpose(0, 2, 1), OutputKind("detections", 2)),
    ],
)
def test_how_an_output_is_compared_follows_from_what_float_returns(name: str, array: np.ndarray, expected: OutputKind) -> None:
    assert output_kinds([{name: array}])[name] == expected


def test_sqnr_and_cosine_match_their_definitions() -> None:
    kinds = {"y": OutputKind("cosine")}
    comparison = Comparison(kinds)
    signal = [RNG.normal(size=(1, 50)).astype(np.float32) for _ in range(4)]
    noisy = [s + RNG.normal(size=s.shape).astype(np.float32) * 0.1 for s in signal]
    for s, n in zip(signal, noisy, strict=True):
        comparison.add({"y": s}, {"y": n})
    a, b = np.concatenate(signal, 1).astype(np.float64)[0], np.concatenate(noisy, 1).astype(np.float64)[0]
    assert comparison.sqnr_db == pytest.approx(10 * math.log10(np.sum(a**2) / np.sum((a - b) ** 2)))
    assert comparison.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_equal_outputs_agree_fully_and_have_no_finite_sqnr() -> None:
    comparison = Comparison({"y": OutputKind("argmax")})
    comparison.add({"y": np.float32([[1, 2]])}, {"y": np.float32([[1, 2]])})
    assert comparison.sqnr_db is None
    agreement = comparison.agreement()
    assert agreement is not None
    assert (agreement.value, agreement.kind, agreement.n) == (1.0, "argmax", 1)


def test_the_worst_output_counts() -> None:
    comparison = Comparison({"good": OutputKind("argmax"), "bad": OutputKind("iou")})
    half = np.zeros((1, 1, 8, 8), np.float32)
    half[..., :4] = 1
    quarter = half.copy()
    quarter[..., :2] = 0
    comparison.add({"good": np.float32([[0, 1]]), "bad": half}, {"good": np.float32([[0, 9]]), "bad": quarter})
    agreement = comparison.agreement()
    assert agreement is not None
    assert agreement.kind == "iou"
    assert agreement.value == pytest.approx(0.5)


@pytest.mark.parametrize("broken", [np.float32([[np.nan, 1]]), np.float32([[np.inf, 1]]), np.float32([[1, 2, 3]])])
def test_a_value_that_is_not_finite_or_has_another_shape_is_disagreement(broken: np.ndarray) -> None:
    comparison = Comparison({"y": OutputKind("argmax")})
    comparison.add({"y": np.float32([[0, 1]])}, {"y": broken})
    agreement = comparison.agreement()
    assert agreement is not None
    assert agreement.value == 0
    assert comparison.cosine is None
    assert comparison.sqnr_db is None


def test_a_probability_agrees_by_its_decision() -> None:
    comparison = Comparison({"p": OutputKind("argmax")})
    for p, q in ((0.9, 0.6), (0.4, 0.6), (0.1, 0.2), (0.51, 0.49)):
        comparison.add({"p": np.float32([[p]])}, {"p": np.float32([[q]])})
    agreement = comparison.agreement()
    assert agreement is not None
    assert agreement.value == 0.5


def test_a_distribution_over_classes_alone_agrees_by_its_class() -> None:
    """Held against 0.5 each, 98 of 100 classes would agree although another one is found."""
    feeds = [np.full(100, 0.1 / 99, np.float32) for _ in range(3)]
    for winner, feed in enumerate(feeds):
        feed[winner] = 0.9
    kinds = output_kinds([{"p": feed} for feed in feeds])
    comparison = Comparison(kinds)
    for feed, other in zip(feeds, [feeds[0], feeds[1], np.roll(feeds[2], 1)], strict=True):
        comparison.add({"p": feed}, {"p": other})
    agreement = comparison.agreement()
    assert agreement is not None
    assert agreement.value == pytest.approx(2 / 3)


@pytest.mark.parametrize("axis", [1, 2])
def test_boxes_in_pixels_do_not_hide_that_every_score_is_lost(axis: int) -> None:
    found, lost = (_detections(scale) if axis == 1 else _detections(scale).transpose(0, 2, 1) for scale in (1.0, 0.0))
    kinds = output_kinds([{"y": found}])
    comparison = Comparison(kinds)
    comparison.add({"y": found}, {"y": lost})
    agreement = comparison.agreement()
    assert agreement is not None
    assert agreement.kind == "detections"
    assert agreement.value == 0
    assert comparison.cosine == pytest.approx(1, abs=1e-5)  # which is why the cosine alone will not do


def test_scores_that_detect_nothing_may_differ_and_a_moved_box_counts() -> None:
    found = _detections()
    comparison = Comparison(output_kinds([{"y": found}]))
    noisy = found.copy()
    noisy[:, 4:][found[:, 4:] < 0.05] = 0.01
    comparison.add({"y": found}, {"y": noisy})
    assert comparison.agreement().value == pytest.approx(1)  # type: ignore[union-attr]
    moved = found.copy()
    moved[:, :4] = found[:, 3::-1]
    comparison = Comparison(output_kinds([{"y": found}]))
    comparison.add({"y": found}, {"y": moved})
    assert comparison.agreement().value < 0.9  # type: ignore[union-attr]


def test_a_regression_agrees_by_what_it_explains_of_floats_spread() -> None:
    values = 300 + np.array([-2.0, -1, 0, 1, 2])
    noise = np.array([0.1, -0.2, 0.1, 0.3, -0.1])
    constant, close = Comparison({"y": OutputKind("r2")}), Comparison({"y": OutputKind("r2")})
    for x, e in zip(values, noise, strict=True):
        constant.add({"y": np.float32([[x]])}, {"y": np.float32([[300]])})
        close.add({"y": np.float32([[x]])}, {"y": np.float32([[x + e]])})
    assert constant.agreement().value == pytest.approx(0, abs=1e-6)  # type: ignore[union-attr]
    agreement = close.agreement()
    assert agreement is not None
    assert (agreement.kind, agreement.n) == ("r2", 5)
    assert agreement.value == pytest.approx(1 - np.sum(noise**2) / np.sum((values - 300) ** 2), abs=1e-4)


def test_a_regression_that_float_finds_constant_is_held_against_its_size() -> None:
    comparison = Comparison({"y": OutputKind("r2")})
    comparison.add({"y": np.float32([[10]])}, {"y": np.float32([[11]])})
    assert comparison.agreement().value == pytest.approx(0.99)  # type: ignore[union-attr]
    comparison.add({"y": np.float32([[10]])}, {"y": np.float32([[np.nan]])})
    assert comparison.agreement().value == 0  # type: ignore[union-attr]


def test_two_empty_maps_agree_and_weigh_little() -> None:
    comparison = Comparison({"m": OutputKind("iou")})
    nothing = np.zeros((1, 1, 8, 8), np.float32)
    comparison.add({"m": nothing}, {"m": nothing})
    assert comparison.agreement().value == 1  # type: ignore[union-attr]
    something = np.ones((1, 1, 8, 8), np.float32)
    comparison.add({"m": something}, {"m": nothing})
    assert comparison.agreement().value == pytest.approx(1 / 65)  # type: ignore[union-attr]


def test_prediction_agreement_counts_equal_ones() -> None:
    assert prediction_agreement(["a", "b", "c", "d"], ["a", "b", "x", "d"]).value == 0.75
    assert prediction_agreement(["a"], ["a", "b"]).value == 0.0


def test_the_numpy_of_python_3_8_is_enough_where_it_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ubuntu 20.04 (JetPack 5) has numpy 1.17, whose array_equal takes no ``equal_nan``."""
    array_equal = np.array_equal
    monkeypatch.setattr(np, "array_equal", lambda a, b: array_equal(a, b))
    odd = np.float32([[1, -np.inf, np.nan]])
    same = Comparison({"y": OutputKind("cosine")})
    same.add({"y": odd}, {"y": odd})
    assert not same.is_broken
    other = Comparison({"y": OutputKind("cosine")})
    other.add({"y": odd}, {"y": np.float32([[1, np.nan, -np.inf]])})
    assert other.is_broken


def test_a_mask_of_infinities_is_compared_by_its_pattern_and_what_is_finite() -> None:
    masked = np.float32([[1, -np.inf, 2]])
    same = Comparison({"y": OutputKind("cosine")})
    same.add({"y": masked}, {"y": np.float32([[1.1, -np.inf, 2]])})
    assert same.sqnr_db is not None
    assert not same.is_broken
    moved = Comparison({"y": OutputKind("cosine")})
    moved.add({"y": masked}, {"y": np.float32([[-np.inf, 1, 2]])})
    assert moved.is_broken
    assert moved.agreement().value == 0  # type: ignore[union-attr]


def test_exact_outputs_are_the_closest_of_all() -> None:
    exact, close = Comparison({"y": OutputKind("cosine")}), Comparison({"y": OutputKind("cosine")})
    for _ in range(20):
        values = RNG.normal(size=(1, 33)).astype(np.float32)
        exact.add({"y": values}, {"y": values})
        close.add({"y": values}, {"y": values + np.float32(1e-4)})
    assert exact.cosine == 1
    assert exact.agreement().value == 1  # type: ignore[union-attr]
    assert exact.closeness_db > close.closeness_db


def test_in_the_usual_closeness_every_feed_counts_alike() -> None:
    kinds = output_kinds([{"y": np.ones((1, 4), dtype=np.float32)}])
    comparison = Comparison(kinds)
    signal = np.ones((1, 4), dtype=np.float32)
    for error in (0.01, 0.01, 1.0):
        comparison.add({"y": signal}, {"y": signal * (1 + error)})
    assert comparison.usual_db == pytest.approx((40 + 40 + 0) / 3, abs=0.01)
    assert comparison.closeness_db == pytest.approx(10 * math.log10(3 / 1.0002), abs=0.01)  # the odd one decides


def test_the_usual_closeness_stays_finite_whatever_an_output_holds() -> None:
    kinds = output_kinds([{"y": np.ones((1, 4), dtype=np.float32)}])
    comparison = Comparison(kinds)
    signal = np.ones((1, 4), dtype=np.float32)
    comparison.add({"y": signal}, {"y": signal})
    assert comparison.usual_db == 100
    comparison.add({"y": signal}, {"y": np.full((1, 4), np.nan, dtype=np.float32)})
    comparison.add({"y": signal * 0}, {"y": signal})
    assert comparison.usual_db == pytest.approx((100 - 20 - 20) / 3)


def test_masks_are_as_close_as_few_of_them_differ() -> None:
    mask = np.zeros((1, 10, 10), np.int64)
    comparison = Comparison(output_kinds([{"y": mask}]))
    comparison.add({"y": mask}, {"y": mask})
    assert comparison.closeness_db == math.inf
    turned = mask.copy()
    turned[0, 0] = 1  # ten of a hundred
    comparison.add({"y": mask}, {"y": turned})
    assert comparison.feeds_db == pytest.approx([100, 10])
    assert comparison.closeness_db == pytest.approx(10 * math.log10(20))
    assert comparison.sqnr_db is None, "there is no signal whose energy could be told"
    comparison.add({"y": mask}, {"y": mask[:, :5]})
    assert comparison.closeness_db == -math.inf
    assert comparison.feeds_db[-1] == -20
