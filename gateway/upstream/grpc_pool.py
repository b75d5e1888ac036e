"""Connections to an endpoint's gRPC port: many requests at a time on each."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from time import monotonic
from typing import Protocol, cast

from gateway.settings import Settings
from gateway.stats.counters import EndpointSlot
from gateway.tasks import spawn
from gateway.upstream.connecting import connect
from gateway.upstream.failure import Failure, is_race
from gateway.wire.http2.connection import LOW_MARK, Connection, Limits
from gateway.wire.http2.fields import Fields
from gateway.wire.http2.frames import ErrorCode
from gateway.wire.limits import FULL_READ_BYTES, TURN_SECONDS

STREAM_WINDOW = 256 << 10
"""What an answer that its client does not take may hold of this gateway's memory."""

CONNECTION_WINDOW = 1024 * STREAM_WINDOW
"""A thousand such answers stall nobody."""


class GrpcExchange(Protocol):
    """A connection with requests under way on it, each on a stream."""

    def cancel(self, stream_id: int) -> None:
        """Nothing more is told of that one."""
        ...

    def consumed(self, stream_id: int, size: int) -> None:
        """Bytes of the answer take up memory no longer: the server may send as many more."""
        ...

    def more(self, stream_id: int, data: bytes, end: bool) -> bool:
        """Send more of a request that flows. False: it waits for the server, until `on_writable`."""
        ...


class GrpcRequester(Protocol):
    """Who sends a request over a connection and is told of its answer. What ends it, or `failed`, comes last, once."""

    exchange: GrpcExchange | None

    stream_id: int

    @property
    def flows(self) -> bool:
        """Only the header block is sent; `opened` is told, and the rest comes by the exchange's `more`."""
        ...

    def opened(self) -> None: ...
    def on_writable(self) -> None: ...

    @property
    def request(self) -> tuple[bytes, bytes]:
        """The header block and the framed message to send."""
        ...

    def on_head(self, fields: Fields, end: bool) -> None: ...
    def on_answer(self, fields: Fields, data: bytes, trailers: Fields) -> None:
        """The whole answer, in one instead of the three."""
        ...

    def on_data(self, data: bytes, end: bool) -> bool:
        """Whether it is passed on. If not, the exchange's `consumed` is called once it is."""
        ...

    def on_trailers(self, fields: Fields) -> None: ...
    def on_reset(self, code: int) -> None:
        """The stream has ended, with this code of HTTP/2's, and the connection goes on."""
        ...

    def failed(self, failure: Failure, *, sent: bool) -> None:
        """`sent`: the server may have seen the request."""
        ...


