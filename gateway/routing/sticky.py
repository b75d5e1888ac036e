"""Sticky keys: where a request's key stands, and what it hashes to. Pure, and the same in every process.

A key's position is fixed for a whole rollout, and the canary has those below its weight: whoever has the canary keeps
it as the weight grows, on every worker of every gateway, though none asks another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from gateway.contract.evidence import BUCKETS
from gateway.contract.route_table import Sticky

Values = Mapping[bytes, bytes]
"""A request's header fields (for gRPC: metadata) by lower-case name: of a repeated one the first value, of cookies all,
joined by `; ` (RFC 9113, 8.2.3)."""

_COOKIE_VALUE = re.compile(rb'("?)([!#-+\--:<-\[\]-~]*)\1')
"""RFC 6265, 4.1.1: with quotes or without."""


class Position(NamedTuple):
    """`share` is in [0, 1), uniform over keys; `bucket` is below BUCKETS and tells nothing of the share."""

    share: float
    bucket: int


def position(salt: str, key: bytes) -> Position:
    """What `key` hashes to under the salt of a rollout."""
    digest = blake2b(b"%b\0%b" % (salt.encode(), key), digest_size=16).digest()
    # 53 bits are what a float holds: all 64 would round to 1.0 now and then, which no weight reaches.
    return Position((int.from_bytes(digest[:8]) >> 11) / (1 << 53), int.from_bytes(digest[8:]) % BUCKETS)


def key(sticky: Sticky, values: Values) -> bytes:
    """The request's key, b"" where it has none: the field is missing, empty, or a cookie is malformed."""
    if sticky.header is not None:
        return values.get(sticky.header.encode(), b"")
    assert sticky.cookie is not None
    return _cookie(sticky.cookie.encode(), values.get(b"cookie", b""))


def _cookie(name: bytes, cookies: bytes) -> bytes:
    """The value of the first cookie of that name, without its quotes."""
    for pair in cookies.split(b";"):
        left, equals, value = pair.strip(b" \t").partition(b"=")
        if equals and left == name:
            match = _COOKIE_VALUE.fullmatch(value)
            return b"" if match is None else match[2]
    return b""
