"""What a source says that it has counted of a deployment, from its start on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.contract.evidence import CALLER_GROUPS

UNKNOWN = CALLER_GROUPS
"""The group of callers whom a source did not tell apart."""
GROUPS = CALLER_GROUPS + 1
"""With those."""
Bitmaps = tuple[int, ...]
"""Buckets of keys as bits, of each group of callers."""
_NONE = ((0, 0, 0, 0),) * CALLER_GROUPS


class Count(NamedTuple):
    """What the random split assigned to a version in an epoch: requests, and the bad ones of each signal. `keyed`: of
    requests with a sticky key. `callers`: the four numbers of each group of callers, as far as they are known."""

    version: str
    epoch: int
    keyed: bool
    requests: int
    errors: int
    slow: int
    rejections: int
    callers: tuple[tuple[int, ...], ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        return self.requests, self.errors, self.slow, self.rejections

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The four numbers of each group of callers."""
        known = self.callers or _NONE
        return (*known, minus(self.numbers, map(sum, zip(*known, strict=True))))


@dataclass(frozen=True)
class Reading:
    """What one source says of one deployment. `source` is another after each restart of a gateway; `epoch` is in
    force on all its workers. `buckets`: by version and signal the bitmap of the keys' buckets that were bad, under
    `salt`; as "requests", of those that had any request. `callers`: the same of each group of callers, as far as they
    are known."""

    source: str
    epoch: int
    counts: tuple[Count, ...]
    salt: str = ""
    buckets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    callers: Mapping[str, Mapping[str, Bitmaps]] = field(default_factory=dict)

    def bitmaps(self, version: str, signal: str) -> Bitmaps:
        known = self.callers.get(version, {}).get(signal, ())
        return (*known, 0) if known else (*[0] * CALLER_GROUPS, self.buckets.get(version, {}).get(signal, 0))


def united(readings: Iterable[Reading], version: str, signal: str) -> Bitmaps:
    """The bitmaps of all readings together."""
    bitmaps: Bitmaps = (0,) * GROUPS
    for reading in readings:
        bitmaps = tuple([a | b for a, b in zip(bitmaps, reading.bitmaps(version, signal), strict=True)])
    return bitmaps


def minus(numbers: Iterable[int], others: Iterable[int]) -> tuple[int, ...]:
    return tuple([number - other for number, other in zip(numbers, others, strict=True)])
