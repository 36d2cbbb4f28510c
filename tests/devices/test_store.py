from __future__ import annotations

import contextlib
import os
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.devices.store import (
    DeviceEntry,
    check_address,
    load_entries,
    remove_entry,
    save_entry,
    store_path,
    to_toml,
)
from edgekit.errors import DependencyError, UnknownNameError, UsageError

PI = DeviceEntry(
    "ssh://edge@pi5.lab:2222", "raspberry-pi-5", "/home/edge/venv/bin/python", {"board": "pi5", "room": "2"}, "shelly:10.0.0.9",
    ("sudo", "-n"),
)  # fmt: skip

words = st.from_regex(r"[A-Za-z0-9_./-]{1,20}", fullmatch=True)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(lambda name: name != "local")
labels = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)
entries = st.builds(
    DeviceEntry,
    address=st.sampled_from(["ssh://board", "ssh://me@10.0.0.2:22", "ssh://[fe80::1%eth0]:2222", "local"]),
    profile=st.none() | names,
    python=st.none() | words,
    labels=st.dictionaries(labels, labels, max_size=3),
    meter=st.none() | st.text(min_size=1, max_size=50).filter(str.isprintable),
    become=st.lists(words, max_size=3).map(tuple),
)


def write(text: str) -> Path:
    path = store_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_entries_are_kept_and_forgotten() -> None:
    assert load_entries() == {}
    save_entry("lab-pi", PI)
    save_entry("other", DeviceEntry("ssh://other"))
    assert load_entries() == {"lab-pi": PI, "other": DeviceEntry("ssh://other")}
    assert stat.S_IMODE(store_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(store_path().parent.stat().st_mode) == 0o700
    with pytest.raises(UsageError, match="already") as taken:
        save_entry("other", PI)
    assert "--update" in taken.value.hint
    save_entry("other", PI, replace=True)
    assert load_entries()["other"] == PI
    assert remove_entry("lab-pi") == PI
    assert list(load_entries()) == ["other"]
    with pytest.raises(UnknownNameError, match="lab-pi"):
        remove_entry("lab-pi")


@given(st.dictionaries(names, entries, max_size=4))
def test_whatever_is_valid_comes_back(kept: dict[str, DeviceEntry]) -> None:
    write(to_toml(kept))
    assert load_entries() == kept


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    path = write("")
    path.write_bytes(data)
    with contextlib.suppress(UsageError):  # anything else fails the test
        load_entries()


def test_two_who_add_at_once_are_both_kept() -> None:
    threads = [threading.Thread(target=save_entry, args=(f"d{i}", DeviceEntry(f"ssh://d{i}"))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_entries()) == 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("schema = 2\n", "schema 2"),
        ("x =\n", "TOML"),
        ("schema = 1\nx = 1\n", "'x'"),
        ("schema = 1\ndevices = 1\n", "sections"),
        ("schema = 1\n[devices.a]\n", "no address"),
        ('schema = 1\n[devices.a]\naddress = "ssh://a"\npyhton = "x"\n', "pyhton"),
        ('schema = 1\n[devices.a]\naddress = "ssh://a"\npython = "python3; id"\n', "python"),
        ('schema = 1\n[devices.a]\naddress = "ssh://a"\npython = "py\\nthon"\n', "python"),
        ('schema = 1\n[devices.a]\naddress = "ssh://a"\nbecome = ["sudo", "-n", "$(id)"]\n', "become"),
        ('schema = 1\n[devices.a]\naddress = "ssh://a"\nbecome = [1]\n', "become"),
        ('schema = 1\n[devices.a]\naddress = "ssh://a"\nbecome = "sudo"\n', "wrong type"),
        ('schema = 1\n[devices.a]\naddress = "ssh://a"\nlabels = { a = 1 }\n', "label"),
        ('schema = 1\n[devices.a]\naddress = "ssh://a"\nmeter = "a\\u001b[0m"\n', "meter"),
        ('schema = 1\n[devices."a,b"]\naddress = "ssh://a"\n', "device name"),
        ('schema = 1\n[devices.local]\naddress = "ssh://a"\n', "this machine"),
        ('schema = 1\n[devices.a]\naddress = "adb:1"\n', "adb"),
    ],
)
def test_the_file_is_read_strictly(text: str, expected: str) -> None:
    path = write(text)
    with pytest.raises(UsageError) as caught:
        load_entries()
    assert expected in str(caught.value)
    assert str(path) in caught.value.what


def test_a_file_that_others_may_write_is_refused() -> None:
    save_entry("lab-pi", PI)
    for mode in (0o620, 0o602):
        store_path().chmod(mode)
        with pytest.raises(UsageError, match="written by others") as caught:
            load_entries()
        assert "chmod 600" in caught.value.hint


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused() -> None:
    save_entry("lab-pi", PI)
    os.chown(store_path(), 65534, -1)
    with pytest.raises(UsageError, match="written by others"):
        load_entries()


def test_a_link_to_the_file_is_kept(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    path = write("")
    path.unlink()
    real.write_text("schema = 1\n")
    real.chmod(0o600)
    path.symlink_to(real)
    save_entry("lab-pi", PI)
    assert path.is_symlink()
    assert "lab-pi" in tomllib.loads(real.read_text())["devices"]


@pytest.mark.parametrize("address", ["ssh://board", "ssh://a.b-c_d@10.0.0.1:22", "ssh://[::1]:2222", "ssh://alias/", "local"])
def test_addresses(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    ["ssh:board", "ssh://", "ssh://me:secret@board", "ssh://-oProxyCommand=x", "ssh://board/home", "ssh://a b", "http://x", "", 3,
     "ssh://board:99999", "ssh://board:0"],
)  # fmt: skip
def test_what_is_no_address(address: object) -> None:
    with pytest.raises(UsageError, match="address"):
        check_address(address)


@pytest.mark.parametrize("address", ["adb:serial", "adb://serial"])
def test_adb_is_for_later(address: str) -> None:
    with pytest.raises(DependencyError, match="not supported yet") as caught:
        check_address(address)
    assert caught.value.exit_code == 3
