"""The header x-turnout-assignment: which versions the calls before this one got, so that later ones agree. Pure.

    x-turnout-assignment: vision/digits=v2, vision/letters=v1

A gateway reads it in a request, and writes it, with its own assignment first, into the request that goes to the model
server and into the answer. Whoever makes further calls passes it on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

MAX_BYTES = 1024
"""A longer value is ignored, and none is written: what was assigned first is left out then."""

Assignments = Mapping[str, str]
"""Version by `namespace/name`, the latest assignment first."""

NONE: Assignments = MappingProxyType({})

_ENTRY = re.compile(r"([!-+\--.0-<>-~]{1,253}/[!-+\--.0-<>-~]{1,253})=([!-+\--~]{1,253})")


def read(value: bytes | None) -> Assignments:
    """What the header says. An entry that is none is passed over; of two for one deployment the first counts."""
    if value is None or len(value) > MAX_BYTES:
        return NONE
    assignments: dict[str, str] = {}
    for entry in value.decode("latin-1").split(","):
        match = _ENTRY.fullmatch(entry.strip(" \t"))
        if match is not None:
            assignments.setdefault(match[1], match[2])
    return assignments


def write(assignments: Assignments) -> bytes:
    """The header's value, b"" where there is nothing to carry."""
    value = ", ".join(f"{key}={version}" for key, version in assignments.items()).encode()
    if len(value) > MAX_BYTES:
        value = value[: MAX_BYTES + 1].rpartition(b",")[0]
    return value
