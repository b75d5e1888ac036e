"""The one message of a unary call: five bytes of prefix (compressed? how long?), then the message.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and doc/compression.md beside it
"""

from __future__ import annotations

import zlib

from gateway.protocols.protobuf_scan import Beginning
from gateway.refusal import Code, Refusal

ACCEPT_ENCODING = b"identity,deflate,gzip"
"""The `grpc-accept-encoding` that an answer bears whose refusal was "unknown_encoding"."""

PREFIX_SIZE = 5

INFLATED_BYTES = 65_536
"""Of a compressed message: fields come in the order of their numbers, and that of the model is the first. To inflate 62
MB would keep the data loop busy for a tenth of a second."""

_COPIED_BYTES = 65_536
"""Below it a copy costs less than a view does."""

_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}  # zlib's own way to name the two containers


def frame(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def announced(body: bytes | bytearray) -> int | None:
    """The size of the message that begins there, as its prefix says; None while that is not whole."""
    return int.from_bytes(body[1:PREFIX_SIZE], "big") if len(body) >= PREFIX_SIZE else None


def payload(body: bytes | memoryview, encoding: bytes | None) -> bytes | memoryview:
    """The protobuf message in the whole `body` of a request: a view of it, or an inflated copy.

    `encoding` is the request's `grpc-encoding`. Of what inflates to more than INFLATED_BYTES it is the Beginning, and
    whether the rest inflates is the server's affair.

    Raises Refusal: INVALID_ARGUMENT where the body is not exactly one message, or does not inflate; INTERNAL where it
    is flagged as compressed without an encoding (the specification says so); UNIMPLEMENTED for an unknown encoding.
    """
    size = len(body) - PREFIX_SIZE
    if size < 0:
        raise _malformed("it is cut off" if body else "there is none")
    length = int.from_bytes(body[1:PREFIX_SIZE], "big")
    if length != size:
        raise _malformed(f"its prefix says {length} bytes, but {size} follow (a unary call has exactly one message)")
    flag = body[0]
    if flag == 0 and size <= _COPIED_BYTES:
        return body[PREFIX_SIZE:]
    message = memoryview(body)[PREFIX_SIZE:]
    if flag == 0:
        return message
    if flag != 1:
        raise _malformed(f"its first byte is {flag}, not 0 or 1")
    if encoding is None or encoding == b"identity":
        raise Refusal(
            Code.INTERNAL,
            "malformed_message",
            "The message's Compressed-Flag is set, but grpc-encoding names no encoding",
        )
    window_bits = _WINDOW_BITS.get(encoding)
    if window_bits is None:
        raise Refusal(
            Code.UNIMPLEMENTED,
            "unknown_encoding",
            f"grpc-encoding {ascii(encoding[:80])[1:]} is not known here; known: {ACCEPT_ENCODING.decode()}",
        )
    return _inflated(message, window_bits)


def _inflated(message: memoryview, window_bits: int) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    try:
        inflated = inflater.decompress(message, INFLATED_BYTES + 1)  # one more, to see whether there is more
    except zlib.error as error:
        raise _malformed(f"it does not inflate ({error})") from None
    if len(inflated) > INFLATED_BYTES:
        return Beginning(inflated)
    if not inflater.eof or inflater.unused_data:
        raise _malformed("it is cut off" if not inflater.eof else "something follows its compressed data")
    return inflated


def _malformed(why: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "malformed_message", f"The gRPC message is malformed: {why}")
