"""The half of an HTTP/2 connection that hears: frames in, one by one, and calls of a handler out. The plain way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from gateway.wire.http2 import fields as kinds
from gateway.wire.http2 import frames
from gateway.wire.http2.control import Control
from gateway.wire.http2.fields import Field, Fields
from gateway.wire.http2.frames import HEAD_SIZE, MAX_PAYLOAD, MAX_STREAM_ID, ErrorCode
from gateway.wire.http2.handler import Handler, Limits
from gateway.wire.http2.header_blocks import OVERSIZE
from gateway.wire.http2.send import ENDED, RESET_HERE, RESET_THERE
from gateway.wire.http2.stream import Stream
from gateway.wire.http2.strings import FieldError

BLOCK_FACTOR = 4
"""A header block this many times the limit of a header list is not even followed to its end: a connection error."""

OVERSIZE_COST = 50
"""Of a head that is refused for its size, and one more for each 64 bytes, since it is followed in the peer's table."""

PORTION_FRAMES = 100
REQUEST_FRAMES = 50
"""Frames that are taken at once, and what a message's head counts among them: some 300 microseconds, then the owner
may see to other connections."""

BLOCK_SHIFT = 14
"""To shift a frame's first word by: each 64 bytes of a header block count as a frame, since a string in Huffman's code
takes some 100 microseconds for each 1,000 bytes."""

_BARE_REQUEST = kinds.METHOD | kinds.SCHEME | kinds.PATH
REQUESTS = (_BARE_REQUEST, _BARE_REQUEST | kinds.AUTHORITY)


