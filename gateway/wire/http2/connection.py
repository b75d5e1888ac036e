"""HTTP/2 (RFC 9113) without sockets: bytes in, calls of a handler out; both roles.

One use of a connection, by its owner:

    connection = Connection(handler, client=False)
    connection.start()
    transport.write(connection.take())
    ...
    connection.receive(data, loop.time())      # calls the handler, which calls open/headers/data/reset/consumed
    if connection.behind:                      # other connections have their turn, then receive(b"", …)
        loop.call_soon(...)
    if out := connection.take():
        transport.write(out)
    if connection.closed:                      # the peer broke the protocol: `connection.reason` says how
        transport.close()

What is left to the owner: not to read while its transport can't write (the answers to PING and SETTINGS would pile up),
and to end its own streams when the transport is lost or the connection is closed.
"""

from __future__ import annotations

from gateway.wire.http2 import fields as kinds
from gateway.wire.http2 import frames
from gateway.wire.http2.frames import HEAD_SIZE, MAX_PAYLOAD, ErrorCode, read_head, write_head
from gateway.wire.http2.handler import Handler, Limits
from gateway.wire.http2.receive import REQUESTS, Receiving
from gateway.wire.http2.send import ENDED, LOW_MARK, TABLE_OFF
from gateway.wire.http2.stream import Stream
from gateway.wire.http2.strings import FieldError

__all__ = ["LOW_MARK", "Connection", "ErrorCode", "Handler", "Limits"]

_ORDINARY_REQUESTS = tuple(shape | kinds.REGULAR for shape in REQUESTS)
_ORDINARY_ANSWER = kinds.STATUS | kinds.REGULAR

_LAST_HEADERS = frames.END_HEADERS | frames.END_STREAM

_MAX_BLOCK = MAX_PAYLOAD - len(TABLE_OFF)
"""Of a header block that fits one frame whatever is said before it."""


