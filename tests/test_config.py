from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.config import FILE_NAME, Config, load_config, require_code_allowed, resolve
from edgekit.devices import Timeouts
from edgekit.errors import UnknownNameError, UsageError
from edgekit.request import OPTIONS, DeployRequest, Drop


def write(folder: Path, text: str) -> Path:
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    return folder


def test_no_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert load_config(tmp_path) == Config()


def test_command_line_over_file_over_defaults(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, '[deploy]\ntarget = "onnx,jetson"\nmax-drop = "2%"\nmax_latency = "5ms p50"\nthreads = 4\n')
    )
    resolved = resolve({"model": "m.onnx", "threads": 2, "calib": None}, config)
    assert resolved.request.target == ("onnx", "jetson")
    assert resolved.request.max_drop == Drop(0.02)
    assert resolved.request.threads == 2
    assert resolved.request.calib is None
    assert resolved.origins["target"] == "edgekit.toml"
    assert resolved.origins["threads"] == "command line"
    assert resolved.origins["calib"] == "default"


def test_every_option_of_a_request_may_stand_in_the_file(tmp_path: Path) -> None:
    text = """[deploy]
target = ["onnx"]
device = "local"
calib = "photos"
eval = "labelled"
metric = "top1"
precision = "int8"
max-drop = 0.01
min-agreement = "97%"
max-latency = "12ms"
objective = "size"
baseline = "original.onnx"
shape = { n = [1, 3, 48, 320] }
samples = 100
threads = 1
budget = "120s"
governor = "performance"
power-mode = "MAXN"
lock-clocks = true
sparsity = "on"
sustain = "10m"
eval-on = "host"
energy = "off"
grid-intensity = 400
embodied = "250kg/4y"
output = "out"
install = "/opt/models"
json = true
dry-run = false
verbose = true

[timeouts]
connect = 5
one_round = 1
"""
    with pytest.raises(UnknownNameError, match="timeouts"):
        load_config(write(tmp_path, text))
    config = load_config(write(tmp_path, text.replace("one_round", "round")))
    assert set(config.deploy) == {name.removesuffix("_s") for name in OPTIONS}
    assert config.run == {"output": "out", "install": "/opt/models", "json": True, "dry_run": False, "verbose": True}
    assert config.timeouts == Timeouts(connect_s=5.0, round_s=1.0)
    assert resolve({"model": "m"}, config).request.shape == {"n": (1, 3, 48, 320)}


def test_a_bundle_stands_between_the_command_line_and_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[deploy]\nthreads = 4\ncalib = "photos"\nbudget = "1m"\n'))
    recorded = DeployRequest("old.onnx", threads=3, budget_s=7.0)
    resolved = resolve({"model": "new.onnx", "budget": "9s"}, config, bundle=recorded)
    assert resolved.request == DeployRequest("new.onnx", threads=3, budget_s=9.0)
    assert resolved.origins["threads"] == "bundle"
    assert resolved.origins["budget_s"] == "command line"
    assert resolve({}, Config(), bundle=recorded).request == recorded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[deploy]\ncalibb = 'x'\n", "calib"),
        ("[deplo]\n", "deploy"),
        ("[timeouts]\nconect = 3\n", "connect"),
        ("deploy = 3\n", "[deploy]"),
        ("[deploy]\nthreads = 'many'\n", "whole number"),
        ("[deploy]\nprecision = 'int9'\n", "int8"),
        ("[deploy]\nlock-clocks = 'yes'\n", "true or false"),
        ("[deploy]\njson = 'yes'\n", "true or false"),
        ("[deploy]\nmax-drop = '1%'\nmax_drop = '2%'\n", "once"),
        ("[timeouts]\nprobe = -1\n", "seconds"),
        ("[timeouts]\nprobe = true\n", "seconds"),
        ("[timeouts]\nprobe = 1e9\n", "seconds"),
    ],
)
def test_mistakes_name_the_file_and_what_to_write(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UsageError) as error:
        load_config(write(tmp_path, text))
    assert FILE_NAME in error.value.what
    assert expected in error.value.hint


@pytest.mark.parametrize("key", ["allow-code", "force", "from", "model", "trust_model", "wait", "offline"])
def test_what_a_downloaded_folder_must_not_say(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match="may not stand in") as error:
        load_config(write(tmp_path, f"[deploy]\n{key} = true\n"))
    assert error.value.why


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load_config(write(tmp_path, "[deploy]\nthreads = \n"))
    assert "line 2" in error.value.why


def test_unreadable_files_are_usage_errors(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load_config(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="bytes"):
        load_config(tmp_path)
    (tmp_path / FILE_NAME).write_text("[deploy]\nx = " + "[" * 5000)
    with pytest.raises(UsageError, match="TOML"):
        load_config(tmp_path)
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(UsageError, match="cannot read"):
        load_config(tmp_path)


def test_code_from_the_file_is_shown_not_run(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[deploy]\ncalib = "data.py:samples"\n'))
    resolved = resolve({"model": "m"}, config)
    with pytest.raises(UsageError) as error:
        require_code_allowed(resolved, allow_code=False)
    assert "data.py:samples" in error.value.what
    assert "--calib data.py:samples" in error.value.hint
    assert "--allow-code" in error.value.hint
    require_code_allowed(resolved, allow_code=True)
    require_code_allowed(resolve({"model": "m", "calib": "data.py:samples"}, config), allow_code=False)
    require_code_allowed(resolve({"model": "m", "calib": "photos"}, config), allow_code=False)


def test_code_from_a_bundle_is_shown_not_run() -> None:
    resolved = resolve({"model": "m"}, Config(), bundle=DeployRequest("m", eval="eval.py:score"))
    with pytest.raises(UsageError, match="the bundle"):
        require_code_allowed(resolved, allow_code=False)
