"""Labelled data: scores, slices, and labels that do not fit."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from support.labelled_data import INPUTS, LABELS, OUTPUTS, SLICES, TRUTH, X, failure, folder_of_npy, npz, predict

from edgekit.data import hash_feed
from edgekit.errors import DataError, ModelError, UnknownNameError, UsageError
from edgekit.evaluation import open_evaluation
from edgekit.types import SliceValue, TensorSpec


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
