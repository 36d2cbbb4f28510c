"""Synthetic feeds: seeded, of the right shapes and ranges."""

import numpy as np
import pytest

from edgekit.data import hash_feed, synthetic_feeds
from edgekit.feed_checks import checked_feed
from edgekit.types import TensorSpec

INPUTS = (
    TensorSpec("image", "float32", ("n", 3, 8, 8)),
    TensorSpec("pixels", "uint8", ("n", "h", "w", 3)),
    TensorSpec("half", "float16", (1, 4)),
    TensorSpec("ids", "int64", ("n", "t")),
    TensorSpec("attention_mask", "int64", ("n", "t")),
    TensorSpec("token_type_ids", "int32", ("n", "t")),
    TensorSpec("state", "float32", (2, "n", 5)),
    TensorSpec("flag", "bool", ()),
    TensorSpec("text", "str", ("n",)),
)


def test_shapes_dtypes_and_ranges():
    for feed in synthetic_feeds(INPUTS, n=3):
        checked_feed(feed, INPUTS, "synthetic feed")
        shapes = {name: array.shape for name, array in feed.items()}
        assert shapes["image"] == (1, 3, 8, 8)
        assert shapes["pixels"] == (1, 64, 64, 3)
        assert shapes["ids"] == shapes["attention_mask"] == (1, 64)
        assert shapes["state"] == (2, 1, 5)  # the batch by its name, where it is not the first axis
        assert shapes["flag"] == ()
        assert feed["pixels"].max() > 200
        assert 0 <= feed["ids"].min() <= feed["ids"].max() < 100
        assert (feed["attention_mask"] == 1).all()
        assert (feed["token_type_ids"] == 0).all()


def test_the_same_seed_gives_the_same_feeds_again_and_again():
    feeds = synthetic_feeds(INPUTS, n=4, seed=3)
    hashes = [hash_feed(feed) for feed in feeds]
    assert len(feeds) == len(set(hashes)) == 4
    assert hashes == [hash_feed(feed) for feed in feeds]
    assert hashes == [hash_feed(feed) for feed in synthetic_feeds(INPUTS, n=4, seed=3)]
    assert hashes[:2] == [hash_feed(feed) for feed in synthetic_feeds(INPUTS, n=2, seed=3)]
    assert hashes[0] != hash_feed(next(iter(synthetic_feeds(INPUTS, n=4, seed=4))))


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_ranges_and_shapes_of_a_calibration_set_are_kept_to(dtype):
    inputs = (TensorSpec("x", dtype, ("n", "t")),)
    [feed] = synthetic_feeds(inputs, n=1, ranges={"x": (10.0, 12.0)}, shapes={"x": (2, 500)})
    assert feed["x"].shape == (2, 500)
    assert feed["x"].dtype == np.dtype(dtype)
    assert 10 <= feed["x"].min() < 10.5
    assert 11.5 < feed["x"].max() <= 12


def test_a_state_starts_at_zero_and_its_free_axes_are_one() -> None:
    inputs = [TensorSpec("input", "float32", ("", 512)), TensorSpec("state", "float32", (2, "", 128))]
    feed = next(iter(synthetic_feeds(inputs, n=1, states={"state": "stateN"}, ranges={"state": (-22.0, 22.0)})))
    assert feed["state"].shape == (2, 1, 128)
    assert not feed["state"].any()
    assert feed["input"].any()
