"""The frames that are about an HTTP/2 connection and its streams, not of a message; and what follows from errors."""

from __future__ import annotations

from gateway.wire.http2 import frames
from gateway.wire.http2.frames import MAX_PAYLOAD, MAX_STREAM_ID, MAX_WINDOW, ErrorCode
from gateway.wire.http2.handler import Handler, Limits
from gateway.wire.http2.header_blocks import FIELD_OVERHEAD, Decoder
from gateway.wire.http2.send import RESET_HERE, RESET_THERE, Sending
from gateway.wire.http2.stream import Stream
from gateway.wire.limits import MAX_FIELDS

FLOOD_BURST = 10_000
"""What a peer may cost beyond FLOOD_PER_SECOND before it is told to calm down. A cheap frame that carries no message
costs 1 (peers that measure their bandwidth ping once a round trip), a WINDOW_UPDATE only where it answers nothing that
was written; SETTINGS, and a stream that comes to nothing (reset, refused, malformed), cost FLOOD_DEAR; more the streams
whose windows SETTINGS move, and heads that are too large."""
FLOOD_PER_SECOND = 10_000
FLOOD_DEAR = 10
"""A request that is read and then reset (CVE-2023-44487) has cost that much more than a PING."""
FEW_RESETS = 500
"""So many of its requests a client may give up young, whatever it does, and above that nine of ten: a model server has
begun each, and it costs the client nothing. Who asks several and takes the fastest answer gives up most of them."""
YOUNG_SECONDS = 1.0
"""Who waited for longer has waited, and is no attacker (Envoy's measure, too)."""


