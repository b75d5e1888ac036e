from __future__ import annotations

import ctypes
import resource

import psutil

from gateway.heap import Heap

PIECES = 100_000
PIECE_BYTES = 2000


def resident() -> int:
    size: int = psutil.Process().memory_info().rss
    return size


def test_what_is_free_is_given_back_and_what_is_held_is_not_taken_for_it() -> None:
    ctypes.CDLL(None).malloc_trim(0)  # what other tests have left free would be taken first
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


def test_it_needs_no_descriptor_once_it_is_made() -> None:
    """Where none is left a worker still has to show that it lives."""
    heap = Heap()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        heap.trim(held=0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
