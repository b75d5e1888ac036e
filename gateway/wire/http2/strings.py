"""The integers and strings that header blocks are made of (RFC 7541, 5)."""

from __future__ import annotations

from hpack.exceptions import HPACKError

from gateway.wire.http2 import huffman


class FieldError(Exception):
    """The block can't be decoded, and the peer's table is out of step from now on: a connection error."""


def text(raw: bytes, start: int, end: int) -> bytes:
    """The string that takes up raw[start:end]."""
    size, begin = integer(raw, start, 0x7F)
    found = raw[begin:end]
    if len(found) != size:
        raise FieldError("the block ends within a field")
    if not raw[start] & 0x80:
        return found
    try:
        return huffman.decode(found)
    except HPACKError as error:
        raise FieldError(type(error).__name__) from None  # its text may hold a secret


def integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """The integer there (RFC 7541, 5.1) and where it ends. Raises IndexError where the block ends before it does."""
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    for shift in (0, 7, 14, 21, 28):
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise FieldError("an integer of more than five bytes")


def after_string(block: bytes, position: int) -> int:
    size, begin = integer(block, position, 0x7F)
    return begin + size
