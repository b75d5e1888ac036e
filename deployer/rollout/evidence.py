"""What counts as evidence: the counts that sources report, and what of them is new. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Count:
    """What the random split assigned to a version in an epoch, counted from the source's start: requests, and the bad
    ones of each signal. `keyed`: of requests with a sticky key."""

    version: str
    epoch: int
    keyed: bool
    requests: int
    errors: int
    slow: int
    rejections: int


@dataclass(frozen=True)
class Reading:
    """What one source says of one deployment. `source` is another after each restart of a gateway; `epoch` is in
    force on all
    its workers. `buckets`: by version and signal the bitmap of the keys' buckets that were bad, under `salt`."""

    source: str
    epoch: int
    counts: tuple[Count, ...]
    salt: str = ""
    buckets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
