"""Calibration data of every kind: what is given, the order, the split and its hashes."""

import hashlib
import json
import tracemalloc

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.calibration_data import ONE, TWO, failure, feeds, npz, pictures, values

from edgekit.coderef import load_function
from edgekit.data import hash_feed, open_calibration
from edgekit.errors import UsageError
from edgekit.preprocess import Preprocess, preprocess_image
from edgekit.types import TensorSpec


# ---------------------------------------------------------------- the kinds
def test_npz_axis_0_is_the_samples(tmp_path):
    path = npz(tmp_path / "x.npz")
    data = open_calibration(path, ONE)
    expected = np.load(path)["image"]
    held_out = list(range(4, 50, 5))
    fit = [index for index in range(50) if index not in held_out]
    for part, indices in ((data.build.fit, fit), (data.build.held_out, held_out)):
        for _ in range(2):  # and again
            got = [feed["image"] for feed in part]
            assert len(part) == len(got) == len(indices)
            np.testing.assert_array_equal(np.concatenate(got), expected[indices])
            assert got[0].shape == (1, 3, 4, 4)


def test_an_archive_larger_than_memory_would_do(tmp_path):
    rows = np.zeros((64, 1 << 18), np.float32)  # 64 MiB, a sample has 1
    rows[:, 0] = np.arange(64)
    np.savez_compressed(tmp_path / "x.npz", x=rows)
    del rows
    tracemalloc.start()
    try:
        data = open_calibration(tmp_path / "x.npz", (TensorSpec("x", "float32", ("n", 1 << 18)),))
        assert sum(1 for _ in data.build.held_out) == 12
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 << 20


def test_npz_with_one_axis_more_gives_feeds_without_a_batch_of_one(tmp_path):
    inputs = (TensorSpec("x", "float32", (1, 8)), TensorSpec("state", "float32", (2, "n", 3)), TensorSpec("rate", "int64", ()))
    np.savez(tmp_path / "x.npz", x=values(40, 8), state=values(40, 2, 1, 3), rate=np.full(40, 16_000))
    feed = next(iter(open_calibration(tmp_path / "x.npz", inputs).build.fit))
    assert {name: array.shape for name, array in feed.items()} == {"x": (1, 8), "state": (2, 1, 3), "rate": ()}
    assert feed["rate"] == 16_000


def test_labels_beside_the_inputs_are_left_alone(tmp_path):
    np.savez(tmp_path / "x.npz", image=values(40, 3, 4, 4), labels=np.arange(40), slices=np.full(40, "a"))
    assert list(next(iter(open_calibration(tmp_path / "x.npz", ONE).build.fit))) == ["image"]


def test_a_folder_of_npz_gives_each_file_as_it_is_in_order_of_path(tmp_path):
    for index in range(40):
        (tmp_path / f"part{index % 2}").mkdir(exist_ok=True)
        np.savez(
            tmp_path / f"part{index % 2}" / f"{index:02}.npz",
            ids=np.full((2, 3 + index), index),
            mask=np.ones((2, 3 + index), np.int64),
        )
    data = open_calibration(tmp_path, TWO)
    order = [int(feed["ids"][0, 0]) for feed in data.build.fit]
    in_order = [*range(0, 40, 2), *range(1, 40, 2)]
    assert order == [value for position, value in enumerate(in_order) if position % 5 != 4]
    assert next(iter(data.build.fit))["ids"].shape == (2, 3)
    assert data.manifest["order"] == "sorted relative path"


def test_a_folder_of_npy_feeds_the_only_input(tmp_path):
    for index, array in enumerate(values(40, 1, 3, 4, 4)):
        np.save(tmp_path / f"{index:02}.npy", array)
    np.save(tmp_path / "labels.npy", np.arange(40))
    data = open_calibration(tmp_path, ONE)
    assert data.manifest["n"] == 40
    np.testing.assert_array_equal(next(iter(data.build.fit))["image"], values(40, 1, 3, 4, 4)[0])
    assert "one input" in str(failure(tmp_path, TWO))


def test_a_folder_of_pictures(tmp_path):
    folder = pictures(tmp_path / "photos")
    data = open_calibration(str(folder), ONE)
    expected = preprocess_image((folder / "000.png").read_bytes(), Preprocess((4, 4)))
    np.testing.assert_array_equal(next(iter(data.build.fit))["image"], expected)
    assert data.manifest["preprocess"] == Preprocess((4, 4)).to_json()


def test_preprocess_toml_may_lie_beside_the_folder_or_be_given(tmp_path):
    folder = pictures(tmp_path / "photos")
    (folder / "preprocess.toml").rename(tmp_path / "preprocess.toml")
    beside = open_calibration(folder, ONE)
    (tmp_path / "preprocess.toml").rename(tmp_path / "other.toml")
    assert "no preprocess.toml" in str(failure(folder))
    given = open_calibration(folder, ONE, preprocess=tmp_path / "other.toml")
    assert beside.manifest == given.manifest == open_calibration(folder, ONE, preprocess=Preprocess((4, 4))).manifest


def test_a_function_is_called_afresh_for_each_pass():
    calls = []

    def make():
        calls.append(1)
        yield from feeds(40)

    data = open_calibration(make, ONE)
    before = len(calls)
    assert len(list(data.build.fit)) == 32
    assert len(list(data.build.held_out)) == 8
    assert len(calls) == before + 2
    assert data.manifest["kind"] == "function"


