"""Labelled data and functions: scores, slices, labels that do not fit, overlap with calibration."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.coderef import load_function
from edgekit.data import hash_feed, open_calibration
from edgekit.errors import DataError, DeviceRunError, EdgekitError, ModelError, UnknownNameError, UsageError
from edgekit.evaluation import Guarded, open_evaluation, refuse_overlap
from edgekit.feed_checks import checked_feed
from edgekit.types import SliceValue, TensorSpec

INPUTS = (TensorSpec("x", "float32", ("n", 3)),)
OUTPUTS = (TensorSpec("scores", "float32", ("n", 3)), TensorSpec("other", "float32", ("n",)))
X = np.random.default_rng(1).standard_normal((12, 3)).astype(np.float32)
TRUTH = X.argmax(1)
LABELS = np.where(np.arange(12) % 4 == 3, (TRUTH + 1) % 3, TRUTH)  # every fourth is wrong
SLICES = np.array(["day"] * 8 + ["night"] * 4)


def predict(feed):
    return {"other": np.zeros(1, np.float32), "scores": feed["x"]}


def npz(path: Path, **members: np.ndarray) -> Path:
    np.savez(path, **({"x": X, "labels": LABELS} | members))
    return path


def folder_of_npy(folder: Path, table: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for index, row in enumerate(X):
        np.save(folder / f"{index:02}.npy", row[None])
    if table is None:
        table = "file,label,slice\n" + "".join(f"{index:02}.npy,{LABELS[index]},{SLICES[index]}\n" for index in range(12))
    (folder / "labels.csv").write_text(table)
    return folder


def failure(source: object, metric: str | None = "accuracy", **options: object) -> EdgekitError:
    with pytest.raises(EdgekitError) as raised:
        open_evaluation(source, INPUTS, OUTPUTS, metric=metric, **options)
    return raised.value


# ---------------------------------------------------------------- labelled data
def test_npz_with_labels_and_slices(tmp_path):
    evaluation = open_evaluation(npz(tmp_path / "x.npz", slices=SLICES), INPUTS, OUTPUTS, metric="top1")
    for _ in range(2):
        score = evaluation.score(predict)
        assert (score.name, score.value, score.n, score.higher_is_better) == ("accuracy", 0.75, 12, True)
        assert score.slices == {"day": SliceValue(0.75, 8), "night": SliceValue(0.75, 4)}
        assert score.predictions == tuple(TRUTH.tolist())
        assert score.per_sample == tuple((TRUTH == LABELS).astype(float).tolist())


def test_a_folder_with_labels_csv_is_the_same(tmp_path):
    folder = folder_of_npy(tmp_path / "eval")
    expected = open_evaluation(npz(tmp_path / "x.npz", slices=SLICES), INPUTS, OUTPUTS, metric="accuracy").score(predict)
    assert open_evaluation(folder, INPUTS, OUTPUTS, metric="accuracy").score(predict) == expected


def test_labels_csv_in_any_order_with_a_byte_order_mark_and_without_slices(tmp_path):
    rows = [f"{index:02}.npy, {LABELS[index]}" for index in range(12)]
    folder = folder_of_npy(tmp_path / "eval", "\ufefffile, label\n" + "\n".join(reversed(rows)))
    score = open_evaluation(folder, INPUTS, OUTPUTS, metric="accuracy").score(predict)
    assert (score.value, score.slices) == (0.75, {})


@pytest.mark.parametrize("labels", [LABELS[:, None], LABELS.astype(np.uint8)])
def test_a_column_of_labels_is_a_list_of_labels(tmp_path, labels):
    assert open_evaluation(npz(tmp_path / "x.npz", labels=labels), INPUTS, OUTPUTS, metric="accuracy").score(predict).value == 0.75


def test_labels_npy_and_slices_npy_in_order_of_path(tmp_path):
    folder = folder_of_npy(tmp_path / "eval")
    (folder / "labels.csv").unlink()
    np.save(folder / "labels.npy", LABELS)
    np.save(folder / "slices.npy", SLICES)
    score = open_evaluation(folder, INPUTS, OUTPUTS, metric="accuracy").score(predict)
    assert (score.value, score.slices["night"]) == (0.75, SliceValue(0.75, 4))


def test_pictures_in_folders_with_an_empty_slice(tmp_path):
    table = "file,label,slice\n"
    for index in range(6):
        (tmp_path / "ab"[index % 2]).mkdir(exist_ok=True)
        pixels = np.full((2, 2, 3), 0, np.uint8)
        pixels[:, :, index % 3] = 255
        name = f"{'ab'[index % 2]}/{index}.png"
        Image.fromarray(pixels).save(tmp_path / name)
        table += f"{name},{index % 3},{'first' if index == 0 else ''}\n"
    (tmp_path / "labels.csv").write_text(table)
    (tmp_path / "preprocess.toml").write_text("schema = 1\nresize = [1, 1]\n")
    inputs = (TensorSpec("x", "float32", (1, 3, 1, 1)),)
    score = open_evaluation(tmp_path, inputs, OUTPUTS, metric="accuracy").score(lambda feed: {"scores": feed["x"].reshape(1, 3)})
    assert (score.value, score.n, score.slices) == (1.0, 6, {"first": SliceValue(1.0, 1)})


def test_regression_of_several_numbers(tmp_path):
    path = npz(tmp_path / "x.npz", labels=X + np.float32(0.5), slices=SLICES)
    mae = open_evaluation(path, INPUTS, OUTPUTS, metric="mae").score(predict)
    assert mae.value == pytest.approx(0.5)
    assert len(mae.per_sample) == 12
    assert not mae.higher_is_better
    assert mae.predictions is None
    rmse = open_evaluation(path, INPUTS, OUTPUTS, metric="rmse").score(predict)
    assert rmse.value == pytest.approx(0.5)
    assert rmse.slices["night"].value == pytest.approx(0.5)
    assert rmse.per_sample is None  # it is no mean of samples


def test_the_manifest_has_a_digest_and_neither_paths_nor_labels(tmp_path):
    evaluation = open_evaluation(npz(tmp_path / "secret.npz", slices=SLICES), INPUTS, OUTPUTS, metric="accuracy")
    manifest = evaluation.manifest()
    hashes = [hash_feed({"x": row[None]}) for row in X]
    assert manifest["feeds_sha256"] == hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    assert (manifest["n"], manifest["metric"], manifest["kind"]) == (12, "accuracy", "npz")
    text = json.dumps(manifest, allow_nan=False)
    assert "secret" not in text
    assert "night" not in text


# ---------------------------------------------------------------- what is refused
def test_metric_and_source_must_go_together(tmp_path):
    path = npz(tmp_path / "x.npz")
    assert isinstance(failure(path, "acuracy"), UnknownNameError)
    assert isinstance(failure(path, None), UsageError)
    assert isinstance(failure(lambda predict: None, "accuracy"), UsageError)
    assert isinstance(failure("eval.py:score", None), UsageError)
    assert isinstance(failure([1, 2]), UsageError)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:11], "11 labels, 12 feeds"),
        (np.array(["cat"] * 12), "must be numbers"),
        (np.full(12, np.nan), "not all finite"),
        (np.array(3), "must be numbers"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, message):
    assert message in str(failure(npz(tmp_path / "x.npz", labels=labels)))


def test_no_labels_at_all(tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    assert "has no labels" in str(failure(tmp_path / "x.npz"))
    folder = folder_of_npy(tmp_path / "eval")
    (folder / "labels.csv").unlink()
    assert "have no labels" in str(failure(folder))


def test_slices_that_do_not_fit(tmp_path):
    assert "slices" in str(failure(npz(tmp_path / "x.npz", slices=SLICES[:3])))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,labels\n", "unknown column 'labels'"),
        ("file,slice\n", "no columns file and label"),
        ("", "no columns file and label"),
        ("file,label\n00.npy,0\n", "11 of 12 files have no label"),
        ("file,label\n00.npy,0\n00.npy,1\n", "twice"),
        ("file,label\n00.npy,cat\n", "not a number, line 2"),
        ("file,label\n00.npy\n", "not a number, line 2"),
        ("file,label\n00.npy,0,day\n", "too many columns"),
        ("file,label\n" + "".join(f"{i:02}.npy,0\n" for i in range(13)), "names 1 files that are not there"),
    ],
)
def test_a_wrong_labels_csv(tmp_path, table, message):
    assert message in str(failure(folder_of_npy(tmp_path / "eval", table)))


def test_two_kinds_of_labels(tmp_path):
    folder = folder_of_npy(tmp_path / "eval")
    np.save(folder / "labels.npy", LABELS)
    assert "both" in str(failure(folder))


def test_a_label_out_of_range_names_the_sample(tmp_path):
    labels = LABELS.copy()
    labels[5] = 3
    evaluation = open_evaluation(npz(tmp_path / "x.npz", labels=labels), INPUTS, OUTPUTS, metric="accuracy")
    with pytest.raises(DataError, match=r"sample 5 of x\.npz.*classes 0 to 2"):
        evaluation.score(predict)


def test_a_candidate_that_gives_nan_is_a_model_error(tmp_path):
    evaluation = open_evaluation(npz(tmp_path / "x.npz"), INPUTS, OUTPUTS, metric="accuracy")
    with pytest.raises(ModelError, match="not finite"):
        evaluation.score(lambda feed: {"scores": feed["x"] * np.nan})


def test_broken_data_are_found_when_opened(tmp_path):
    broken = X.copy()
    broken[7, 1] = np.nan
    assert "sample 7" in str(failure(npz(tmp_path / "x.npz", x=broken)))


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
