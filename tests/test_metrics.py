"""Built-in metrics on numbers small enough to check by hand."""

import math

import numpy as np
import pytest

from edgekit.errors import DataError, ModelError, UnknownNameError
from edgekit.metrics import METRICS, find_metric

SCORES = np.array([[0.1, 0.9, 0.3, 0.2, 0.5, 0.4, 0.0]], np.float32)  # best first: 1 4 5 2 3 0 6


def test_names_and_aliases():
    assert find_metric("top1") is find_metric("Top-1") is find_metric("accuracy")
    assert find_metric("top-5") is METRICS["top5"]
    with pytest.raises(UnknownNameError, match=r"acuracy.*accuracy"):
        find_metric("acuracy")


def test_accuracy_takes_the_best_class():
    judge = find_metric("accuracy").judge
    assert (judge(SCORES, 1).prediction, judge(SCORES, 1).value) == (1, 1.0)
    assert (judge(SCORES, 4).prediction, judge(SCORES, 4).value) == (1, 0.0)
    assert judge(SCORES[0], 1).value == 1.0
    assert judge(SCORES.reshape(1, 1, 1, 7), 1).value == 1.0


def test_top5_takes_the_best_five():
    judge = find_metric("top5").judge
    assert [judge(SCORES, label).value for label in range(7)] == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    assert judge(SCORES, 0).prediction == 1


def test_regression():
    output, label = np.array([[1.0, 2.0, 4.0]], np.float32), np.array([1.0, 0.0, 1.0])
    assert find_metric("mae").judge(output, label).value == pytest.approx(5 / 3)
    assert find_metric("rmse").judge(output, label).value == pytest.approx(13 / 3)
    assert find_metric("rmse").combine([1.0, 9.0, 2.0]) == 2.0
    assert find_metric("mae").judge(np.float32([[2]]), 5).prediction is None


def test_a_mean_of_many_does_not_lose_small_ones():
    assert find_metric("mae").combine([1e16, 1.0, -1e16]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("shape", [(1, 1), (1,), (), (2, 3), (1, 3, 4)])
def test_outputs_that_are_no_class_scores_are_refused(shape):
    with pytest.raises(DataError, match="one row of class scores"):
        find_metric("accuracy").judge(np.zeros(shape, np.float32), 0)


@pytest.mark.parametrize(
    ("label", "why"), [(7, "classes 0 to 6"), (-1, "classes 0 to 6"), (1.0, "class numbers"), (np.zeros(2), "class numbers")]
)
def test_labels_that_are_no_classes_are_refused(label, why):
    with pytest.raises(DataError, match=why):
        find_metric("accuracy").judge(SCORES, label)


def test_top5_of_five_classes_says_nothing():
    with pytest.raises(DataError, match="so few classes"):
        find_metric("top5").judge(SCORES[:, :5], 0)


def test_labels_of_another_size_are_refused():
    with pytest.raises(DataError, match="another size"):
        find_metric("mae").judge(SCORES, 1.0)


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_output_that_is_not_finite_is_the_models_fault(name, value):
    broken = SCORES.copy()
    broken[0, 3] = value
    with pytest.raises(ModelError, match="not finite"):
        find_metric(name).judge(broken, np.zeros(7) if name in ("mae", "rmse") else 3)
