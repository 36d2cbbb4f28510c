"""A .pt2 is examined and rewritten before PyTorch sees it. No test here needs torch."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from support.torch_archives import PROGRAM, SAMPLES, WEIGHTS, Touches, minimal, read, saved, two_faced, write

from edgekit.errors import ModelError
from edgekit.frontends.torch_archive import write_checked
from edgekit.model import load_model


def _refused(path: Path, *words: str, trusted: bool = False) -> ModelError:
    target = path.with_suffix(".checked")
    with pytest.raises(ModelError) as caught:
        write_checked(path, target, trusted=trusted)
    for word in words:
        assert word in str(caught.value), (word, str(caught.value))
    with pytest.raises(ModelError):  # the same by the front door, torch installed or not
        load_model(path, trust_model=trusted)
    return caught.value


def inner(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_copy_lacks_samples_remarks_and_extras(tmp_path: Path) -> None:
    entries = minimal()
    entries[PROGRAM] = json.dumps({"nodes": [{"name": "relu", "metadata": {"stack_trace": "/home/me"}}]}).encode()
    write_checked(write(tmp_path / "net.pt2", entries), tmp_path / "checked", trusted=False)
    kept = read(tmp_path / "checked")
    assert set(kept) == set(entries) - {"net/extra/remark.txt"}
    assert kept[SAMPLES] == b""
    assert b"/home/me" not in kept[PROGRAM]
    assert kept["net/data/weights/weight_0"] == entries["net/data/weights/weight_0"]


def test_a_trusted_copy_is_what_was_given(tmp_path: Path) -> None:
    entries = {**minimal(), SAMPLES: saved([Touches(tmp_path / "ran")]), "net/data/constants/opaque_obj_0": b"anything"}
    write_checked(write(tmp_path / "net.pt2", entries), tmp_path / "checked", trusted=True)
    del entries["net/extra/remark.txt"]
    assert read(tmp_path / "checked") == entries
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", [SAMPLES, "net/data/weights/model.pt", "net/data/constants/model.pt"])
def test_a_pickle_that_makes_more_than_tensors(tmp_path: Path, place: str) -> None:
    path = write(tmp_path / "net.pt2", {**minimal(), place: saved([Touches(tmp_path / "ran")])})
    problem = _refused(path, "was not loaded", "not part of a tensor", place.partition("/")[2])
    assert "--trust-model" in problem.hint
    assert "with your rights" in problem.hint
    assert not (tmp_path / "ran").exists()


def test_the_layout_before_archives_of_their_own_is_examined_too(tmp_path: Path) -> None:
    entries = {
        "version": b"8.2",
        "serialized_exported_program.json": b"{}",
        "serialized_state_dict.pt": saved({}),
        "serialized_constants.pt": saved({}),
        "serialized_example_inputs.pt": saved(((), {})),
    }
    write_checked(write(tmp_path / "net.pt2", entries), tmp_path / "checked", trusted=False)
    kept = read(tmp_path / "checked")
    assert kept.keys() == entries.keys()
    assert kept["serialized_example_inputs.pt"] == b""
    assert inner(kept["serialized_state_dict.pt"]) == inner(entries["serialized_state_dict.pt"])
    for name in entries:
        if name.endswith(".pt"):
            _refused(
                write(tmp_path / "bomb.pt2", {**entries, name: saved(Touches(tmp_path / "ran"))}), "not part of a tensor", name
            )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", ["net/data/weights/model.pt", "net/data/constants/model.pt"])
def test_an_inner_archive_that_two_readers_see_differently_is_written_anew(tmp_path: Path, place: str) -> None:
    odd = two_faced(saved({}), saved([Touches(tmp_path / "ran")]))
    assert b"touch" in odd
    write_checked(write(tmp_path / "net.pt2", {**minimal(), place: odd}), tmp_path / "checked", trusted=False)
    kept = read(tmp_path / "checked")[place]
    assert inner(kept) == inner(saved({}))
    assert b"touch" not in kept, "what was not examined is not there"


def test_objects_of_custom_classes_need_trust(tmp_path: Path) -> None:
    for name in ("custom_obj_0", "opaque_obj_0"):
        _refused(write(tmp_path / "net.pt2", {**minimal(), f"net/data/constants/{name}": b"x"}), "custom class", name)
    weights = json.dumps({"config": {"w": {"path_name": "weight_0", "use_pickle": True}}}).encode()
    _refused(write(tmp_path / "net.pt2", {**minimal(), WEIGHTS: weights}), "pickled object")


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "name",
    ["data/aotinductor/model/x.wrapper.so", "data/aotinductor/model/data.bin", "data/executorch/model.pte", "extra/x.so", "a.py"],
)
def test_compiled_code_is_refused_whoever_trusts_it(tmp_path: Path, name: str, trusted: bool) -> None:
    _refused(write(tmp_path / "net.pt2", {**minimal(), f"net/{name}": b"\x7fELF"}), "compiled code", trusted=trusted)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "net/../../evil", "net\\..\\evil", "C:evil"])
def test_entries_that_point_out_of_the_archive(tmp_path: Path, name: str) -> None:
    _refused(write(tmp_path / "net.pt2", {**minimal(), name: b"x"}), "points out of", trusted=True)


def test_a_symbolic_link(tmp_path: Path) -> None:
    path = write(tmp_path / "net.pt2", minimal())
    link = zipfile.ZipInfo("net/data/weights/weight_1")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    _refused(path, "symbolic link", trusted=True)


def test_packed_entries_and_twins(tmp_path: Path) -> None:
    path = write(tmp_path / "net.pt2", minimal())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data/weights/weight_1", b"\0" * 10_000_000)
    _refused(path, "packed", trusted=True) if path.stat().st_size > 10_000_000 else _refused(
        path, "claim to be larger", trusted=True
    )
    path = write(tmp_path / "twins.pt2", minimal())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(PROGRAM, b"{}")
    _refused(path, "twice", trusted=True)


def test_absurd_sizes(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "net.pt2", minimal()).read_bytes())
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<II", data, central + 20, 0x7FFFFFFF, 0x7FFFFFFF)
    (tmp_path / "net.pt2").write_bytes(data)
    _refused(tmp_path / "net.pt2", "larger than the file", trusted=True)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: {"net/data.pkl": b"x", "net/data/0": b"x"}, "torch.save"),
        (lambda: {"net/data.pkl": b"x", "net/code/m.py.debug_pkl": b"x", "net/constants.pkl": b"x"}, "TorchScript"),
        (lambda: {"net/models/other.json": b"{}"}, "no program called 'model'"),
        (lambda: {"readme": b"x"}, "no exported program"),
        (lambda: {**minimal(), "net/data/surprise": b"x"}, "does not know"),
        (lambda: {**minimal(), "net/models/second.json": b"{}"}, "does not know"),
        (lambda: {**minimal(), PROGRAM: b"{"}, "not JSON"),
        (lambda: {**minimal(), PROGRAM: b"[" * 200_000}, "nested"),
    ],
)
def test_other_archives(tmp_path: Path, make: Callable[[], dict[str, bytes]], word: str) -> None:
    _refused(write(tmp_path / "net.pt2", make()), word)


def test_a_full_disk_is_not_taken_for_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        write_checked(write(tmp_path / "net.pt2", minimal()), tmp_path / "checked", trusted=False)


def test_a_program_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    _refused(write(tmp_path / "net.pt2", {**minimal(), PROGRAM: deep}), "nested too deeply", "models/model.json")


def test_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    for data, word in ((b"", "not a whole"), (b"\x80\x02}.", "pickle"), (b"version https://git-lfs.github.com", "git lfs pull")):
        path.write_bytes(data)
        _refused(path, word)
    whole = write(path, minimal()).read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        _refused(path)


def test_a_damaged_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    whole = write(tmp_path / "net.pt2", minimal()).read_bytes()
    for position in range(0, len(whole), 13):
        data = bytearray(whole)
        data[position] ^= 0x55
        (tmp_path / "net.pt2").write_bytes(data)
        with contextlib.suppress(ModelError):
            write_checked(tmp_path / "net.pt2", tmp_path / "checked", trusted=False)
