"""Calibration data that are refused, and how it is said: what does not fit the model, and functions that misbehave."""

import itertools
import os

import numpy as np
import pytest
from support.calibration_data import ONE, TWO, failure, feeds, npz, pictures, values

from edgekit.coderef import load_function
from edgekit.data import open_calibration
from edgekit.errors import DataError
from edgekit.preprocess import Preprocess
from edgekit.types import TensorSpec


# ---------------------------------------------------------------- what is refused
def test_missing_empty_and_unknown_sources(tmp_path):
    assert "does not exist" in str(failure(tmp_path / "none"))
    assert "it is empty" in str(failure(tmp_path))
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "cats").symlink_to(tmp_path)
    assert "links to folders, which are not entered" in str(failure(tmp_path / "linked"))
    (tmp_path / "readme.txt").write_text("hello")
    assert "it holds only .txt" in str(failure(tmp_path))
    assert "no known kind" in str(failure(tmp_path / "readme.txt"))
    assert "is code" in str(failure("data.py:feeds"))
    assert "one dict" in str(failure(feeds(1)[0]))
    assert "no source of data" in str(failure(3))


def test_a_folder_that_mixes_kinds(tmp_path):
    folder = pictures(tmp_path / "photos", 3)
    npz(folder / "x.npz")
    assert "mixes kinds" in str(failure(folder))


def test_hidden_files_are_no_data(tmp_path):
    folder = pictures(tmp_path / "photos")
    (folder / "._000.png").write_bytes(b"a resource fork")
    assert open_calibration(folder, ONE).manifest["n"] == 45


def test_wrong_names_are_paired_with_the_nearest(tmp_path):
    np.savez(tmp_path / "x.npz", images=values(40, 3, 4, 4))
    problem = failure(tmp_path / "x.npz")
    assert problem.hint == "rename 'images' to 'image'"
    assert "missing: 'image'" in problem.why
    assert "missing: 'mask'" in str(failure([{"ids": np.zeros((1, 2), np.int64)}], TWO))


@pytest.mark.parametrize(
    ("dtype", "hint"), [("float64", "astype('float32')"), ("uint8", "astype('float32')"), ("float16", "astype")]
)
def test_nothing_is_cast_silently(tmp_path, dtype, hint):
    np.savez(tmp_path / "x.npz", image=np.zeros((40, 3, 4, 4), dtype))
    for source in (tmp_path / "x.npz", [{"image": np.zeros((1, 3, 4, 4), dtype)}]):
        problem = failure(source)
        assert f"it is {dtype}, the model takes float32" in problem.why
        assert hint in problem.hint


def test_int32_for_int64_is_refused():
    assert "it is int32, the model takes int64" in str(failure([{"x": np.zeros(2, np.int32)}], (TensorSpec("x", "int64", (2,)),)))


