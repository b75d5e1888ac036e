"""Connections to an endpoint's REST port: one request at a time on each, the most recently used one first."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import monotonic
from typing import Protocol, cast

from gateway.refusal import Refusal
from gateway.settings import Settings
from gateway.stats.counters import EndpointSlot
from gateway.tasks import spawn
from gateway.upstream.connecting import connect
from gateway.upstream.failure import Failure, is_race
from gateway.wire.http1.answer_reader import AnswerReader
from gateway.wire.http1.heads import Head
from gateway.wire.limits import TURN_SECONDS

PORTION_BYTES = 16_384
DEAR_BYTES = 1024
"""Of a read, what is taken before the time is looked at; and once a turn was too short for it, as where it is
announcements or chunks of a byte, some microseconds each, of which one read may bring 80,000."""


class RestExchange(Protocol):
    """A request under way on a connection."""

    def cancel(self) -> None:
        """Nothing more is told of it."""
        ...

    def more(self, data: bytes | bytearray) -> bool:
        """Send more of a body that flows. False: the server takes no more now; `on_writable` tells when it does."""
        ...

    def pause(self) -> None:
        """Read no more of the answer for now."""
        ...

    def resume(self) -> None: ...


class RestRequester(Protocol):
    """Who sends a request over a connection and is told of its answer. `ended` or `failed` comes last, once."""

    exchange: RestExchange | None
    head_only: bool
    """The answer has no body, whatever its head says."""
    fresh: bool
    """It goes over no connection that was used before: its server may be closing that."""

    @property
    def flows(self) -> bool:
        """Only the head is sent; `opened` is told, and the body comes by the exchange's `more`."""
        ...

    def opened(self) -> None: ...
    def on_writable(self) -> None: ...

    @property
    def request(self) -> list[bytes | bytearray]:
        """The bytes to send."""
        ...

    def on_head(self, head: Head) -> None: ...
    def on_body(self, data: bytes) -> None: ...
    def flush(self) -> None:
        """What one read brought has been told; the answer goes on."""
        ...

    def ended(self) -> None: ...
    def failed(self, failure: Failure, *, sent: bool) -> None:
        """`sent`: the server may have seen the request."""
        ...