class GrpcPool:
    """The connections to one endpoint: one, until the server's MAX_CONCURRENT_STREAMS asks for more.

    `send` never waits: the requester is told what becomes of it.
    """

    def __init__(self, host: str, port: int, slot: EndpointSlot, settings: Settings) -> None:
        self._host = host
        self._port = port
        self.slot = slot
        self.settings = settings
        self._connections: list[_Connection] = []
        self._connecting = False
        self.waiting: OrderedDict[GrpcRequester, bool] = OrderedDict()  # whether it was on its way once
        self.closed = False

    def send(self, requester: GrpcRequester, *, again: bool = False) -> None:
        """`again`: the server was closing the connection that it went over."""
        for connection in self._connections:
            if connection.wire.can_open:
                connection.send(requester)
                return
        if len(self.waiting) >= self.settings.max_endpoint_waiting:
            requester.failed(Failure.FULL, sent=again)
            return
        self.waiting[requester] = again
        self._connect_if_needed()

    def cancel(self, requester: GrpcRequester) -> None:
        """Forget one that waits for a connection."""
        self.waiting.pop(requester, None)

    def sweep(self, now: float) -> None:
        for connection in self._connections[:]:
            connection.sweep(now)

    def close(self) -> None:
        self.closed = True
        for connection in self._connections[:]:
            connection.close_if_done()

    def _connect_if_needed(self) -> None:
        if not self._connecting and len(self._connections) < self.settings.max_endpoint_grpc_connections:
            self._connecting = True
            spawn(self._connect(), "connect to a model server")

    async def _connect(self) -> None:
        connection = _Connection(self)
        try:
            await connect(lambda: connection, self._host, self._port, self.settings.connect_timeout)
            await connection.greeted()
        except (OSError, UnicodeError) as error:  # TimeoutError is one; a name that can't be one raises the other
            if connection in self._connections:
                connection.give_up(error)
                return
            connection.give_up(error)
            self._connecting = False
            if not self._connections:
                waiting, self.waiting = self.waiting, OrderedDict()
                for requester, again in waiting.items():
                    # If it was on its way before, that was no race: the server has died, and maybe over it.
                    requester.failed(Failure.RESET if again else Failure.CONNECT, sent=again)

    def joined(self, connection: _Connection) -> None:
        self._connecting = False
        self._connections.append(connection)
        self.serve(connection)

    def serve(self, connection: _Connection) -> None:
        """A connection may have room for what waits."""
        while self.waiting and connection.wire.can_open:
            connection.send(self.waiting.popitem(last=False)[0])
        if self.waiting:
            self._connect_if_needed()
        elif self.closed:
            connection.close_if_done()

    def retire(self, connection: _Connection) -> None:
        """It opens no more streams; those it has go on."""
        if connection in self._connections:
            self._connections.remove(connection)
        if self.waiting:
            self._connect_if_needed()


