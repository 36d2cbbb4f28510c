from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.agent.frames import MAX_HEADER_BYTES, Frame, FrameError, FrameReader, encode_header

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.dictionaries(st.text().filter(lambda name: name not in ("id", "op", "n")), json_values, max_size=4)
messages = st.tuples(st.integers(0, 2**53), st.text(min_size=1, max_size=64), fields, st.binary(max_size=300))


def encode(message: tuple[int, str, dict[str, Any], bytes]) -> bytes:
    frame_id, op, header, payload = message
    return encode_header(frame_id, op, header, len(payload)) + payload


def reader(data: bytes, step: int = 1 << 20, **options: int) -> FrameReader:
    stream = io.BytesIO(data)
    return FrameReader(lambda size: stream.read(min(size, step)), **options)


@given(st.lists(messages, max_size=4), st.integers(1, 50))
def test_what_is_written_is_read(sent: list[tuple[int, str, dict[str, Any], bytes]], step: int) -> None:
    """However the bytes are cut up on their way."""
    source = reader(b"".join(map(encode, sent)), step)
    for frame_id, op, header, payload in sent:
        assert source.frame() == Frame(frame_id, op, header, bytearray(payload))
    assert source.frame() is None


@given(messages, st.data())
def test_a_cut_off_frame_is_a_typed_error(message: tuple[int, str, dict[str, Any], bytes], data: st.DataObject) -> None:
    whole = encode(message)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(FrameError):
        reader(whole[:cut]).frame()


@given(st.binary(max_size=200))
def test_garbage_is_a_frame_or_a_typed_error(garbage: bytes) -> None:
    source = reader(garbage)
    try:
        while source.frame() is not None:
            pass
    except FrameError:
        pass


@pytest.mark.parametrize(
    "header",
    [
        b"[]", b"null", b"{}", b'{"id":1,"op":"x"}', b'{"id":1,"op":"","n":0}', b'{"id":1,"op":"x","n":-1}',
        b'{"id":1,"op":"x","n":1.0}',
        b'{"id":true,"op":"x","n":0}', b'{"id":1,"op":5,"n":0}', b'{"id":1,"op":"x","n":0,"v":NaN}', b"\xff\xfe", b"[" * 100_000,
        b'{"id":1,"op":"' + b"x" * 65 + b'","n":0}', b'{"id":1,"op":"x","n":' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_headers_that_are_refused(header: bytes) -> None:
    with pytest.raises(FrameError):
        reader(header + b"\n").frame()


def test_caps_hold_before_anything_is_allocated() -> None:
    endless = FrameReader(lambda size: b"x" * size)
    with pytest.raises(FrameError, match="header line of over"):
        endless.frame()
    with pytest.raises(FrameError, match="over the cap"):
        reader(encode_header(1, "x", {}, 11) + b"y" * 11, max_payload_bytes=10).frame()
    assert reader(encode_header(1, "x", {}, 10) + b"y" * 10, max_payload_bytes=10).frame() is not None
    with pytest.raises(FrameError, match="the stream ended"):
        reader(json.dumps({"id": 1, "op": "x", "n": 1 << 30}).encode() + b"\n").frame()
    with pytest.raises(FrameError, match="over the cap"):
        encode_header(1, "x", {"text": "y" * MAX_HEADER_BYTES})
