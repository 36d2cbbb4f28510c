"""Feeds on their way to the agent: headers and bytes, as the protocol has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..agent.tensors import TensorError, encode
from ..errors import DataError
from ..types import Feed


def encode_feed(key: str, feed: Feed) -> tuple[list[dict[str, Any]], bytes]:
    """The tensors of one feed of candidate ``key``, and their bytes.

    Raises:
        DataError: a dtype that cannot be sent.
    """
    try:
        return encode(feed)
    except TensorError as problem:
        raise DataError(f"the input of {key} cannot be sent to a device", why=str(problem)) from problem


def feed_table(keys: Sequence[str], feeds: Mapping[str, Feed]) -> tuple[list[Any], list[int], bytes]:
    """Each different feed once, which of them each key takes, and their bytes.

    Raises:
        DataError: a dtype that cannot be sent.
    """
    index_of: dict[tuple[str, bytes], int] = {}
    feed_of = []
    for key in keys:
        entries, payload = encode_feed(key, feeds[key])
        feed_of.append(index_of.setdefault((json.dumps(entries), payload), len(index_of)))
    table = [[json.loads(entries), len(payload)] for entries, payload in index_of]
    return table, feed_of, b"".join(payload for _, payload in index_of)