class _Connection(asyncio.Protocol):
    def __init__(self, pool: GrpcPool) -> None:
        limits = Limits(
            max_head_bytes=pool.settings.max_head_bytes,
            stream_window=STREAM_WINDOW,
            connection_window=CONNECTION_WINDOW,
        )
        self._pool = pool
        self.wire = Connection(self, client=True, limits=limits)
        self._requesters: dict[int, GrpcRequester] = {}
        self._flushing = False
        self._received_at = 0.0
        self._idle = 0.0  # the seconds that it was so before the first request of which no byte has come back
        self._retired = False  # the server takes no more streams
        self._open = False
        self._loop = asyncio.get_running_loop()
        self._greeting: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own has no common base
        self._open = True
        _give_up_after(self._pool.settings.read_timeout, transport.get_extra_info("socket"))
        self._pool.slot.connected()
        self.wire.start()
        self._touch()

    async def greeted(self) -> None:
        """Until the server's SETTINGS are there: before, it may be no server, or take fewer streams than wait.

        Raises OSError: they don't come.
        """
        try:
            async with asyncio.timeout(self._pool.settings.read_timeout):
                await self._greeting
        except TimeoutError:
            self._transport.abort()
            raise

    def give_up(self, error: Exception) -> None:
        """It was too long in coming, even if it came in the turn of the loop in which its time was over: then it is
        closed, and not told so."""
        self._greeting.cancel()
        self.connection_lost(error)

    def send(self, requester: GrpcRequester) -> None:
        block, message = requester.request
        wire = self.wire
        flows = requester.flows
        stream_id = wire.open(block, False) if flows else wire.request(block, message)
        if not self._requesters:
            self._idle = monotonic() - self._received_at if stream_id > 1 else 0.0
        self._requesters[stream_id] = requester
        requester.stream_id = stream_id
        requester.exchange = self
        self._touch()
        if flows:
            requester.opened()

    # What a requester may ask of its exchange.

    def cancel(self, stream_id: int) -> None:
        if self._requesters.pop(stream_id, None) is not None:
            self.wire.reset(stream_id, ErrorCode.CANCEL)
            self._touch()
            self._ended()

    def consumed(self, stream_id: int, size: int) -> None:
        self.wire.consumed(stream_id, size)
        self._touch()

    def more(self, stream_id: int, data: bytes, end: bool) -> bool:
        wire = self.wire
        wire.data(stream_id, data, end)
        self._touch()
        return not wire.blocked or wire.buffered(stream_id) <= LOW_MARK

    def _ended(self) -> None:
        """A stream is over: there may be room for another."""
        pool = self._pool
        if pool.waiting or pool.closed:
            pool.serve(self)
        if self._retired:
            self.close_if_done()

    def close_if_done(self) -> None:
        if not self._requesters:
            self._pool.retire(self)
            self._transport.close()

    def sweep(self, now: float) -> None:
        if not self._requesters and now - self._received_at > self._pool.settings.upstream_grpc_idle_timeout:
            self.close_if_done()

    # Writing: once for all that one turn of the loop brings.

    def _touch(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if (out := self.wire.take()) and not self._transport.is_closing():
            self._transport.write(out)
        if self.wire.closed:
            self._transport.close()

    # What the socket tells.

    def data_received(self, data: bytes) -> None:
        self._received_at = now = monotonic()
        self._idle = 0.0
        self._take(data, now)
        if not self.wire.behind and len(data) >= FULL_READ_BYTES:
            self._transport.pause_reading()
            self._loop.call_soon(self._read_on)

    def _take(self, data: bytes, now: float) -> None:
        """Take what came, for as long as a turn is."""
        wire, until = self.wire, now + TURN_SECONDS
        wire.receive(data, now)
        while wire.behind and monotonic() < until:
            wire.receive(b"", now)
        self._touch()
        if wire.behind:
            self._transport.pause_reading()
            self._loop.call_soon(self._take_late)

    def _take_late(self) -> None:
        if self._open:
            self._take(b"", monotonic())
            if not self.wire.behind:
                self._read_on()

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._open:
            return
        self._open = False
        self._pool.slot.disconnected()
        if not self._greeting.done():
            self._greeting.set_exception(ConnectionResetError())
        self._pool.retire(self)
        requesters, self._requesters = self._requesters, {}
        failure = Failure.GARBAGE if self.wire.closed else Failure.RESET
        self.wire.lost()
        raced = is_race(self._idle, monotonic() - self._received_at - self._idle, closed=exc is None)
        for requester in requesters.values():
            if raced and not requester.flows:
                requester.exchange = None
                self._pool.send(requester, again=True)
            else:
                requester.failed(failure, sent=True)

    # What the wire tells.

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        requester = self._requesters.get(stream_id)
        if requester is not None:
            if end_stream:
                del self._requesters[stream_id]
                self._ended()
            requester.on_head(fields, end_stream)

    def on_oversize(self, stream_id: int) -> None:
        """Only servers are told."""

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None:
        """Only servers are told."""

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None:
        requester = self._requesters.pop(stream_id, None)
        if requester is not None:
            self._ended()
            requester.on_answer(fields, data, trailers)

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        requester = self._requesters.get(stream_id)
        if requester is None:
            return True
        if end_stream:
            del self._requesters[stream_id]
            self._ended()
        return requester.on_data(data, end_stream)

    def on_trailers(self, stream_id: int, fields: Fields) -> None:
        requester = self._requesters.pop(stream_id, None)
        if requester is not None:
            self._ended()
            requester.on_trailers(fields)

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None:
        requester = self._requesters.pop(stream_id, None)
        if requester is not None:
            self._ended()
            if refused:
                requester.failed(Failure.REFUSED, sent=False)
            else:
                requester.on_reset(code)

    def on_writable(self, stream_id: int) -> None:
        requester = self._requesters.get(stream_id)
        if requester is not None:
            requester.on_writable()

    def on_goaway(self, last_id: int, code: int) -> None:
        self._retired = True
        self._pool.retire(self)
        self.close_if_done()

    def on_settings(self) -> None:
        if self._greeting.done():
            self._pool.serve(self)
        else:
            self._greeting.set_result(None)
            self._pool.joined(self)

    def on_pong(self) -> None:
        """It is never asked: see `_give_up_after`."""


def _give_up_after(seconds: float, connection: socket.socket) -> None:
    """Have the kernel end a connection whose peer's machine is gone.

    Not by PING: gRPC's servers take those of a call that is long in answering for an attack, and hang up.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(seconds)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(seconds / 4)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 2000))
