"""Header blocks (HPACK, RFC 7541) as runs of self-contained fields."""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One header field, lower-case name. `raw` is its HPACK form, free of connection state: b"".join(f.raw for f in fields) is a block for any peer."""

    name: bytes
    value: bytes
    raw: bytes
    kind: int
    """Bits of RFC 9113 8.2/8.3 (what pseudo-header it is, whether it is malformed): only this package reads it."""


def encode(name: bytes, value: bytes) -> bytes:
    """The stateless HPACK form of one field: from the static table where it stands there, else a literal without Huffman that no table keeps."""
    raise NotImplementedError


def encode_all(*fields: tuple[bytes, bytes]) -> bytes:
    """A block of such fields, in this order."""
    raise NotImplementedError
