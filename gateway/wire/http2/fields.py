"""Header fields: their HPACK form (RFC 7541), and what HTTP/2 allows of them (RFC 9113, 8.2 and 8.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from hpack.table import HeaderTable

from gateway.wire.note import Note

# Bits of Field.kind, and of the shape of a block: all kinds of its fields together.
REGULAR = 0x01
LENGTH = 0x02
METHOD = 0x04
SCHEME = 0x08
PATH = 0x10
AUTHORITY = 0x20
STATUS = 0x40
MALFORMED = 0x80
PSEUDO = METHOD | SCHEME | PATH | AUTHORITY | STATUS


class Field(NamedTuple):
    """One header field.

    `raw` is its HPACK form, free of connection state: b"".join(f.raw for f in fields) is a block for any peer.
    """

    name: bytes
    value: bytes
    raw: bytes
    kind: int
    """What `kind` says of it: for this package only."""


def encode(name: bytes, value: bytes, *, never_index: bool = False) -> bytes:
    """The stateless HPACK form of one field: by the static table, else a literal without Huffman that no table keeps.

    `never_index` marks it, for all hops to come, as one whose value must not be compressed (RFC 7541, 7.1.3).
    """
    index, values = HeaderTable.STATIC_TABLE_MAPPING.get(name, (0, {}))
    if not never_index and value in values:
        return bytes((0x80 | values[value],))
    first = 0x10 if never_index else 0x00
    if index == 0:
        return b"%c%b%b" % (first, _string(name), _string(value))
    if index < 15:
        return b"%c%b" % (first | index, _string(value))
    return b"%c%c%b" % (first | 15, index - 15, _string(value))


def encode_all(*fields: tuple[bytes, bytes]) -> bytes:
    """A block of such fields, in this order: pseudo-headers first."""
    return b"".join([encode(name, value) for name, value in fields])


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return b"%c%b" % (size, text)
    prefix = bytearray((127,))
    size -= 127
    while size >= 128:
        prefix.append(size & 127 | 128)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + text


_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[^\x00\r\n]*")
"""White space at the ends is malformed to RFC 9113, 8.2.1, but gRPC's own servers send it: an exception without a text
makes a `grpc-message` that ends with a space. It is let through as it came."""

_PSEUDO_VALUES = {
    b":method": (METHOD, re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")),
    b":scheme": (SCHEME, re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")),
    b":path": (PATH, re.compile(rb"/[\x21-\x7e\x80-\xff]*|\*")),
    b":authority": (AUTHORITY, re.compile(rb"[\x21-\x7e\x80-\xff]*")),
    b":status": (STATUS, re.compile(rb"1(?!01)\d\d|[2-9]\d\d")),  # HTTP/2 has no 101 (RFC 9113, 8.6)
}
_PARTICULAR = frozenset((b"te", b"content-length"))
_CONNECTION_SPECIFIC = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))


def kind(name: bytes, value: bytes) -> int:
    """What a field is by itself: one of the bits above."""
    if (pseudo := _PSEUDO_VALUES.get(name)) is not None:
        bit, valid = pseudo
        return bit if valid.fullmatch(value) else MALFORMED
    if is_regular(name):
        return value_kind(value)
    if not _VALUE.fullmatch(value):
        return MALFORMED
    if name == b"te":
        return REGULAR if value.lower() == b"trailers" else MALFORMED
    if name == b"content-length":
        return LENGTH if value.isdigit() and len(value) < 19 else MALFORMED
    return MALFORMED


def is_regular(name: bytes) -> bool:
    """Whether a field of this name is REGULAR with every legal value."""
    return _NAME.fullmatch(name) is not None and name not in _CONNECTION_SPECIFIC and name not in _PARTICULAR


def value_kind(value: bytes) -> int:
    """What a field with a regular name is."""
    return REGULAR if _VALUE.fullmatch(value) else MALFORMED


class Fields(list[Field]):
    """The fields of one block. Equal blocks that come again may share one: it is not to be changed, but for `note`.

    `base` are those of its beginning that it shares with the block before it on its connection; `base.shape` is kept.
    """

    note: Note | None = None
    """Where a handler may keep what it worked out of these fields."""
    base: Fields | None = None
    shape = 0


def values(fields: Sequence[Field], name: bytes) -> list[bytes]:
    """Those of all fields with this name."""
    return [field[1] for field in fields if field[0] == name]


def shape(fields: Sequence[Field], seen: int = 0) -> int:
    """What a block is: its fields' kinds together, and MALFORMED where one of them may not stand where it does.

    Pseudo-headers come before all others, and neither they nor content-length repeat. `seen`: of what stands before.
    """
    for field in fields:
        bit = field[3]
        if bit != REGULAR and (bit & seen or (bit & PSEUDO and seen & (REGULAR | LENGTH))):
            return seen | bit | MALFORMED
        seen |= bit
    return seen
