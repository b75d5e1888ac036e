"""gRPC over HTTP/2: a client's connection, and the calls on its streams."""

from __future__ import annotations

import asyncio
from time import monotonic

from gateway.downstream.connections import Clients
from gateway.downstream.grpc_call import GrpcCall
from gateway.downstream.turns import TurnTaker
from gateway.forwarder import Forwarder
from gateway.memory_budget import MemoryShare
from gateway.refusal import Code, Refusal
from gateway.wire.forwarded import FORWARDED, X_FORWARDED_FOR
from gateway.wire.http2.connection import Connection, Limits
from gateway.wire.http2.fields import Fields, values
from gateway.wire.limits import FULL_READ_BYTES, MAX_FIELDS, TURN_SECONDS

LINGER_SECONDS = 2.0
"""How long a client that broke the rules has to take what it was sent, and why its connection ends."""

DROPPED_BYTES = 1 << 20
"""So much of what it still sends is read meanwhile."""

PACE = 10
"""A client has this many times the time that a request has to take all the answers that wait for it: slow networks
are let be, and who takes a byte now and then is not."""


class GrpcConnection(TurnTaker, asyncio.Protocol):
    """One connection."""

    def __init__(
        self, forwarder: Forwarder, clients: Clients, transport: asyncio.Transport, share: MemoryShare, proxied: bool
    ) -> None:
        """`share`: its own. `proxied`: its requests may say whose they are."""
        settings = forwarder.settings
        self.forwarder = forwarder
        self.wire = Connection(self, client=False, limits=Limits(max_head_bytes=settings.max_head_bytes))
        self._share = share
        self._proxied = proxied
        self._clients = clients
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self._calls: dict[int, GrpcCall] = {}
        self._flushing = False
        self.turns = clients.turns
        self.now = monotonic()  # when the client was last heard
        self.paused = False  # the client does not read
        jitter = 0.9 + 0.2 * forwarder.random()  # else all that were made at once would come back at once
        self._old_at = self.now + jitter * settings.max_connection_age
        self._leave_by: float | None = None  # it has been asked to go
        self._left = False  # and will send no more calls
        self._written = 0  # bytes given to the transport
        self._unread = 0  # bytes of answers that the client has not taken, as its share has them
        self._taken = 0  # bytes that it had taken when it last had taken enough
        self._took = self.now  # when that was, or nothing was waiting
        self._lingering: asyncio.TimerHandle | None = None  # its connection has ended, and it may read why
        self._dropped = 0  # bytes that came since
        self.wire.start()
        if clients.draining:
            self.drain()

    # What the socket tells.

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._dropped += len(data)
            if self._dropped > DROPPED_BYTES:
                self.transport.pause_reading()
            return
        self.now = now = monotonic()
        if not self.joins(data):
            self._receive(data, now)

    def _receive(self, data: bytes, begin: float) -> None:
        """Take what came, for as long as a turn is, from `begin` on."""
        wire = self.wire
        wire.receive(data, self.now)
        if wire.behind:
            until = begin + TURN_SECONDS
            while wire.behind and monotonic() < until:
                wire.receive(b"", self.now)
            if wire.behind:
                self.wait()
        elif len(data) >= FULL_READ_BYTES:
            self.transport.pause_reading()
            self.loop.call_soon(self._read_on)
        self.touch()

    def take_turn(self) -> None:
        if not self._halted:
            late, self.late = self.late, b""
            self._receive(late, monotonic())
            self._read_on()

    def _read_on(self) -> None:
        if not self.waits and not self._halted and not self.transport.is_closing():
            self.transport.resume_reading()

    @property
    def _halted(self) -> bool:
        """A client that does not read is not read, unless all that it sends is dropped."""
        return self.paused and self._lingering is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.remove(self)
        self._give_up_calls()
        self.wire.lost()
        if self._lingering is not None:
            self._lingering.cancel()

    def _give_up_calls(self) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.cancelled()
            call.release()
        self._share.add(-self._unread)
        self._unread = 0

    def pause_writing(self) -> None:
        self.paused = True
        self.transport.pause_reading()  # else the answers to its own PINGs would pile up

    def resume_writing(self) -> None:
        self.paused = False
        if self.wire.behind or self.late:
            self.wait()
        else:
            self._read_on()
        for call in self._calls.values():
            call.on_writable()

    # Writing: once for all that one turn of the loop brings.

    def touch(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        wire, transport = self.wire, self.transport
        if transport.is_closing() or self._lingering is not None:
            return
        if out := wire.take():
            self._written += len(out)
            transport.write(out)
        if self.paused or self._unread or wire.waiting:
            self._count_unread()
        if wire.closed:
            self._end()
        elif self._left and not self._calls and not wire.active:
            transport.close()

    def _end(self) -> None:
        """The client broke the rules. What it still sends is dropped: closing at once would reset the connection, and
        with that take away what says why."""
        wire, transport = self.wire, self.transport
        transport.write(wire.take())
        self.forwarder.log_failure("client's connection ended", reason=wire.reason, caller=self._share.caller)
        self._give_up_calls()
        self._lingering = self.loop.call_later(LINGER_SECONDS, transport.abort)
        transport.write_eof()

    def _count_unread(self) -> None:
        """Have what the client has not taken of its answers in its share. Where that is too little, the client has to
        begin anew: what it was to get is there already, and nothing but its reading can make it less."""
        wire = self.wire
        unread = wire.waiting + (self.transport.get_write_buffer_size() if self.paused else 0)
        more, self._unread = unread - self._unread, unread
        if more > 0 and not self._share.allows(more):
            wire.calm_down(f"{unread} bytes of answers wait to be read")
        self._share.add(more)

    def over(self, call: GrpcCall) -> None:
        """The call's answer is given to the wire."""
        self._calls.pop(call.client_stream, None)
        call.release()
        self.touch()

    def sweep(self, now: float) -> None:
        if self._lingering is not None:
            return
        buffer = self.transport.get_write_buffer_size()
        waiting = self.wire.waiting
        taken = self.wire.let_go if waiting else self._written - buffer
        waiting = waiting or buffer
        if taken < self._taken or (taken - self._taken) * PACE >= waiting:
            self._taken = taken
            self._took = now
        elif now - self._took > self.forwarder.settings.timeout:
            self.transport.abort()  # it reads next to nothing, and its answers take up memory
            return
        if now > self._old_at:
            self._part(now)
        if self._calls:
            for call in list(self._calls.values()):
                call.sweep(now)
            return
        if self._leave_by is None:
            if now - self.now > self.forwarder.settings.idle_timeout:
                self._part(now)
        elif now > self._leave_by and not self.wire.waiting:
            self.transport.close()

    def drain(self) -> None:
        self._part(monotonic())

    def expel(self, refusal: Refusal) -> None:
        for call in list(self._calls.values()):
            call.expel(refusal)

    @property
    def idle_since(self) -> float | None:
        busy = self._calls or self.wire.active or self._lingering is not None or self.transport.get_write_buffer_size()
        return None if busy else self.now

    def close(self) -> None:
        self.wire.goaway(True)
        self.transport.write(self.wire.take())
        self.transport.close()

    def _part(self, now: float) -> None:
        """Ask the client to send no more calls here. Those that cross with that are answered still."""
        if self._leave_by is None:
            self._leave_by = now + self.forwarder.settings.read_timeout
            self.wire.goaway(False)
            self.wire.ping()  # its answer shows that the client has seen the first GOAWAY
            self.touch()

    # What the wire tells.

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        share = self._share_of(fields) if self._proxied else self._share
        call = self._calls[stream_id] = GrpcCall(self, stream_id, share)
        if call.on_request(fields):
            call.gather(end_stream)

    def _share_of(self, fields: Fields) -> MemoryShare:
        """Whose the request is, as a proxy says."""
        forwarded, x_forwarded_for = values(fields, FORWARDED), values(fields, X_FORWARDED_FOR)
        return self.forwarder.share_of(self._share, forwarded, x_forwarded_for)

    def on_oversize(self, stream_id: int) -> None:
        limit = f"{self.forwarder.settings.max_head_bytes} bytes or {MAX_FIELDS} fields"
        call = self._calls[stream_id] = GrpcCall(self, stream_id, self._share)
        call.turn_away(Refusal(Code.RESOURCE_EXHAUSTED, "head_too_large", f"the metadata are over {limit}"))

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None:
        share = self._share_of(fields) if self._proxied else self._share
        call = self._calls[stream_id] = GrpcCall(self, stream_id, share)
        if call.on_request(fields):
            call.on_request_data(data, True)

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None:
        """Only clients are told."""

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        call = self._calls.get(stream_id)
        return call is None or call.on_request_data(data, end_stream)

    def on_trailers(self, stream_id: int, fields: Fields) -> None:
        call = self._calls.get(stream_id)
        if call is not None:
            call.on_request_data(b"", True)

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None:
        call = self._calls.pop(stream_id, None)
        if call is not None:
            call.cancelled()
            call.release()

    def on_writable(self, stream_id: int) -> None:
        call = self._calls.get(stream_id)
        if call is not None:
            call.on_writable()

    def on_goaway(self, last_id: int, code: int) -> None:
        """The client opens no more streams; it will close when it has its answers."""

    def on_settings(self) -> None:
        """A server opens no streams."""

    def on_pong(self) -> None:
        if self._leave_by is not None and not self._left:
            self._left = True
            self.wire.goaway(True)
            self.touch()
