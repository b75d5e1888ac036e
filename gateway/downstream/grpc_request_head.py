"""What a gRPC request's header block says, worked out once for all that differ in `grpc-timeout` alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.contract.headers import (
    ASSIGNMENT,
    DEPLOYMENT,
    REQUEST_ID,
    REQUEST_ID_PATTERN,
    SECRET,
    VERSION,
    is_own,
)
from gateway.protocols import health, registry
from gateway.routing import assignment_header
from gateway.wire.http2.fields import Field, Fields, encode
from gateway.wire.http2.peer_table import NEVER_INDEXED
from gateway.wire.note import Note

_NOT_FORWARDED = frozenset((b"grpc-timeout", b"expect", b"te"))
_NOT_FORWARDED_WITH_AUTHORITY = _NOT_FORWARDED | {b"host"}
"""Two names of the host that differ would mean one thing here and another behind."""

_ID = re.compile(REQUEST_ID_PATTERN)

_TE = encode(b"te", b"trailers")
"""What gRPC's servers ask for, some by resetting a stream without it: whether or not the client has said it."""

_MAX_KNOWN_RESTS = 16
"""Of blocks that begin alike: what may follow `grpc-timeout` in them, and is remembered."""

FIELD_BYTES = 150
"""What a field takes up in memory beside its bytes, some of which are there twice."""


class RequestHead:
    """What a request's header block says, but for `grpc-timeout`. Blocks that begin alike share it."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.meta = meta = {field[0]: field[1] for field in reversed(fields)}
        """The first value of each field; all cookies as one."""
        if b"cookie" in meta:
            meta[b"cookie"] = b"; ".join([field[1] for field in fields if field[0] == b"cookie"])
        left_out = _NOT_FORWARDED_WITH_AUTHORITY if b":authority" in meta else _NOT_FORWARDED
        request_id = meta.get(REQUEST_ID, b"")
        self.request_id = request_id if _ID.fullmatch(request_id) else b""
        """The request's, where it bears one that can go on."""
        onward = [
            raw
            for name, value, raw, _ in fields
            if name not in left_out and not is_own(name) and (name != REQUEST_ID or value == self.request_id)
        ]
        self.onward = b"".join((*onward, _TE))
        """The block that goes to the model server."""
        self.weight = 2 * len(self.onward) + FIELD_BYTES * len(meta)
        """What it takes up in memory, in bytes: a guess."""
        self.path = meta[b":path"]
        self.grpc = meta.get(b"content-type", b"")[:16] == b"application/grpc" and meta[b":method"] == b"POST"
        self.health = health.asked(self.path, meta)
        self.protocol = registry.grpc(self.path)
        self.needs_message = self.protocol.needs_message(self.path)
        self.streams = self.protocol.streams(self.path)
        self.deployment = meta.get(DEPLOYMENT)
        self.version = meta.get(VERSION)
        self.before = assignment_header.read(meta.get(ASSIGNMENT))


class _Known(dict[bytes, RequestHead], Note):
    """What was worked out of blocks that begin alike, by what follows `grpc-timeout` in them."""

    __slots__ = ()


def read(fields: Fields) -> tuple[RequestHead, bytes | None]:
    """What the block says, and its `grpc-timeout`, which is often all that differs from the call before."""
    base = fields.base
    if base is None or len(fields) == len(base) or fields[len(base)][0] != b"grpc-timeout":
        head = RequestHead(fields)
        return head, head.meta.get(b"grpc-timeout")
    timeout = fields[len(base)][1]
    rest = fields[len(base) + 1 :]
    heads = base.note
    if not isinstance(heads, _Known):
        heads = base.note = _Known()
    key = b"".join([field[2] for field in rest])
    known = heads.get(key)
    if known is None:
        known = RequestHead([*base, *rest])
        if not any(field[0] in SECRET or field[2][0] & 0xF0 == NEVER_INDEXED for field in rest):
            if len(heads) >= _MAX_KNOWN_RESTS:
                heads.clear()
            heads[key] = known
    return known, timeout  # of two the first counts, as in the plain way
