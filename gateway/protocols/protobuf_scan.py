"""The outermost layer of a protobuf message: found by skipping over lengths, so that tensors are never looked at.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from gateway.refusal import Code, Refusal

MAX_FIELDS = 10_000
"""Above what any request holds; without it, a message of two-byte fields would keep a data loop busy for seconds."""


class _CutOff(Exception):
    """The message ends within a field."""


class Beginning(bytes):
    """The first bytes of a message, whose rest is not known: that it is cut off is no fault of it."""


def values(message: bytes | memoryview, number: int) -> list[bytes]:
    """Each length-delimited value of the field `number`, in order; of a Beginning those that are whole in it.

    Raises Refusal (INVALID_ARGUMENT): the message is cut off or malformed, has more than MAX_FIELDS fields on its
    outermost layer, or groups there (no message of the field's APIs has them).
    """
    wanted = number << 3 | 2
    found: list[bytes] = []
    position, end = 0, len(message)
    try:
        for _ in range(MAX_FIELDS):
            if position == end:
                return found
            tag = message[position]
            position += 1
            if tag & 0x80:
                tag, position = _varint(message, position - 1, 5)
            if not 8 <= tag <= 0xFFFFFFFF:
                raise _malformed("a field number is out of range")
            kind = tag & 7
            if kind == 2:
                length = message[position]
                position += 1
                if length & 0x80:
                    more = message[position]
                    if more < 0x80:  # two bytes, as for most tensors
                        length = length & 0x7F | more << 7
                        position += 1
                    else:
                        length, position = _varint(message, position - 1, 5)
                if length > end - position:
                    raise _CutOff
                if tag == wanted:
                    found.append(bytes(message[position : position + length]))
                position += length
            elif kind == 0:
                _, position = _varint(message, position, 10)
            elif kind == 1 and position + 8 <= end:
                position += 8
            elif kind == 5 and position + 4 <= end:
                position += 4
            elif kind in (1, 5):
                raise _CutOff
            else:
                raise _malformed(f"wire type {kind} is not expected")
    except (IndexError, _CutOff):
        if isinstance(message, Beginning):
            return found
        raise _malformed("it is cut off") from None
    if position == end:
        return found
    raise _malformed(f"it has more than {MAX_FIELDS} fields")


def _varint(message: bytes | memoryview, position: int, most: int) -> tuple[int, int]:
    """The number at `position`, and where it ends. Raises IndexError where the message does."""
    value = 0
    for shift in range(0, 7 * most, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _malformed("a number is too long")


def _malformed(why: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "malformed_message", f"The request is no protobuf message: {why}")