class Receiving(Control):
    """See http2.Connection, a part of which this is."""

    __slots__ = ("_block", "_block_stream", "_preface", "_read_to", "_rest", "behind")

    def __init__(self, handler: Handler, *, client: bool, limits: Limits | None = None) -> None:
        """Raises ValueError where a window in `limits` is below the protocol's default."""
        super().__init__(handler, client=client, limits=limits or Limits())
        self._preface = b"" if client else frames.PREFACE
        self.behind = False
        """There is more to take than is taken at once: call `receive` again, if need be with nothing."""
        self._rest = b""
        self._read_to = 0  # of it
        self._block = bytearray()
        self._block_stream = (0, 0)  # id and flags of HEADERS that CONTINUATION follows

    def receive(self, data: bytes, now: float) -> None:
        """Take what came from the peer, cut anywhere. `now`: seconds of any monotonic clock, for the flood guard."""
        self.behind = False
        if self.closed:
            return
        self._now = now
        if self._preface:
            data = self._after_preface(data)
        position = 0
        if self._rest:
            if data:
                data = self._rest[self._read_to :] + data
            else:
                data, position = self._rest, self._read_to
            self._rest = b""
            self._read_to = 0
        end = len(data)
        read_head, types = frames.read_head, self._TYPES
        portion = PORTION_FRAMES
        while end - position >= HEAD_SIZE:
            if portion <= 0:
                self.behind = True
                self._rest, self._read_to = data, position  # not cut, which would cost as much as there is
                return
            head, flags, stream_id = read_head(data, position)
            kind = head & 0xFF
            stop = position + HEAD_SIZE + (head >> 8)
            if head >> 8 > MAX_PAYLOAD:
                return self._fail(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {head >> 8} bytes")
            if stop > end:
                break
            if self._expect is not None and kind != self._expect:
                return self._fail(ErrorCode.PROTOCOL_ERROR, f"frame type {kind} where {self._expect} has to come")
            if kind == frames.HEADERS:
                portion -= REQUEST_FRAMES + (head >> BLOCK_SHIFT)
            else:
                portion -= 1 + (head >> BLOCK_SHIFT) if kind == frames.CONTINUATION else 1
            if kind == frames.HEADERS and flags == frames.END_HEADERS:
                stop = self._message(stream_id & MAX_STREAM_ID, data, position + HEAD_SIZE, stop)
            elif kind < len(types):
                types[kind](self, flags, stream_id & MAX_STREAM_ID, data[position + HEAD_SIZE : stop])
            else:
                self._charge(1)  # an extension: to be ignored (RFC 9113, 5.5)
            if self.closed:
                return
            position = stop
        if position < end:
            self._rest = data[position:]

    def _message(self, stream_id: int, data: bytes, start: int, stop: int) -> int:
        """A message begins: HEADERS whose whole block lies from `start` to `stop`. Where to read on."""
        self._headers(frames.END_HEADERS, stream_id, data[start:stop])
        return stop

    def _after_preface(self, data: bytes) -> bytes:
        size = min(len(data), len(self._preface))
        if data[:size] != self._preface[:size]:
            self._fail(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
            return b""
        self._preface = self._preface[size:]
        return data[size:]

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._credit -= size
        if self._credit < 0:
            return self._fail(ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the connection's window")
        stream = self._streams.get(stream_id)
        if stream is None or not stream.receiving:
            return self._stray_data(stream_id, stream)
        if not stream.head_seen:
            return self._mistake(stream, ErrorCode.PROTOCOL_ERROR)
        stream.credit -= size
        if stream.credit < 0:
            return self._mistake(stream, ErrorCode.FLOW_CONTROL_ERROR)
        if flags & frames.PADDED:
            if not payload or payload[0] >= size:
                return self._fail(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
            payload = payload[1 : size - payload[0]]
            size = len(payload)
        end = flags & frames.END_STREAM
        if stream.expected >= 0:
            stream.expected -= size
            if stream.expected < 0 or (end and stream.expected):
                return self._mistake(stream, ErrorCode.PROTOCOL_ERROR)
        if end:
            self._ended(stream)
        elif not size:
            self._charge(1)
            return self._give_credit(stream)
        if stream.mute or self._handler.on_data(stream_id, payload, end != 0):
            if self._credit <= self._half_credit or stream.credit <= self._half_stream_credit:
                self._give_credit(stream)
        else:
            self._hold(stream, size)

    def _stray_data(self, stream_id: int, stream: Stream | None) -> None:
        if stream is not None:
            return self._mistake(stream, ErrorCode.STREAM_CLOSED)
        if self._is_idle(stream_id):
            return self._fail(ErrorCode.PROTOCOL_ERROR, f"DATA on stream {stream_id}, which is idle")
        if self._how_gone(stream_id) != RESET_HERE:
            self._refuse(stream_id, ErrorCode.STREAM_CLOSED)
        self._charge(1)
        self._give_credit(None)

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            return self._fail(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & (frames.PADDED | frames.HAS_PRIORITY):
            start = 1 if flags & frames.PADDED else 0
            stop = len(payload) - (payload[0] if start and payload else 0)
            if flags & frames.HAS_PRIORITY:
                self._depend(stream_id, payload[start : start + 4])
                start += 5
            if start > stop:
                self._fail(ErrorCode.PROTOCOL_ERROR, "HEADERS shorter than their padding and priority")
            if self.closed:
                return
            payload = payload[start:stop]
        if flags & frames.END_HEADERS:
            self._head(flags, stream_id, payload)
        else:
            self._expect = frames.CONTINUATION
            self._block_stream = (stream_id, flags)
            self._block += payload

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._expect is None or stream_id != self._block_stream[0]:
            return self._fail(ErrorCode.PROTOCOL_ERROR, f"CONTINUATION on stream {stream_id} without HEADERS")
        self._block += payload
        self._charge(1)
        if len(self._block) > self._limits.max_head_bytes * BLOCK_FACTOR:
            self._fail(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of more than {len(self._block)} bytes")
        elif flags & frames.END_HEADERS:
            block = bytes(self._block)
            self._block.clear()
            self._expect = None
            self._head(self._block_stream[1], stream_id, block)

    def _head(self, flags: int, stream_id: int, block: bytes) -> None:
        """A whole header block. It is decoded whatever comes of it: the table has to be followed."""
        try:
            fields, shape = self._decoder.decode(block)
        except FieldError as error:
            return self._fail(ErrorCode.COMPRESSION_ERROR, str(error))
        if shape == OVERSIZE and not self._client:
            self._charge(OVERSIZE_COST + len(block) // 64)
            if self.closed:
                return
        end = flags & frames.END_STREAM
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._client or stream_id <= self._last_id or not stream_id & 1:
                self._stray_headers(stream_id)
            else:
                self._request(stream_id, fields, shape, end)
        elif not stream.receiving:
            self._mistake(stream, ErrorCode.STREAM_CLOSED)
        elif stream.head_seen:
            self._trailers(stream, fields, shape, end)
        else:
            self._answer(stream, fields, shape, end)

    def _stray_headers(self, stream_id: int) -> None:
        how = self._how_gone(stream_id)
        if how == RESET_HERE:
            self._charge(1)
        elif how == RESET_THERE:
            self._refuse(stream_id, ErrorCode.STREAM_CLOSED)
        elif how == ENDED:
            self._fail(ErrorCode.STREAM_CLOSED, f"HEADERS on stream {stream_id}, which has ended")
        else:
            self._fail(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}, which may not be opened")

    def _request(self, stream_id: int, fields: Fields, shape: int, end: int) -> None:
        self._last_id = stream_id
        if self._draining:
            return self._remember(stream_id, RESET_HERE)
        if len(self._streams) >= self._limits.max_streams:
            return self._refuse(stream_id, ErrorCode.REFUSED_STREAM)
        expected = _content_length(fields) if shape & kinds.LENGTH else -1
        if shape != OVERSIZE and (
            shape & kinds.MALFORMED or shape & kinds.PSEUDO not in REQUESTS or (end and expected > 0)
        ):
            return self._refuse(stream_id, ErrorCode.PROTOCOL_ERROR)
        window = self._limits.stream_window
        stream = Stream(stream_id, self._peer_window, window, sending=True, receiving=not end)
        stream.head_seen = True
        stream.opened = self._now
        stream.expected = expected
        self._streams[stream_id] = stream
        if shape == OVERSIZE:
            stream.mute = True
            self._handler.on_oversize(stream_id)
        else:
            self._handler.on_headers(stream_id, fields, end != 0)

    def _answer(self, stream: Stream, fields: Fields, shape: int, end: int) -> None:
        if shape & (kinds.MALFORMED | OVERSIZE) or shape & kinds.PSEUDO != kinds.STATUS:
            return self._mistake(stream, ErrorCode.PROTOCOL_ERROR)
        if fields[0].value[:1] == b"1":
            return self._mistake(stream, ErrorCode.PROTOCOL_ERROR) if end else self._charge(1)
        stream.head_seen = True
        if shape & kinds.LENGTH:
            stream.expected = _content_length(fields)
            if end and stream.expected:
                return self._mistake(stream, ErrorCode.PROTOCOL_ERROR)
        if end:
            self._ended(stream)
        self._handler.on_headers(stream.id, fields, end != 0)

    def _trailers(self, stream: Stream, fields: Fields, shape: int, end: int) -> None:
        if not end or stream.expected > 0 or shape & ~kinds.REGULAR:
            return self._mistake(stream, ErrorCode.PROTOCOL_ERROR)
        self._ended(stream)
        if not stream.mute:
            self._handler.on_trailers(stream.id, fields)

    def _ended(self, stream: Stream) -> None:
        """The peer's END_STREAM has come."""
        stream.receiving = False
        if not stream.sending:
            self._forget(stream, ENDED)
        elif self._client:  # an early answer: nobody reads the rest of the request
            self._out.append(frames.rst_stream(stream.id, ErrorCode.CANCEL))
            self._forget(stream, RESET_HERE)

    # By frame type.
    _TYPES: ClassVar[tuple[Callable[[Receiving, int, int, bytes], None], ...]] = (
        _data,
        _headers,
        Control._priority,
        Control._rst_stream,
        Control._settings,
        Control._push_promise,
        Control._ping,
        Control._goaway,
        Control._window_update,
        _continuation,
    )


def _content_length(fields: Sequence[Field]) -> int:
    return next(int(field.value) for field in fields if field.kind == kinds.LENGTH)
