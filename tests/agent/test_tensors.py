from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.agent.tensors import ITEM_BYTES, TensorError, decode, describe, encode

arrays = st.sampled_from(sorted(ITEM_BYTES)).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


@given(st.dictionaries(st.text(max_size=20), arrays, max_size=4))
def test_round_trip(tensors: dict[str, Any]) -> None:
    entries, payload = encode(tensors)
    found = decode(entries, payload)
    assert list(found) == list(tensors)
    for name, want in tensors.items():
        assert found[name].dtype == want.dtype
        assert found[name].shape == want.shape
        assert found[name].tobytes() == want.tobytes()
        assert found[name].flags.writeable
        assert found[name].flags.aligned


def test_bytes_are_little_endian_and_in_c_order() -> None:
    entries, payload = encode({"a": np.array([[1, 2], [3, 4]], ">i2").T})
    assert payload == bytes([1, 0, 3, 0, 2, 0, 4, 0])
    assert entries == [{"name": "a", "dtype": "int16", "shape": [2, 2]}]


@pytest.mark.parametrize("value", [np.array(["text"]), np.array([1j]), np.array([None]), np.zeros(2, "M8[s]")])
def test_dtypes_outside_the_list_are_refused(value: Any) -> None:
    with pytest.raises(TensorError, match="does not carry"):
        encode({"a": value})


GOOD = {"name": "a", "dtype": "float32", "shape": [2]}


@pytest.mark.parametrize(
    "entries",
    [
        None, {}, [1], [{**GOOD, "name": 5}], [{**GOOD, "name": "x" * 2000}], [{**GOOD, "dtype": "object"}],
        [{**GOOD, "dtype": None}],
        [{**GOOD, "shape": [-2]}], [{**GOOD, "shape": [True, 2]}], [{**GOOD, "shape": [3]}], [{**GOOD, "shape": [1] * 33}], [],
        [{**GOOD, "shape": [1]}, {**GOOD, "shape": [1]}], [{**GOOD, "shape": [2**62, 2**62]}], [GOOD] * 2000,
    ],
)  # fmt: skip
def test_descriptions_that_do_not_add_up_are_refused(entries: Any) -> None:
    with pytest.raises(TensorError):
        describe(entries, 8)
