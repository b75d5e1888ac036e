"""Memory that a burst took is given back to the system: the C library keeps it, and may need it never again."""

from __future__ import annotations

import ctypes
import os

SPARE_BYTES = 8 << 20
"""Beyond what is held for clients; less is not worth the time."""

_STATM = os.open("/proc/self/statm", os.O_RDONLY)
"""Kept open: a worker whose descriptors are all in use is not to fail over this."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc's."""


class Heap:
    """This process'."""

    def __init__(self) -> None:
        self._base = _resident()

    def trim(self, held: int) -> None:
        """Give back what is free, where this process has grown by much more than the `held` bytes since it was asked
        last."""
        if _resident() - self._base - held > SPARE_BYTES:
            if _trim is not None:
                _trim(0)
            self._base = max(self._base, _resident() - held)


def _resident() -> int:
    """Bytes."""
    return int(os.pread(_STATM, 256, 0).split()[1]) * _PAGE
