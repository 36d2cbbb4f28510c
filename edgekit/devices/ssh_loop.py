"""The one background thread with an event loop that owns every SSH connection of this process. Callers stay synchronous."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop, started when it is first wanted. It lives as long as the process."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="edgekit-ssh", daemon=True).start()
        return _loop


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run ``coroutine`` in the loop and wait for its result. Ctrl-C here cancels it there."""
    future = asyncio.run_coroutine_threadsafe(coroutine, background_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _forget() -> None:
    """A forked child has the loop but not its thread."""
    global _loop
    _loop = None


os.register_at_fork(after_in_child=_forget)
