"""Code references: what runs, and how a mistake in the user's file is told."""

import sys
from pathlib import Path

import pytest

from edgekit.coderef import explain, is_reference, load_function, parse_reference
from edgekit.errors import DataError, UnknownNameError, UsageError


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.py:feeds", True),
        ("a b/data.py:feeds", True),
        ("C:/x/data.py:feeds", True),
        ("data.py", False),
        ("data.npz:feeds", False),
        ("data.py:", False),
        ("data.py:feeds()", False),
        (":feeds", False),
    ],
)
def test_the_form_of_a_reference(text, expected):
    assert is_reference(text) is expected
    if expected:
        assert parse_reference(text) == (Path(text.rpartition(":")[0]), "feeds")
    else:
        with pytest.raises(UsageError, match="not a code reference"):
            parse_reference(text)


def test_a_function_is_loaded_with_its_neighbours_and_nothing_stays_behind(tmp_path):
    write(tmp_path, "NUMBER = 7\n", "neighbour_of_mine.py")
    reference = write(tmp_path, "from neighbour_of_mine import NUMBER\ndef number():\n    return NUMBER\n")
    before = list(sys.path), sys.dont_write_bytecode
    try:
        assert load_function(f"{reference}:number")() == 7
    finally:
        sys.modules.pop("neighbour_of_mine", None)
    assert (list(sys.path), sys.dont_write_bytecode) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py", "neighbour_of_mine.py"]


def test_each_load_is_a_module_of_its_own(tmp_path):
    reference = write(tmp_path, "calls = []\ndef count():\n    calls.append(1)\n    return len(calls)\n") + ":count"
    first, second = load_function(reference), load_function(reference)
    assert (first(), first(), second()) == (1, 2, 1)


def test_a_changed_file_is_read_again(tmp_path):
    for value in (1, 2):
        assert load_function(write(tmp_path, f"def value():\n    return {value}\n") + ":value")() == value


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_function(f"{tmp_path}/none.py:feeds")


def test_a_missing_function_names_the_nearest(tmp_path):
    reference = write(tmp_path, "def calibration_feeds():\n    pass\n")
    with pytest.raises(UnknownNameError) as raised:
        load_function(f"{reference}:calibration_feed")
    assert "calibration_feeds" in raised.value.hint


def test_something_that_is_no_function(tmp_path):
    with pytest.raises(UsageError, match="not a function"):
        load_function(write(tmp_path, "feeds = 3\n") + ":feeds")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1\nraise ValueError('no such data')\n", "ValueError: no such data, at mine.py:2"),
        ("import no_such_module_anywhere\n", "at mine.py:1"),
        ("def broken(:\n", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3, at mine.py:2"),
    ],
)
def test_an_error_while_loading_names_the_line(tmp_path, text, why):
    modules = set(sys.modules)
    with pytest.raises(DataError, match=r"mine\.py fails when it is loaded") as raised:
        load_function(write(tmp_path, text) + ":feeds")
    assert why in raised.value.why
    assert "mine.py:" in raised.value.why
    assert raised.value.__cause__ is not None
    assert not {name for name in set(sys.modules) - modules if name.startswith("edgekit_user_code")}


def test_explain_names_the_users_line_not_the_librarys(tmp_path):
    function = load_function(write(tmp_path, "import json\ndef f():\n    return json.loads('{')\n") + ":f")
    with pytest.raises(ValueError, match="Expecting") as raised:
        function()
    assert explain(raised.value, function).endswith("at mine.py:3")


@pytest.mark.parametrize("broken", ["raise RuntimeError('no')", "return 3", "import sys; sys.exit(1)"])
def test_explain_survives_an_exception_without_text(tmp_path, broken):
    text = f"class Odd(Exception):\n    def __str__(self):\n        {broken}\ndef f():\n    raise Odd\n"
    function = load_function(write(tmp_path, text) + ":f")
    try:
        function()
    except Exception as problem:  # noqa: BLE001  the class is the file's
        said = explain(problem, function)
    assert said.startswith("Odd: its text cannot be had")
    assert said.endswith("at mine.py:5")


def test_a_function_that_was_not_entered_is_named_by_its_definition(tmp_path):
    function = load_function(write(tmp_path, "\ndef f(needed):\n    pass\n") + ":f")
    with pytest.raises(TypeError) as raised:
        function()
    assert explain(raised.value, function).endswith("at mine.py:2")