class Control(Sending):
    """See http2.Connection, a part of which this is."""

    __slots__ = ("_charged_at", "_debt", "_decoder", "_expect", "_now", "_resets", "_updates")

    def __init__(self, handler: Handler, *, client: bool, limits: Limits) -> None:
        super().__init__(handler, client=client, limits=limits)
        most = limits.max_head_bytes // FIELD_OVERHEAD
        self._decoder = Decoder(limits.max_head_bytes, most if client else min(most, MAX_FIELDS))
        self._expect: int | None = frames.SETTINGS  # the one type of frame that may come now
        self._now = self._charged_at = 0.0
        self._debt = 0.0
        self._resets = 0  # young streams that the peer has reset
        self._updates = 0  # WINDOW_UPDATEs that answered what was written

    def _priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            self._fail(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        elif len(payload) != 5:
            self._fail(ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes")
        else:
            self._charge(1)
            self._depend(stream_id, payload)

    def _depend(self, stream_id: int, payload: bytes) -> None:
        """Priorities are not followed (RFC 9113 has given them up), but one error in them is still told."""
        if len(payload) >= 4 and frames.read_number(payload) & MAX_STREAM_ID == stream_id:
            self._fail(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} depends on itself")

    def _rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            return self._fail(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        if self._is_idle(stream_id):
            return self._fail(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle")
        self._charge(1 if self._client else FLOOD_DEAR)
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._abandon(stream, RESET_THERE)
            if not self._client and self._now - stream.opened < YOUNG_SECONDS:
                self._resets += 1
                if self._resets > FEW_RESETS and self._resets * 10 > self._over * 9:
                    message = f"{self._resets} of {self._over} requests were given up at once"
                    self._fail(ErrorCode.ENHANCE_YOUR_CALM, message)
            code = frames.read_number(payload)
            if not stream.mute:
                self._handler.on_reset(stream_id, code, code == ErrorCode.REFUSED_STREAM)

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            return self._fail(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if flags & frames.ACK:
            if payload:
                return self._fail(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
            if self._expect is not None:
                return self._fail(ErrorCode.PROTOCOL_ERROR, "an acknowledgement before any SETTINGS")
            self._charge(1)
            return self._decoder.table_off()
        if len(payload) % 6:
            return self._fail(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        if self._expect is not None:
            self._expect = None
            self._peer_streams = MAX_STREAM_ID  # no limit, unless these SETTINGS name one
        self._charge(FLOOD_DEAR + len(payload) // 60)
        window = self._peer_window
        for setting, value in frames.read_settings(payload):
            if setting == frames.INITIAL_WINDOW_SIZE:
                window = value
            else:
                self._apply(setting, value)
        if window != self._peer_window:
            self._move_windows(window)
        if self.closed:
            return
        self._out.append(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        self._pump()
        self._handler.on_settings()

    def _apply(self, setting: int, value: int) -> None:
        """One of the peer's settings. HEADER_TABLE_SIZE asks nothing of us: what we send uses no table."""
        if setting == frames.MAX_CONCURRENT_STREAMS:
            self._peer_streams = value
        elif setting == frames.ENABLE_PUSH and value > (0 if self._client else 1):
            self._fail(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")
        elif setting == frames.MAX_FRAME_SIZE and not MAX_PAYLOAD <= value < 1 << 24:
            self._fail(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}")

    def _move_windows(self, initial: int) -> None:
        """INITIAL_WINDOW_SIZE, which moves the windows of all open streams (RFC 9113, 6.9.2): once for a frame, however
        often it names one."""
        self._charge(len(self._streams) // 10)
        change = initial - self._peer_window
        self._peer_window = initial
        for stream in self._streams.values():
            stream.window += change
        if initial > MAX_WINDOW or any(stream.window > MAX_WINDOW for stream in self._streams.values()):
            self._fail(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {initial} makes a window too large")
        self._ready.update((stream.id, stream) for stream in self._blocked.values() if stream.window > 0)

    def _push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._fail(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which our SETTINGS forbid or which a client sent")

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            self._fail(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        elif len(payload) != 8:
            self._fail(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        elif flags & frames.ACK:
            self._charge(1)
            self._handler.on_pong()
        else:
            self._charge(1)
            if not self.closed:
                self._out.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            return self._fail(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if len(payload) < 8:
            return self._fail(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
        self._charge(1)
        self._peer_gone = True
        last_id = frames.read_number(payload) & MAX_STREAM_ID
        left_out = [stream for stream in self._streams.values() if stream.id > last_id] if self._client else []
        for stream in left_out:
            if stream.id in self._streams:  # the handler may have ended it on hearing of another
                self._abandon(stream, RESET_HERE)
                self._handler.on_reset(stream.id, ErrorCode.REFUSED_STREAM, True)
        self._handler.on_goaway(last_id, frames.read_number(payload[4:8]))

    def _window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            return self._fail(ErrorCode.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes")
        more = frames.read_number(payload) & MAX_WINDOW
        if self._updates < self._written:
            self._updates += 1  # the peer has taken what was written
        else:
            self._charge(1)
            if self.closed:
                return
        if not stream_id:
            self._window += more
            if not more:
                self._fail(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            elif self._window > MAX_WINDOW:
                self._fail(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is above 2^31 - 1")
            else:
                self._pump()
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                self._fail(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which is idle")
            return
        stream.window += more
        if not more:
            self._mistake(stream, ErrorCode.PROTOCOL_ERROR)
        elif stream.window > MAX_WINDOW:
            self._mistake(stream, ErrorCode.FLOW_CONTROL_ERROR)
        elif stream.queue and stream.window > 0:
            self._ready[stream.id] = stream
            self._pump()

    def _mistake(self, stream: Stream, code: ErrorCode) -> None:
        """A stream error (RFC 9113, 5.4.2) on a stream that the handler knows."""
        self._charge(FLOOD_DEAR)
        if self.closed:
            return
        self._drop(stream, code)
        if not stream.mute:
            self._handler.on_reset(stream.id, code, False)

    def _refuse(self, stream_id: int, code: ErrorCode) -> None:
        """A stream error on one that the handler does not know."""
        self._out.append(frames.rst_stream(stream_id, code))
        self._remember(stream_id, RESET_HERE)
        self._charge(FLOOD_DEAR)

    def _fail(self, code: ErrorCode, reason: str) -> None:
        """A connection error (RFC 9113, 5.4.1)."""
        if self.closed:
            return
        self.closed = True
        self.reason = f"{code.name}: {reason}"
        self.waiting = 0
        self._streams.clear()
        self._blocked.clear()
        self._ready.clear()
        self._late.clear()
        self._out.append(frames.goaway(self._last_id, code, reason.encode()))

    def calm_down(self, reason: str) -> None:
        """End the connection, whose peer asks for too much: as an error of its."""
        self._fail(ErrorCode.ENHANCE_YOUR_CALM, reason)

    def lost(self) -> None:
        """The transport is gone: nothing is received or told any more. Without it, handler and connection would keep
        each other in memory until the next collection of cycles."""
        self.closed = True
        self._streams.clear()
        self._blocked.clear()
        self._ready.clear()
        self._late.clear()
        self._out.clear()
        del self._handler

    def _charge(self, cost: int) -> None:
        """The flood guard: a debt that time pays off."""
        paid = (self._now - self._charged_at) * FLOOD_PER_SECOND
        self._charged_at = self._now
        self._debt = max(self._debt - paid, 0) + cost
        if self._debt > FLOOD_BURST:
            self._fail(ErrorCode.ENHANCE_YOUR_CALM, "too much that carries no message")

    def _is_idle(self, stream_id: int) -> bool:
        if not stream_id & 1:
            return True  # stream 0 and those that only a push could open
        return stream_id >= self._next_id if self._client else stream_id > self._last_id

    def _how_gone(self, stream_id: int) -> int | None:
        return self._gone.get(stream_id) or self._gone_before.get(stream_id)
