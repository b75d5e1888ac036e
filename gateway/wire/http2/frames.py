"""HTTP/2 frames: their numbers, and how they are built (RFC 9113, 4, 6 and 7)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client begins with (RFC 9113, 3.4)."""

HEAD_SIZE = 9
MAX_PAYLOAD = 16_384
"""Of a frame, both ways: the least that every peer must take, and as much as we ever announce."""
MAX_STREAM_ID = (1 << 31) - 1
MAX_WINDOW = (1 << 31) - 1
DEFAULT_WINDOW = 65_535

# Frame types.
DATA = 0x0
HEADERS = 0x1
PRIORITY = 0x2
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

# Flags.
END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

# Settings.
HEADER_TABLE_SIZE = 0x1
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5
MAX_HEADER_LIST_SIZE = 0x6


class ErrorCode(IntEnum):
    """RFC 9113, 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


_HEAD = struct.Struct(">IBI")  # the first four bytes are the length in three, and the type
_SETTING = struct.Struct(">HI")
_NUMBER = struct.Struct(">I")

read_head: Callable[[bytes, int], tuple[int, int, int]] = _HEAD.unpack_from
"""(length << 8 | type, flags, reserved bit and stream id) from a buffer at a position."""
write_head = _HEAD.pack


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """A whole frame; the payload is at most MAX_PAYLOAD."""
    return write_head(len(payload) << 8 | kind, flags, stream_id) + payload


def header_frames(stream_id: int, block: bytes, end_stream: bool) -> bytes:
    """A header block of any size: HEADERS, and CONTINUATION where one frame is not enough."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= MAX_PAYLOAD:
        return write_head(len(block) << 8 | HEADERS, flags | END_HEADERS, stream_id) + block
    frames = [frame(HEADERS, flags, stream_id, block[:MAX_PAYLOAD])]
    for start in range(MAX_PAYLOAD, len(block), MAX_PAYLOAD):
        last = start + MAX_PAYLOAD >= len(block)
        frames.append(frame(CONTINUATION, END_HEADERS if last else 0, stream_id, block[start : start + MAX_PAYLOAD]))
    return b"".join(frames)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join([_SETTING.pack(*pair) for pair in pairs]))


def window_update(stream_id: int, credit: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, _NUMBER.pack(credit))


def rst_stream(stream_id: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def goaway(last_id: int, code: int, why: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, _NUMBER.pack(last_id) + _NUMBER.pack(code) + why)


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """(identifier, value) of each; the payload is a multiple of six bytes."""
    return list(_SETTING.iter_unpack(payload))


def read_number(payload: bytes) -> int:
    return int.from_bytes(payload[:4], "big")
