"""What a user's evaluation function returns is read strictly."""

import json

import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.score_result import score_from_result
from edgekit.types import Score, SliceValue
from edgekit.values import from_json, to_json

LEAST = {"name": "wer", "value": 0.25, "higher_is_better": False, "n": 4}


def test_the_least_and_the_most_that_may_be_returned():
    assert score_from_result(LEAST, "f") == Score("wer", 0.25, False, 4)
    full = LEAST | {
        "slices": {"loud": {"value": 0.5, "n": 2}, "quiet": 0.1},
        "predictions": ["a", "b", ["c", 1], None],
        "per_sample": [0, 0.5, 0.5, 0],
    }
    score = score_from_result(full, "f")
    assert score.slices == {"loud": SliceValue(0.5, 2), "quiet": SliceValue(0.1, 4)}
    assert score.predictions == ("a", "b", ("c", 1), None)
    assert score.per_sample == (0.0, 0.5, 0.5, 0.0)
    assert hash(score.predictions)


def test_numpy_values_become_pythons():
    result = {
        "name": "accuracy",
        "value": np.float32(0.5),
        "higher_is_better": np.True_,
        "n": np.int64(2),
        "slices": {"a": {"value": np.float64(1), "n": np.int32(1)}},
        "predictions": np.array([[1, 2], [3, 4]]),
        "per_sample": np.array([0.0, 1.0], np.float32),
    }
    score = score_from_result(result, "f")
    assert score == Score("accuracy", 0.5, True, 2, {"a": SliceValue(1.0, 1)}, ((1, 2), (3, 4)), (0.0, 1.0))
    document = json.loads(json.dumps(to_json(score), allow_nan=False))
    assert from_json(Score, document).value == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": float("nan")}, "value is not finite"),
        ({"value": "0.5"}, "value must be a number"),
        ({"value": True}, "value must be a number"),
        ({"value": None}, "value must be a number"),
        ({"name": ""}, "name must be text"),
        ({"name": 3}, "name must be text"),
        ({"higher_is_better": 1}, "higher_is_better must be"),
        ({"n": 0}, "n must be a whole number"),
        ({"n": 4.0}, "n must be a whole number"),
        ({"slice": {}}, "did you mean: slices"),
        ({"slices": [1]}, "slices must be a dict"),
        ({"slices": {str(user): 1 for user in range(1001)}}, "over 1000 slices"),
        ({"slices": {"a": {"value": 1}}}, "slice 'a' must have value and n"),
        ({"slices": {"a": float("inf")}}, "slice 'a' is not finite"),
        ({"slices": {"a": {"value": 1, "n": 0}}}, "slice 'a': n must be"),
        ({"predictions": [1, 2, 3]}, "it has 3, n is 4"),
        ({"predictions": "abcd"}, "must be a list"),
        ({"predictions": [1, 2, 3, {}]}, "plain values"),
        ({"predictions": [1, 2, 3, float("nan")]}, "plain values"),
        ({"predictions": [1, 2, 3, [b"x"]]}, "plain values"),
        ({"per_sample": [1.0] * 5}, "it has 5, n is 4"),
        ({"per_sample": [1.0, 1.0, 1.0, float("nan")]}, "per_sample is not finite"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    with pytest.raises(DataError) as raised:
        score_from_result(LEAST | change, "score(predict)")
    assert message in str(raised.value)
    assert "score(predict)" in raised.value.what


@pytest.mark.parametrize("key", sorted(LEAST))
def test_a_missing_key_is_named(key):
    with pytest.raises(DataError, match=f"returned no '{key}'"):
        score_from_result({name: value for name, value in LEAST.items() if name != key}, "score(predict)")


@pytest.mark.parametrize("result", [None, 0.9, [("value", 1)]])
def test_no_dict(result):
    with pytest.raises(DataError, match="returned no dict"):
        score_from_result(result, "score(predict)")


@pytest.mark.parametrize(("returned", "value"), [(0.5, "0.5"), (np.float32(0.5), "0.5"), (3, "3"), (True, "0.93"), (None, "0.93")])
def test_what_is_no_dict_is_told_the_least_dict(returned, value):
    with pytest.raises(DataError, match="returned no dict") as raised:
        score_from_result(returned, "f(predict)")
    least = raised.value.hint.removeprefix("the least is ")
    assert f'"value": {value},' in least
    score_from_result(json.loads(least.replace("True", "true")), "f")  # what the hint says is taken
