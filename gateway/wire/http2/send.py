"""The half of an HTTP/2 connection that speaks: what waits for the peer's windows, and the credit that it is given."""

from __future__ import annotations

from collections import OrderedDict, deque

from gateway.wire.http2 import frames
from gateway.wire.http2.frames import MAX_PAYLOAD, ErrorCode, write_head
from gateway.wire.http2.handler import Handler, Limits
from gateway.wire.http2.stream import Stream

LOW_MARK = 65_536
"""on_writable comes when a stream's queue has been longer than this many bytes, and no longer is."""

MAX_GONE = 2_000
"""This many ended streams, or twice as many, are remembered: what the peer sent before it knew may still come."""

# How a stream ended.
RESET_HERE, RESET_THERE, ENDED = 1, 2, 3

TABLE_OFF = b"\x20"
"""A table size update to 0, said in our first block: no later change of the peer's limit then asks anything of us."""


class Sending:
    """See http2.Connection, whose one half this is."""

    __slots__ = (
        "_blocked",
        "_client",
        "_connection_window",
        "_credit",
        "_draining",
        "_gone",
        "_gone_before",
        "_half_credit",
        "_half_stream_credit",
        "_handler",
        "_last_id",
        "_late",
        "_limits",
        "_next_id",
        "_out",
        "_over",
        "_peer_gone",
        "_peer_streams",
        "_peer_window",
        "_ready",
        "_streams",
        "_table_off_said",
        "_unconsumed",
        "_window",
        "_written",
        "closed",
        "let_go",
        "reason",
        "waiting",
    )

    def __init__(self, handler: Handler, *, client: bool, limits: Limits) -> None:
        if min(limits.stream_window, limits.connection_window) < frames.DEFAULT_WINDOW:
            raise ValueError(f"a window in {limits} is less than the {frames.DEFAULT_WINDOW} that each peer may assume")
        self.closed = False
        self.reason = ""
        self.let_go = 0  # bytes that the peer's windows held back, and then did not
        self.waiting = 0  # bytes that they hold back
        self._handler = handler
        self._client = client
        self._limits = limits
        self._out: list[bytes | memoryview] = []
        self._streams: dict[int, Stream] = {}
        self._blocked: dict[int, Stream] = {}  # those with a queue
        self._ready: OrderedDict[int, Stream] = OrderedDict()  # of those, the ones that their own window lets send
        self._gone: dict[int, int] = {}
        self._gone_before: dict[int, int] = {}
        self._late: dict[int, int] = {}  # unconsumed bytes of streams that have ended
        self._window = frames.DEFAULT_WINDOW
        self._peer_window = frames.DEFAULT_WINDOW
        self._peer_streams = 100  # what to assume before the peer's SETTINGS (RFC 9113, 6.5.2, recommends no less)
        self._credit = limits.connection_window
        self._half_credit = limits.connection_window // 2
        self._half_stream_credit = limits.stream_window // 2
        self._unconsumed = 0
        self._written = 0  # frames, or parts of them
        self._over = 0  # streams that have ended
        self._next_id = 1  # a client's next stream
        self._last_id = 0  # a server's latest
        self._peer_gone = False  # GOAWAY came
        self._draining = False  # our final GOAWAY is sent
        self._table_off_said = False

    def start(self) -> None:
        """Queue the preface (client) and our SETTINGS."""
        limits = self._limits
        pairs = [
            (frames.HEADER_TABLE_SIZE, 0),
            (frames.INITIAL_WINDOW_SIZE, limits.stream_window),
            (frames.MAX_HEADER_LIST_SIZE, limits.max_head_bytes),
        ]
        if self._client:
            self._out.append(frames.PREFACE)
            pairs.append((frames.ENABLE_PUSH, 0))
        else:
            pairs.append((frames.MAX_CONCURRENT_STREAMS, limits.max_streams))
        self._out.append(frames.settings(*pairs))
        if more := limits.connection_window - frames.DEFAULT_WINDOW:
            self._out.append(frames.window_update(0, more))

    def take(self) -> bytes:
        """What is to be written now; b"" if nothing."""
        out = self._out
        if not out:
            return b""
        data = b"".join(out)
        self._written += len(out)
        out.clear()
        return data

    @property
    def active(self) -> int:
        """Streams that are not over."""
        return len(self._streams)

    @property
    def exhausted(self) -> bool:
        """Client: no stream will ever be opened again (GOAWAY, ids used up, closed). Drop it once `active` is 0."""
        return self.closed or self._peer_gone or self._next_id > frames.MAX_STREAM_ID

    @property
    def can_open(self) -> bool:
        """Client: a stream may be opened now: not exhausted, and under the peer's MAX_CONCURRENT_STREAMS."""
        return (
            len(self._streams) < self._peer_streams
            and not self._peer_gone
            and not self.closed
            and self._next_id <= frames.MAX_STREAM_ID
        )

    def open(self, block: bytes, end_stream: bool) -> int:
        """Client: start a stream with this header block (joined `Field.raw`); its id. Call only if `can_open`."""
        stream_id = self._next_id
        self._next_id = stream_id + 2
        self._streams[stream_id] = Stream(
            stream_id, self._peer_window, self._limits.stream_window, sending=not end_stream, receiving=True
        )
        self._write_block(stream_id, block, end_stream)
        return stream_id

    def headers(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        """Server: the head of the answer. Either: trailers, with end_stream; they wait for the data before them."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.finishing or not stream.sending:
            return
        if stream.queue:
            stream.trailers = block
            stream.finishing = True
            return
        self._write_block(stream_id, block, end_stream)
        if end_stream:
            self._finished(stream)

    def data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        """Send, as far as both windows allow; the rest waits in its order (see `buffered`)."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.finishing or not stream.sending:
            return
        size = len(data)
        if not size and stream.queue:  # nothing to send but perhaps the end, which the last of the queue then bears
            stream.finishing = end_stream
            return
        if size <= MAX_PAYLOAD and size <= stream.window and size <= self._window and not stream.queue:
            stream.window -= size
            self._window -= size
            out = self._out
            out.append(write_head(size << 8, end_stream, stream_id))  # type DATA is 0, END_STREAM is 1
            out.append(data)
            if end_stream:
                self._finished(stream)
            return
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(memoryview(data))
        stream.queued += size
        self.waiting += size
        stream.finishing = end_stream
        self._blocked[stream_id] = stream
        if stream_id not in self._ready:
            while (more := self._push(stream)) and self._window > 0:
                pass
            if more:
                self._ready[stream_id] = stream
        stream.over_mark = stream.queued > LOW_MARK

    def buffered(self, stream_id: int) -> int:
        """Bytes given to `data` that the peer's windows hold back; 0 for a stream that is gone."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.queued

    def reset(self, stream_id: int, code: int) -> None:
        """End the stream now, dropping what is queued. No on_reset follows."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._drop(stream, code)

    @property
    def blocked(self) -> bool:
        """Whether the peer's windows hold anything back."""
        return bool(self._blocked)

    def _hold(self, stream: Stream, size: int) -> None:
        """The handler has not consumed what on_data brought."""
        if stream.id in self._streams:
            stream.unconsumed += size
        elif (self._gone.get(stream.id) or self._gone_before.get(stream.id)) == ENDED:
            self._late[stream.id] = self._late.get(stream.id, 0) + size
        else:
            return self._give_credit(None)  # it has reset the stream, and forgotten it
        self._unconsumed += size

    def consumed(self, stream_id: int, size: int) -> None:
        """The handler is done with `size` bytes of on_data that it held: give the peer credit for them."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            size = min(size, stream.unconsumed)
            stream.unconsumed -= size
            self._unconsumed -= size
            self._give_credit(stream)
        elif (late := self._late.pop(stream_id, 0)) > 0:
            size = min(size, late)
            if late > size:
                self._late[stream_id] = late - size
            self._unconsumed -= size
            self._give_credit(None)

    def ping(self) -> None:
        """Queue a PING; on_pong tells of its answer."""
        self._out.append(frames.frame(frames.PING, 0, 0, bytes(8)))

    def goaway(self, final: bool) -> None:
        """Server: drain, in two steps (RFC 9113, 6.8).

        False asks the peer to open no more streams; those under way are still taken. True, a round trip later, says
        which was the last: later ones are ignored, and the peer knows that it may send them elsewhere.
        """
        if final:
            self._draining = True
        last_id = self._last_id if final else frames.MAX_STREAM_ID
        self._out.append(frames.goaway(last_id, ErrorCode.NO_ERROR))

    def _write_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        if not self._table_off_said:
            self._table_off_said = True
            block = TABLE_OFF + block
        self._out.append(frames.header_frames(stream_id, block, end_stream))

    def _push(self, stream: Stream) -> bool:
        """Send one frame of what is queued; whether the stream's own window lets more follow."""
        queue = stream.queue
        if not queue:
            return False
        chunk = queue[0]
        room = min(MAX_PAYLOAD, stream.window, self._window)
        if len(chunk) <= max(room, 0):  # an empty one needs no window
            queue.popleft()
        elif room > 0:
            queue[0] = chunk[room:]
            chunk = chunk[:room]
        else:
            return stream.window > 0
        size = len(chunk)
        stream.window -= size
        self._window -= size
        stream.queued -= size
        self.waiting -= size
        self.let_go += size
        end = stream.finishing and not queue and stream.trailers is None
        self._out.append(write_head(size << 8, end, stream.id))
        self._out.append(chunk)
        if queue:
            return stream.window > 0
        del self._blocked[stream.id]
        if stream.trailers is not None:
            self._write_block(stream.id, stream.trailers, True)
        if stream.finishing:
            self._finished(stream)
        return False

    def _pump(self) -> None:
        """One frame from each stream in turn, of those that only the connection's window holds back, while it lasts.

        What a frame of the peer's makes this do is bounded by what the frame grants, however many streams wait.
        """
        ready = self._ready
        while ready and self._window > 0:
            self._push_ready(ready.popitem(last=False)[1])

    def _push_ready(self, stream: Stream) -> None:
        """Send one frame of a stream whose own window has room; if it has more, it goes to the end of the line."""
        more = self._push(stream)
        if stream.over_mark and stream.queued <= LOW_MARK:
            stream.over_mark = False
            if stream.id in self._streams:
                self._handler.on_writable(stream.id)
        if more and stream.id in self._blocked:  # the handler may have reset it
            self._ready[stream.id] = stream

    def _finished(self, stream: Stream) -> None:
        """Our END_STREAM is sent."""
        stream.sending = False
        if not stream.receiving:
            self._forget(stream, ENDED)
        elif not self._client:  # an early answer: the rest of the request is of no use (RFC 9113, 8.1)
            self._drop(stream, ErrorCode.NO_ERROR)

    def _drop(self, stream: Stream, code: int) -> None:
        """Reset it, and credit what the handler still holds of it."""
        self._out.append(frames.rst_stream(stream.id, code))
        self._abandon(stream, RESET_HERE)

    def _abandon(self, stream: Stream, how: int) -> None:
        self._unconsumed -= stream.unconsumed
        stream.unconsumed = 0
        self._forget(stream, how)
        self._give_credit(None)

    def _forget(self, stream: Stream, how: int) -> None:
        stream_id = stream.id
        del self._streams[stream_id]
        if stream.queue:
            self.waiting -= stream.queued
            self._blocked.pop(stream_id, None)
            self._ready.pop(stream_id, None)
        if stream.unconsumed:
            self._late[stream_id] = stream.unconsumed
        stream.sending = stream.receiving = False
        self._remember(stream_id, how)

    def _remember(self, stream_id: int, how: int) -> None:
        self._over += 1
        self._gone[stream_id] = how
        if len(self._gone) >= MAX_GONE:
            self._gone_before, self._gone = self._gone, {}

    def _give_credit(self, stream: Stream | None) -> None:
        """WINDOW_UPDATE for the stream and the connection, where half a window or more is neither granted nor held."""
        if stream is not None and stream.receiving:
            window = self._limits.stream_window
            due = window - stream.credit - stream.unconsumed
            if due * 2 >= window:
                stream.credit += due
                self._out.append(frames.window_update(stream.id, due))
        window = self._limits.connection_window
        due = window - self._credit - self._unconsumed
        if due * 2 >= window:
            self._credit += due
            self._out.append(frames.window_update(0, due))
