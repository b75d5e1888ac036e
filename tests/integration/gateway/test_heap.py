from __future__ import annotations

import psutil

from gateway.heap import Heap

PIECES = 100_000
PIECE_BYTES = 2000


def resident() -> int:
    size: int = psutil.Process().memory_info().rss
    return size


def test_what_is_free_is_given_back_and_what_is_held_is_not_taken_for_it() -> None:
    heap = Heap()
    before = resident()
    pieces = [bytes(PIECE_BYTES) for _ in range(PIECES)]
    del pieces[:-1]  # the last keeps the C library from giving back the rest by itself
    assert resident() > before + PIECES * PIECE_BYTES * 0.8
    heap.trim(held=PIECES * PIECE_BYTES)
    assert resident() > before + PIECES * PIECE_BYTES * 0.8
    heap.trim(held=0)
    assert resident() < before + PIECES * PIECE_BYTES * 0.2
    assert len(pieces) == 1
