"""How much of a file is sent before the device's word is waited for."""

from __future__ import annotations

FIRST_BYTES = 256 << 10
MIN_BYTES = 16 << 10
MAX_BYTES = 4 << 20
TARGET_S = 2.0


class Pace:
    """Adapts the size of a chunk to the link, so that one takes about two seconds.

    Larger ones would be lost when a slow link breaks, since what has arrived counts by whole chunks; smaller ones would spend their
    time waiting for answers where the way is long.
    """

    def __init__(self) -> None:
        self.chunk_bytes = FIRST_BYTES

    def took(self, size_bytes: int, elapsed_s: float) -> None:
        """Learn from one answered chunk; the end of a file, being short, says nothing unless it was slow. At most doubles."""
        if size_bytes < self.chunk_bytes and elapsed_s <= TARGET_S:
            return
        wanted = size_bytes * TARGET_S / max(elapsed_s, 1e-6)
        self.chunk_bytes = int(min(max(wanted, MIN_BYTES), 2 * self.chunk_bytes, MAX_BYTES))
