"""Functions that evaluate, and overlap with calibration data however it is evaluated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.labelled_data import INPUTS, OUTPUTS, TRUTH, X, failure, npz, predict

from edgekit.coderef import load_function
from edgekit.data import open_calibration
from edgekit.errors import DataError, DeviceRunError
from edgekit.evaluation import Guarded, open_evaluation, refuse_overlap
from edgekit.feed_checks import checked_feed
from edgekit.types import SliceValue


# ---------------------------------------------------------------- functions
def function(folder: Path, body: str):
    (folder / "mine.py").write_text("import numpy as np\n" + body)
    return load_function(f"{folder}/mine.py:score")


BODY = """
X = np.random.default_rng(1).standard_normal((12, 3)).astype(np.float32)
def score(predict):
    given = [predict({"x": row[None]})["scores"].argmax() for row in X]
    return {"name": "mine", "value": 0.5, "higher_is_better": True, "n": 12, "slices": {"a": 0.25}, "predictions": given}
"""


def test_a_function_is_given_predict(tmp_path):
    evaluation = open_evaluation(function(tmp_path, BODY), INPUTS, OUTPUTS, metric=None)
    assert evaluation.name == "score"
    assert evaluation.manifest() == {"kind": "function", "metric": None, "n": None, "feeds_sha256": None}
    score = evaluation.score(Guarded(predict, frozenset()))
    assert score.predictions == tuple(TRUTH.tolist())
    assert score.slices == {"a": SliceValue(0.25, 12)}
    known = evaluation.manifest()
    assert (known["metric"], known["n"]) == ("mine", 12)
    assert evaluation.score(predict) == score
    assert evaluation.manifest() == known


def test_predict_takes_several_feeds_too(tmp_path):
    call = Guarded(predict, frozenset())
    outputs = call({"x": row[None]} for row in X)  # type: ignore[arg-type]
    assert [int(output["scores"].argmax()) for output in outputs] == TRUTH.tolist()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def score(predict):\n    return 1 / 0\n", "ZeroDivisionError: division by zero, at mine.py:3"),
        ("def score(predict):\n    return {'name': 'x'}\n", "returned no 'value'"),
        ("import sys\ndef score(predict):\n    sys.exit(1)\n", "SystemExit: 1, at mine.py:4"),
    ],
)
def test_a_function_that_fails(tmp_path, body, message):
    evaluation = open_evaluation(function(tmp_path, body), INPUTS, OUTPUTS, metric=None)
    with pytest.raises(DataError) as raised:
        evaluation.score(predict)
    assert message in str(raised.value)


def test_predict_takes_arrays_only():
    with pytest.raises(DataError, match="given a list for 'x'"):
        Guarded(predict, frozenset())({"x": [[1.0, 2.0, 3.0]]})


def test_what_predict_raises_is_not_blamed_on_the_function(tmp_path):
    def dies(feed):
        raise DeviceRunError("the worker died")

    with pytest.raises(DeviceRunError, match="the worker died"):
        open_evaluation(function(tmp_path, BODY), INPUTS, OUTPUTS, metric=None).score(dies)


# ---------------------------------------------------------------- overlap with calibration
def calibration(extra: np.ndarray) -> frozenset[str]:
    rows = np.concatenate([np.random.default_rng(2).standard_normal((40, 3)).astype(np.float32), extra])
    return open_calibration([{"x": row[None]} for row in rows], INPUTS).hashes


def test_no_overlap_no_complaint(tmp_path):
    evaluation = open_evaluation(npz(tmp_path / "x.npz"), INPUTS, OUTPUTS, metric="accuracy")
    seen = calibration(X[:0])
    refuse_overlap(evaluation, seen)
    assert evaluation.score(Guarded(predict, seen)).value == 0.75


def test_overlap_of_labelled_data_is_counted_before_anything_runs(tmp_path):
    evaluation = open_evaluation(npz(tmp_path / "x.npz"), INPUTS, OUTPUTS, metric="accuracy")
    seen = calibration(X[3:8])

    def never(feed):
        raise AssertionError("nothing may run")

    for attempt in (lambda: refuse_overlap(evaluation, seen), lambda: evaluation.score(Guarded(never, seen))):
        with pytest.raises(DataError, match="5 of 12 feeds are in both") as raised:
            attempt()
        assert raised.value.exit_code == 4


def test_calibration_equal_to_evaluation_is_refused(tmp_path):
    rows = np.random.default_rng(3).standard_normal((50, 3)).astype(np.float32)
    path = npz(tmp_path / "x.npz", x=rows, labels=rows.argmax(1))
    evaluation = open_evaluation(path, INPUTS, OUTPUTS, metric="accuracy")
    with pytest.raises(DataError, match="50 of 50 feeds"):
        refuse_overlap(evaluation, open_calibration(path, INPUTS).hashes)


def test_overlap_of_a_function_is_found_at_its_first_feed(tmp_path):
    evaluation = open_evaluation(function(tmp_path, BODY), INPUTS, OUTPUTS, metric=None)
    refuse_overlap(evaluation, calibration(X))  # cannot be known before it runs
    with pytest.raises(DataError, match="at least 1 feed, the first of them number 4"):
        evaluation.score(Guarded(predict, calibration(X[3:4])))


def test_overlap_is_found_inside_batches_on_either_side():
    single = {"x": X[3:4]}
    with pytest.raises(DataError, match="overlap"):
        Guarded(predict, calibration(X[3:4]))({"x": X})
    batches = [{"x": np.concatenate([X[index % 12 : index % 12 + 1], np.full((1, 3), index, np.float32)])} for index in range(40)]
    with pytest.raises(DataError, match="overlap"):
        Guarded(predict, open_calibration(batches, INPUTS).hashes)(single)


def checking(feed):
    """predict as the search has it: it refuses what is no feed of the model."""
    return predict(checked_feed(feed, INPUTS, "a feed given to predict"))


@pytest.mark.parametrize(
    ("argument", "what", "why", "hint"),
    [
        ("{'z': X[:1]}", "does not have the model's inputs", "not an input of the model: 'z', at mine.py:4", "'x'"),
        ("{'x': X[:1].astype(object)}", "wrong dtype", "float32", "astype"),
        ("{3: X[:1]}", "does not have the model's inputs", "mine.py:4", "'x'"),
        ("X[:1]", "predict was given a ndarray", "at mine.py:4", "{'x': array}"),
        ("None", "predict was given a NoneType", "at mine.py:4", "{'x': array}"),
        ("[X[:1]]", "one of which is a ndarray", "at mine.py:4", "{'x': array}"),
        ("'photo.png'", "predict was given a str", "at mine.py:4", "{'x': array}"),
    ],
)
def test_a_wrong_call_of_predict_names_the_users_line_and_what_it_wants(tmp_path, argument, what, why, hint):
    body = f"X = np.zeros((2, 3), np.float32)\ndef score(predict):\n    predict({argument})\n"
    evaluation = open_evaluation(function(tmp_path, body), INPUTS, OUTPUTS, metric=None)
    with pytest.raises(DataError) as raised:
        evaluation.score(Guarded(checking, frozenset({"seen"})))
    assert what in raised.value.what
    assert why in raised.value.why
    assert raised.value.why.endswith("at mine.py:4")
    assert hint in raised.value.hint


@pytest.mark.parametrize("parameters", ["", "predict, more", "*, predict"])
def test_a_function_that_does_not_take_predict(tmp_path, parameters):
    error = failure(function(tmp_path, f"def score({parameters}):\n    return 1\n"), metric=None)
    assert isinstance(error, DataError)
    assert f"score({parameters})" in error.why
    assert error.why.endswith("at mine.py:2")
    assert "{'x': array}" in error.hint


def test_an_exception_without_text_is_still_a_data_error(tmp_path):
    body = "class Odd(Exception):\n    def __str__(self):\n        raise self\ndef score(predict):\n    raise Odd\n"
    with pytest.raises(DataError, match=r"Odd: its text cannot be had.*mine\.py:6"):
        open_evaluation(function(tmp_path, body), INPUTS, OUTPUTS, metric=None).score(predict)


def test_a_state_that_is_fed_back_does_not_make_other_samples_of_the_same_ones() -> None:
    """Every candidate's state differs a little; which samples were taken is the same, and another sample is noticed."""

    def run(step: float, samples: np.ndarray[Any, Any]) -> list[str]:
        def predict(feed: Any) -> Any:
            return {"y": feed["x"].sum(keepdims=True), "stateN": feed["state"] + np.float32(step)}

        call, state = Guarded(predict, frozenset()), np.zeros((1, 4), np.float32)
        for sample in samples:
            state = call({"x": sample[None], "state": state})["stateN"]
        return call.hashes

    samples = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert run(0.5, samples) == run(0.25, samples)
    assert run(0.5, samples) != run(0.5, samples[::-1])