def test_an_iterable_and_a_loaded_reference_give_the_same_data(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef feeds():\n    for i in range(40):\n        yield {'image': np.full((1, 3, 4, 4), i, np.float32)}\n"
    )
    from_code = open_calibration(load_function(f"{tmp_path}/mine.py:feeds"), ONE)
    from_list = open_calibration([{"image": np.full((1, 3, 4, 4), i, np.float32)} for i in range(40)], ONE)
    assert from_code.build.manifest_sha256 == from_list.build.manifest_sha256
    assert from_code.hashes == from_list.hashes


# ---------------------------------------------------------------- split and manifest
def test_the_manifest_has_counts_and_hashes_but_no_path_and_no_sample(tmp_path):
    path = npz(tmp_path / "secret-name.npz")
    data = open_calibration(path, ONE)
    manifest = json.dumps(data.manifest, allow_nan=False)
    assert "secret" not in manifest
    assert str(tmp_path) not in manifest
    assert (data.manifest["n"], data.manifest["n_fit"], data.manifest["n_held_out"]) == (50, 40, 10)
    assert data.manifest["fit"] == [hash_feed(feed) for feed in data.build.fit]
    assert data.manifest["held_out"] == [hash_feed(feed) for feed in data.build.held_out]
    assert data.hashes == {*data.manifest["fit"], *data.manifest["held_out"]}


def test_the_same_data_in_another_place_have_the_same_manifest(tmp_path):
    one, other = open_calibration(npz(tmp_path / "a.npz"), ONE), open_calibration(npz(tmp_path / "b.npz"), ONE)
    assert one.manifest == other.manifest
    assert one.build.manifest_sha256 == other.build.manifest_sha256


def test_samples_caps_the_fit_part_evenly():
    data = open_calibration(feeds(100), ONE, samples=10)
    assert (len(data.build.fit), len(data.build.held_out)) == (10, 20)
    everything = [hash_feed(feed) for feed in open_calibration(feeds(100), ONE).build.fit]
    assert data.manifest["fit"] == everything[::8]
    assert len(open_calibration(feeds(50), ONE, samples=1000).build.fit) == 40
    assert isinstance(failure(feeds(50), samples=0), UsageError)


@pytest.mark.parametrize("n", [40, 79, 80, 81, 100, 1000])
def test_samples_auto_spreads_all_fit_feeds_coarsely_first(n):
    data = open_calibration(feeds(n), ONE, samples="auto")
    plain = open_calibration(feeds(n), ONE)
    assert data.build.until_stable
    assert not plain.build.until_stable
    order = [plain.manifest["fit"].index(value) for value in data.manifest["fit"]]
    assert [hash_feed(feed) for feed in data.build.fit] == data.manifest["fit"]
    assert len(data.build.fit) == len(order)
    assert sorted(order) == list(range(len(plain.build.fit)))
    first = order[:9]
    assert first == sorted(first)
    assert first[-1] >= len(order) / 2
    assert data.manifest["samples"] == "auto"


def test_a_folder_sorted_by_class_is_not_split_by_class():
    data = open_calibration(
        [{"x": np.array([[index, index // 20]], np.float32)} for index in range(100)], (TensorSpec("x", "float32", (1, 2)),)
    )
    for part, n in ((data.build.fit, 16), (data.build.held_out, 4)):
        classes = [int(feed["x"][0, 1]) for feed in part]
        assert [classes.count(cls) for cls in range(5)] == [n] * 5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=120, max_size=160))
def test_copies_stay_on_one_side(numbers):
    source = [{"x": np.array([number], np.int64)} for number in (*range(40), *numbers)]
    data = open_calibration(source, (TensorSpec("x", "int64", ("n",)),))
    assert set(data.manifest["fit"]).isdisjoint(data.manifest["held_out"])
    assert data.manifest["n_fit"] + data.manifest["n_held_out"] == len(source)
    assert data.manifest["n_distinct"] == len({*range(40), *numbers})


@pytest.mark.parametrize("n", [0, 1, 39])
def test_fewer_than_forty_feeds_are_too_few(n):
    problem = failure(feeds(n))
    assert problem.exit_code == 4
    assert f"{n} distinct feeds" in problem.why
    assert "at least 40" in problem.hint


def test_copies_do_not_count():
    problem = failure(feeds(1) * 100)
    assert "1 distinct feeds (99 more are copies)" in problem.why


def test_ranges_and_shapes_are_seen_but_not_in_the_manifest():
    data = open_calibration([{"x": np.array([[index]], np.int64)} for index in range(40)], (TensorSpec("x", "int64", (1, 1)),))
    assert data.ranges == {"x": (0.0, 39.0)}
    assert data.shapes == {"x": (1, 1)}
    assert "ranges" not in data.manifest


# ---------------------------------------------------------------- hashes
def test_the_hash_depends_on_name_dtype_shape_and_bytes_alone():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    same = [
        {"a": array, "b": array},
        {"b": array.copy(order="F"), "a": array.astype(">f4")},
    ]
    others = [
        {"a": array},
        {"a": array, "c": array},
        {"a": array, "b": array.reshape(3, 2)},
        {"a": array, "b": array.view(np.int32)},
        {"a": array, "b": array + 1},
    ]
    assert hash_feed(same[0]) == hash_feed(same[1])
    assert len({hash_feed(feed) for feed in (same[0], *others)}) == 6


def test_the_hash_is_the_documented_one():
    expected = hashlib.sha256(b'["x","float32",[1,2]]\n' + np.array([1, 2], "<f4").tobytes()).hexdigest()
    assert hash_feed({"x": np.array([[1, 2]], np.float32)}) == expected


def test_scalars_empty_arrays_and_text_have_hashes():
    arrays = [np.array(1.0), np.zeros((0, 3)), np.array(["a", "bc"]), np.array(True)]
    assert len({hash_feed({"x": array}) for array in arrays}) == 4