@pytest.mark.parametrize(
    ("shape", "why"), [((1, 3, 5, 4), "[1, 3, 5, 4]"), ((3, 4, 4), "array[None]"), ((1, 4, 4, 3), "[n, 3, 4, 4]")]
)
def test_wrong_shapes(shape, why):
    assert why in str(failure([{"image": np.zeros(shape, np.float32)}]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_a_number_names_sample_and_input(tmp_path, value):
    array = values(50, 3, 4, 4)
    array[17, 1, 2, 3] = value
    np.savez(tmp_path / "x.npz", image=array)
    problem = failure(tmp_path / "x.npz")
    assert isinstance(problem, DataError)
    assert "'image' of sample 17 of x.npz" in problem.what
    assert "1 of 48" in problem.why


def test_a_member_without_samples_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.float32(1))
    assert "single number" in str(failure(tmp_path / "x.npz", (TensorSpec("x", "float32", ("n",)),)))


def test_inputs_with_different_numbers_of_samples(tmp_path):
    np.savez(tmp_path / "x.npz", ids=np.zeros((40, 2), np.int64), mask=np.zeros((41, 2), np.int64))
    assert "'ids' 40, 'mask' 41" in str(failure(tmp_path / "x.npz", TWO))


def test_one_corrupt_picture_among_many_is_named(tmp_path):
    folder = pictures(tmp_path / "photos")
    whole = (folder / "031.png").read_bytes()
    (folder / "031.png").write_bytes(whole[: len(whole) // 2])
    problem = failure(folder)
    assert problem.exit_code == 4
    assert "031.png" in problem.what
    assert "remove it" in problem.hint


def test_a_picture_for_another_input_is_told_once(tmp_path):
    folder = pictures(tmp_path / "photos")
    (folder / "preprocess.toml").write_text("schema = 1\nresize = [5, 4]\n")
    assert "what preprocess.toml makes" in str(failure(folder))


def test_preprocess_for_arrays_makes_no_sense(tmp_path):
    assert "folders of pictures" in str(failure(npz(tmp_path / "x.npz"), preprocess=Preprocess((4, 4))))


def test_an_unreadable_file_is_named(tmp_path):
    folder = pictures(tmp_path / "photos")
    (folder / "999.png").symlink_to(tmp_path / "gone.png")
    assert "999.png" in str(failure(folder))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    folder = pictures(tmp_path / "photos")
    os.mkfifo(folder / "live.png")
    assert "live.png cannot be used: it is no file" in str(failure(folder))


def test_a_linked_folder_is_not_entered(tmp_path):
    folder = pictures(tmp_path / "photos")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    assert open_calibration(folder, ONE).manifest["n"] == 45


# ---------------------------------------------------------------- functions that misbehave
def test_a_generator_is_refused_before_it_is_used_up():
    generator = (feed for feed in feeds(40))
    assert "read only once" in str(failure(generator))
    assert next(generator)


def test_a_function_that_hands_out_one_generator_is_found_by_the_second_pass():
    generator = iter(feeds(40))
    problem = failure(lambda: generator)
    assert "read only once" in problem.what
    assert "after 40 feeds" in problem.why


def test_a_function_of_other_feeds_each_time_is_refused():
    seeds = itertools.count()
    problem = failure(lambda: [{"image": row[None]} for row in values(40, 3, 4, 4, seed=next(seeds))])
    assert "not what it was at the first pass" in problem.what
    assert "seed" in problem.hint


def test_a_function_that_gives_less_later_is_found():
    sizes = iter([50, 50, 20, 20])
    data = open_calibration(lambda: feeds(next(sizes)), ONE)
    with pytest.raises(DataError, match="ended too early"):
        list(data.build.fit)


def test_a_file_that_changes_under_the_run_is_found(tmp_path):
    folder = pictures(tmp_path / "photos")
    data = open_calibration(folder, ONE)
    (folder / "044.png").write_bytes((folder / "000.png").read_bytes())
    with pytest.raises(DataError, match=r"044\.png is not what it was"):
        list(data.build.held_out)


@pytest.mark.parametrize("body", ["    raise KeyError('nothing here')\n", "    yield {}\n    raise KeyError('nothing here')\n"])
def test_a_function_that_raises_names_its_line(tmp_path, body):
    (tmp_path / "mine.py").write_text(f"def feeds():\n{body}")
    function = load_function(f"{tmp_path}/mine.py:feeds")
    inputs = () if "yield" in body else ONE
    problem = failure(function, inputs)
    assert "feeds() raised an error" in problem.what
    assert f"KeyError: 'nothing here', at mine.py:{body.count(chr(10)) + 1}" in problem.why
    assert isinstance(problem.__cause__, KeyError)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "gave no stream of feeds"),
        ({"image": 1}, "gave no stream of feeds"),
        ([3], "feed 0 of <lambda>() is not a feed"),
        ([{"image": [[1.0]]}], "is not a numpy array"),
    ],
)
def test_a_function_that_yields_something_else(made, message):
    assert message in str(failure(lambda: made))