class Connection(Receiving):
    """One HTTP/2 connection, as a server or as a client.

    It never raises because of the peer. `closed` says that a connection error was found: write `take()`, then close;
    nothing more is received, and all streams are gone. `reason` is a line for the log.

    What is sent on a stream that is gone is dropped silently: the owner learns of the end in its own time. An early end
    is settled here and is no on_reset: a server whose answer ends before the request resets the stream with NO_ERROR,
    a client whose answer has ended before its request is sent resets it with CANCEL. Informational answers (1xx)
    are skipped. Content-length is held against DATA; answers to HEAD are not known as such (gRPC has none).

    A message that came whole in one read is told, and one that is there as a whole is sent, in one step where nothing
    is out of the ordinary: a request as HEADERS and DATA, an answer as HEADERS, DATA and HEADERS. To the same effect as
    frame by frame, at half the cost.
    """

    __slots__ = ()

    def _message(self, stream_id: int, data: bytes, start: int, stop: int) -> int:
        if self._decoder.stateless:  # then to decode a block again, frame by frame, does no harm
            whole = self._whole_answer if self._client else self._whole_request
            if after := whole(stream_id, data, start, stop):
                return after
        return super()._message(stream_id, data, start, stop)

    def _whole_request(self, stream_id: int, data: bytes, start: int, stop: int) -> int:
        """Where to read on; 0 where it has to be taken frame by frame."""
        if len(data) - stop <= HEAD_SIZE:
            return 0
        head, flags, same = read_head(data, stop)
        size = head >> 8
        after = stop + HEAD_SIZE + size
        if head & 0xFF != frames.DATA or flags != frames.END_STREAM or same != stream_id or after > len(data):
            return 0
        if stream_id <= self._last_id or not stream_id & 1 or not 0 < size <= MAX_PAYLOAD or size > self._credit:
            return 0
        limits = self._limits
        if self._draining or len(self._streams) >= limits.max_streams:
            return 0
        try:
            fields, shape = self._decoder.decode(data[start:stop])
        except FieldError:
            return 0
        if shape not in _ORDINARY_REQUESTS:
            return 0
        self._last_id = stream_id
        self._credit -= size
        stream = Stream(stream_id, self._peer_window, limits.stream_window, sending=True, receiving=False)
        stream.head_seen = True
        stream.opened = self._now
        self._streams[stream_id] = stream
        self._handler.on_request(stream_id, fields, data[stop + HEAD_SIZE : after])
        if self._credit <= self._half_credit:
            self._give_credit(None)
        return after

    def _whole_answer(self, stream_id: int, data: bytes, start: int, stop: int) -> int:
        """Likewise."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.head_seen or stream.sending or len(data) - stop <= 2 * HEAD_SIZE:
            return 0
        head, flags, same = read_head(data, stop)
        size = head >> 8
        last = stop + HEAD_SIZE + size
        if head & 0xFF != frames.DATA or flags or same != stream_id or last + HEAD_SIZE >= len(data):
            return 0
        tail, flags, same = read_head(data, last)
        after = last + HEAD_SIZE + (tail >> 8)
        if tail & 0xFF != frames.HEADERS or flags != _LAST_HEADERS or same != stream_id or after > len(data):
            return 0
        if not 0 < size <= MAX_PAYLOAD or size > self._credit or size > stream.credit or tail >> 8 > MAX_PAYLOAD:
            return 0
        try:
            fields, shape = self._decoder.decode(data[start:stop])
            trailers, trailing = self._decoder.decode(data[last + HEAD_SIZE : after])
        except FieldError:
            return 0
        if shape != _ORDINARY_ANSWER or trailing != kinds.REGULAR or fields[0].value[:1] == b"1":
            return 0
        self._credit -= size
        self._forget(stream, ENDED)
        self._handler.on_answer(stream_id, fields, data[stop + HEAD_SIZE : last], trailers)
        if self._credit <= self._half_credit:
            self._give_credit(None)
        return after

    def request(self, block: bytes, data: bytes) -> int:
        """Client: `open`, and `data` to the stream's end."""
        size = len(data)
        if not 0 < size <= MAX_PAYLOAD or size > self._peer_window or size > self._window or len(block) > _MAX_BLOCK:
            stream_id = self.open(block, not size)
            if size:
                self.data(stream_id, data, True)
            return stream_id
        stream_id = self._next_id
        self._next_id = stream_id + 2
        stream = Stream(stream_id, self._peer_window - size, self._limits.stream_window, sending=False, receiving=True)
        self._streams[stream_id] = stream
        self._window -= size
        if not self._table_off_said:
            self._table_off_said = True
            block = TABLE_OFF + block
        self._out += (
            write_head(len(block) << 8 | frames.HEADERS, frames.END_HEADERS, stream_id),
            block,
            write_head(size << 8 | frames.DATA, frames.END_STREAM, stream_id),
            data,
        )
        return stream_id

    def answer(self, stream_id: int, block: bytes, data: bytes, trailers: bytes) -> None:
        """Server: `headers`, `data`, and `headers` to the stream's end, for a request that has ended."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        size = len(data)
        if (
            size > MAX_PAYLOAD
            or size > stream.window
            or size > self._window
            or stream.queue
            or stream.receiving
            or stream.finishing
            or not self._table_off_said
            or len(block) + len(trailers) > _MAX_BLOCK
        ):
            self.headers(stream_id, block, False)
            self.data(stream_id, data, False)
            self.headers(stream_id, trailers, True)
            return
        self._window -= size
        self._out += (
            write_head(len(block) << 8 | frames.HEADERS, frames.END_HEADERS, stream_id),
            block,
            write_head(size << 8 | frames.DATA, 0, stream_id),
            data,
            write_head(len(trailers) << 8 | frames.HEADERS, _LAST_HEADERS, stream_id),
            trailers,
        )
        self._forget(stream, ENDED)
