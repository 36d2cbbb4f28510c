"""What a pickle would do is read from its opcodes; nothing is unpickled."""

from __future__ import annotations

import collections
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgekit.frontends.torch_pickles import code_in_pickle, code_in_saved


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def _saved(entries: dict[str, bytes], *, packed: bool = False) -> bytes:
    """An archive like those of torch.save."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _reason(data: bytes) -> str:
    return code_in_saved(io.BytesIO(data), len(data))


TENSORS = pickle.dumps(collections.OrderedDict(a=(1, 2.5, None, True, "text"), b=[{}, -7, 1 << 40]), protocol=2)


def test_plain_containers_pass() -> None:
    assert code_in_pickle(TENSORS) == ""
    assert _reason(_saved({"archive/data.pkl": TENSORS, "archive/data/0": b"\0" * 16, "archive/version": b"3\n"})) == ""
    assert _reason(b"") == ""  # no sample inputs


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_of_something_else_is_found_in_every_protocol(protocol: int) -> None:
    assert code_in_pickle(pickle.dumps([_Runs()], protocol=protocol))


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\neval\n.",  # a global alone
        b"(S'true'\nios\nsystem\n.",  # INST: class and call in one
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # its name built on the stack
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02ctorch.storage\n_load_from_bytes\n.",  # a pickle in the pickle
        b"\x80\x02ctorch.utils.collect_env\nrun\n.",
        b"\x80\x02\x82\x01.",  # the extension registry
    ],
)
def test_names_that_are_no_part_of_a_tensor_are_found(data: bytes) -> None:
    assert code_in_pickle(data)


@pytest.mark.parametrize("length", [0, 1, 20, len(TENSORS) - 1])
def test_a_pickle_that_is_cut_off_does_not_pass(length: int) -> None:
    assert "damaged" in code_in_pickle(TENSORS[:length])


def test_an_archive_in_the_archive_must_be_one_of_torch_save() -> None:
    assert "packed" in _reason(_saved({"archive/data.pkl": b"\0" * 1_000_000}, packed=True))  # a nested bomb
    assert "'archive/run.py'" in _reason(_saved({"archive/data.pkl": TENSORS, "archive/run.py": b""}))
    assert "pickle of tensors" in _reason(_saved({"archive/data/0": b""}))
    assert "pickle of tensors" in _reason(_saved({"a/data.pkl": TENSORS, "b/data.pkl": TENSORS}))
    assert _reason(pickle.dumps(_Runs(), protocol=2))  # the format before archives
    assert _reason(_saved({"archive/data.pkl": TENSORS})[:-30])


def test_nothing_ran(tmp_path: Path) -> None:
    class Touches:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    data = pickle.dumps(Touches(), protocol=2)
    assert code_in_pickle(data)
    assert _reason(_saved({"archive/data.pkl": data}))
    assert not (tmp_path / "ran").exists()
    pickle.loads(data)
    assert (tmp_path / "ran").exists()  # it is a real one