class RestPool:
    """The connections to one endpoint. `send` never waits: the requester is told what becomes of it."""

    def __init__(self, host: str, port: int, slot: EndpointSlot, settings: Settings) -> None:
        self._host = host
        self._port = port
        self.slot = slot
        self.settings = settings
        self._idle: list[_Connection] = []  # the most recently used one last
        self._waiting: OrderedDict[RestRequester, bool] = OrderedDict()  # whether it was on its way once
        self._count = 0
        self._left = 0  # callers that connections are being made for, and that have gone
        self._closed = False

    def send(self, requester: RestRequester) -> None:
        if self._idle and not requester.fresh:
            now = monotonic()
            connection = self._idle.pop()
            idle = now - connection.used
            if idle <= self.settings.upstream_idle_timeout:
                connection.send(requester, idle)
                return
            connection.close()
            self.sweep(now)  # the others were used before it
        self.connect_for(requester)

    def connect_for(self, requester: RestRequester, *, again: bool = False) -> None:
        """`again`: the server was closing the connection that it went over."""
        if self._count < self.settings.max_endpoint_connections:
            self._waiting[requester] = again
            self._count += 1
            spawn(self._connect(), "connect to a model server")
        else:
            requester.failed(Failure.FULL, sent=again)

    def cancel(self, requester: RestRequester) -> None:
        """Forget one that waits for a connection."""
        if requester in self._waiting:
            del self._waiting[requester]
            self._left += 1

    def sweep(self, now: float) -> None:
        while self._idle and now - self._idle[0].used > self.settings.upstream_idle_timeout:
            self._idle.pop(0).close()

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    async def _connect(self) -> None:
        connection = _Connection(self)
        try:
            await connect(lambda: connection, self._host, self._port, self.settings.connect_timeout)
        except (OSError, UnicodeError) as error:  # TimeoutError is one; a name that can't be one raises the other
            if connection.made:  # in the turn of the loop in which its time was over: it is closed, and not told so
                connection.connection_lost(error)
                return
            self._count -= 1
            if self._left:
                self._left -= 1
            elif self._waiting:
                requester, again = self._waiting.popitem(last=False)
                # If it was on its way before, that was no race: the server has died, and maybe over it.
                requester.failed(Failure.RESET if again else Failure.CONNECT, sent=again)

    def made(self, connection: _Connection) -> None:
        """Where the caller that it was made for has gone meanwhile, it is closed: a server of one thread would wait for
        a request on it, and for nobody else. Where he was given one that came free, it is kept."""
        if self._left and not self._waiting:
            self._left -= 1
            connection.close()
        else:
            self.idle(connection, fresh=True)

    def idle(self, connection: _Connection, *, fresh: bool = False) -> None:
        """A connection has nothing to do, or has had nothing yet: then it is `fresh`."""
        requester = next((requester for requester in self._waiting if fresh or not requester.fresh), None)
        if requester is not None:
            del self._waiting[requester]
            connection.send(requester)
        elif self._closed:
            connection.close()
        else:
            connection.used = monotonic()
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        self._count -= 1
        self.retire(connection)

    def retire(self, connection: _Connection) -> None:
        """It is to carry no further request."""
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    def __init__(self, pool: RestPool) -> None:
        self._pool = pool
        self._reader = AnswerReader(self, pool.settings.max_head_bytes)
        self._requester: RestRequester | None = None
        self._ended = False
        self._reusable = True
        self._paused = False
        self._choked = False  # the server does not take what it was sent
        self._late = b""  # has come, and waits to be taken
        self._late_from = 0
        self._portion = PORTION_BYTES
        self._waits = False  # for the next turn
        self._idle = 0.0  # the seconds that it was so before the request of which no byte has come back
        self._lost = False
        self.made = False
        self.used = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = True
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own has no common base
        self._pool.slot.connected()
        self._pool.made(self)

    def send(self, requester: RestRequester, idle: float = 0.0) -> None:
        """`idle`: the seconds since it was last used."""
        self._requester = requester
        self._idle = idle
        requester.exchange = self
        if requester.head_only:
            self._reader.bodiless = True
        self._transport.write(b"".join(requester.request))
        if requester.flows:
            self._reusable = False  # an answer may come before the body's end
            requester.opened()

    # What a requester may ask of its exchange.

    def cancel(self) -> None:
        """Give the request up. HTTP/1.1 has no way to say so but to end the connection."""
        self._requester = None
        self._transport.abort()

    def more(self, data: bytes | bytearray) -> bool:
        self._transport.write(data)
        return not self._choked

    def pause(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._read_on()

    def close(self) -> None:
        self._transport.close()

    # What the socket tells.

    def data_received(self, data: bytes) -> None:
        self._late = data
        self._take_late()

    def _take_late(self) -> None:
        """Take what has come, for as long as a turn is."""
        begin = monotonic()
        while self._late:
            late, end = self._late, self._late_from + self._portion
            portion = late[self._late_from : end]
            self._late, self._late_from = (late, end) if end < len(late) else (b"", 0)
            self._take(portion)
            if self._transport.is_closing():
                self._late, self._late_from = b"", 0
            elif self._late and monotonic() - begin > TURN_SECONDS:
                self._portion = DEAR_BYTES
                self._waits = True
                self._transport.pause_reading()
                asyncio.get_running_loop().call_soon(self._take_late)
                return
        if self._waits:
            self._waits = False
            self._read_on()

    def _read_on(self) -> None:
        if not self._paused and not self._waits and not self._transport.is_closing():
            self._transport.resume_reading()

    def _take(self, data: bytes) -> None:
        requester = self._requester
        if requester is None:
            self._pool.retire(self)
            self._transport.abort()  # an answer that nobody asked for
            return
        self._idle = 0.0
        try:
            self._reader.receive(data)
        except Refusal:
            self._reusable = False  # what came before may be a whole answer
            if not self._ended and self._requester is requester:
                self._requester = None
                self._transport.abort()
                requester.failed(Failure.GARBAGE, sent=True)
                return
        if self._requester is not requester:
            return  # it gave up while being told
        if self._ended:
            self._end(requester)
        else:
            requester.flush()

    def _end(self, requester: RestRequester) -> None:
        self._requester = None
        requester.exchange = None  # what it writes now may choke its client, and is not to pause the next one here
        self._ended = False
        self.resume()
        transport = self._transport
        # An answer may come before the whole request was taken; who knows whether the rest ever is.
        # Nor whose what has come late is.
        in_step = self._reusable and not self._late and not transport.is_closing()
        if in_step and not transport.get_write_buffer_size():
            self._pool.idle(self)
        else:
            transport.abort()
        requester.ended()

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        if self._requester is not None and self._requester.flows:
            self._requester.on_writable()

    def eof_received(self) -> None:
        self._pool.retire(self)  # the transport closes itself; connection_lost tells, but only in the loop's next turn

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._late = b""
        self._pool.slot.disconnected()
        self._pool.lost(self)
        requester, self._requester = self._requester, None
        if requester is None:
            self._reader.lost()
            return
        whole = exc is None and self._reader.end_of_stream()
        self._reader.lost()
        if whole:
            requester.exchange = None
            requester.ended()
        elif is_race(self._idle, monotonic() - self.used - self._idle, closed=exc is None):
            requester.exchange = None
            requester.fresh = True
            self._pool.connect_for(requester, again=True)
        else:
            requester.failed(Failure.RESET, sent=True)

    # What the reader tells.

    def on_head(self, head: Head) -> None:
        if self._ended:
            self._reusable = False  # a second answer to one request: this connection is out of step
        elif self._requester is not None:
            self._requester.on_head(head)

    def on_body(self, data: bytes) -> None:
        if self._requester is not None and not self._ended:
            self._requester.on_body(data)

    def on_end(self) -> None:
        self._ended = True
        self._reusable = self._reusable and not self._reader.closing
