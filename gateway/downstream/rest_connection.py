"""REST over HTTP/1.1: a client's connection, and the calls that come on it one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from gateway.call import STREAMED_BYTES
from gateway.downstream.connections import DRAIN_IDLE_SECONDS, Clients
from gateway.downstream.rest_call import RestCall, error_answer
from gateway.downstream.turns import PORTION_BYTES, TurnTaker
from gateway.forwarder import Forwarder
from gateway.memory_budget import MemoryShare
from gateway.protocols import registry
from gateway.refusal import Code, Refusal
from gateway.wire.forwarded import FORWARDED, X_FORWARDED_FOR
from gateway.wire.http1.heads import CONTINUE, Head, values
from gateway.wire.http1.request_reader import RequestReader
from gateway.wire.limits import FULL_READ_BYTES, TURN_SECONDS

_MOST_WAITING = 32
"""Pipelined requests that are taken in before their turn. While more wait nothing is read, so a client that has gone is
noticed no sooner than their deadlines come."""

_PORTION_CALLS = 8
"""Calls that are started at once where each is answered at once: refusals take some 80 microseconds."""

_SMALL_BYTES = 1024
"""Of a piece of a body."""

_LINGER_SECONDS = 2.0
"""How long what still comes after the last answer is read and dropped, so that closing resets nothing that the client
has yet to read (RFC 9112, 9.6), if it does not close first."""

_UNREAD_BYTES = 64 << 20
"""How much of it."""


class RestConnection(TurnTaker, asyncio.Protocol):
    """One connection. Requests are gathered whole; pipelined ones wait for their turn."""

    def __init__(
        self, forwarder: Forwarder, clients: Clients, transport: asyncio.Transport, share: MemoryShare, proxied: bool
    ) -> None:
        """`share`: its own. `proxied`: its requests may say whose they are."""
        self.forwarder = forwarder
        self.transport = transport
        self._own = self._share = share  # the latter: whose request is being gathered
        self._proxied = proxied
        self._loop = asyncio.get_running_loop()
        self._clients = clients
        self._reader = RequestReader(self, forwarder.settings.max_head_bytes)
        self._head = Head()
        self._body: list[bytes | bytearray] = []
        self._size = 0  # of the body that is being gathered
        self._held = 0  # of the share, for it and its head
        self._whole = True
        self._queue: deque[RestCall | Refusal] = deque()
        self._call: RestCall | None = None
        self._flow: RestCall | None = None  # that whose body goes on as it comes, while it does
        self._held_back = False  # the server takes no more of it now
        self._starting = False
        self.turns = clients.turns
        self._full = False  # so much waits for its turn that nothing is read
        self._choked = False  # the client does not take what it was sent
        self._since = monotonic()  # what is being waited for began
        self._closing = False  # nothing that is received counts any more
        self._unread = 0

    # What the socket tells.

    def data_received(self, data: bytes) -> None:
        if self._closing:
            self._unread += len(data)
            if self._unread > _UNREAD_BYTES:
                self.transport.abort()
            return
        if self.joins(data):
            return
        if len(data) <= PORTION_BYTES:
            self._receive(data)
            if len(self._queue) > _MOST_WAITING:
                self._read_on()
            return
        self.late = data
        self.take_turn()
        if len(data) >= FULL_READ_BYTES and not self.late:
            self.transport.pause_reading()
            self._loop.call_soon(self._read_on)

    def _receive(self, data: bytes) -> None:
        idle = self._reader.idle
        try:
            self._reader.receive(data)
        except Refusal as refusal:
            self._closing = True
            self._queue.append(refusal)
        if idle:
            self._since = monotonic()
        if self._call is None:
            self._next()

    def take_turn(self) -> None:
        until = monotonic() + TURN_SECONDS
        late, self.late = self.late, b""
        begin = 0
        if self._call is None:
            self._next()
        while begin < len(late) and len(self._queue) <= _MOST_WAITING and not self._closing:
            due = self._reader.known_size(late, begin) if self._whole else (self._head.length or 0) - self._size
            end = begin + max(due, PORTION_BYTES)
            self._receive(late[begin:end])
            begin = end
            if monotonic() >= until:
                break
        if not self._closing:
            self.late = late[begin:]
        self._read_on()

    def _read_on(self) -> None:
        """Go on with what is here, or with what comes, unless too much waits."""
        self._full = len(self._queue) > _MOST_WAITING
        if self._full:
            self.transport.pause_reading()
        elif self.late:
            self.wait()
        elif not self.waits and not self._held_back and not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool | None:
        return None  # the client is gone, or is as good as gone: connection_lost follows

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.remove(self)
        self._closing = True
        self.late = b""
        self._reader.lost()
        self._forget()
        call, self._call = self._call, None
        if call is not None:
            call.cancelled()
            call.release()

    def pause_writing(self) -> None:
        self._choked = True
        self._since = monotonic()
        if self._call is not None and self._call.attempt is not None:
            self._call.attempt.pause()

    def resume_writing(self) -> None:
        self._choked = False
        self._since = monotonic()
        if self._call is None:
            self._next()
        elif self._call.attempt is not None:
            self._call.attempt.resume()

    # What the reader tells.

    def on_head(self, head: Head) -> None:
        self._head = head
        self._whole = False
        if self._proxied:
            self._share = self._share_of(head)
        limit = self.forwarder.settings.max_message_bytes
        if head.length is not None and head.length > limit:
            self._reader.stop(_too_large(limit))
        elif not self._take(head.weight):
            return
        elif head.expect_continue and head.minor and self._call is None and not self._queue:
            self.transport.write(CONTINUE)

    def on_body(self, data: bytes) -> None:
        if self._flow is not None:
            self._size += len(data)
            if not self._flow.flow(data):
                self._held_back = True
                self.transport.pause_reading()
            return
        if self._closing:
            return
        limit = self.forwarder.settings.max_message_bytes
        if self._size + len(data) > limit:
            self._reader.stop(_too_large(limit))
            return
        if not self._take(len(data)):
            return
        self._size += len(data)
        # Small pieces are put together: as many objects of a byte each would take up far more than is accounted for.
        if len(data) < _SMALL_BYTES and self._body:
            if not isinstance(self._body[-1], bytearray):
                self._body.append(bytearray())
            self._body[-1] += data
        else:
            self._body.append(data)
        turn = self._call is None and not self._queue and not self._choked
        if turn and self._size > STREAMED_BYTES and self._head.length and registry.rest(self._head.target).reads_along:
            self._start_early()

    def _start_early(self) -> None:
        """Send on what there is of a long body, if it has been told how long that is."""
        length = self._head.length
        assert length is not None
        call = RestCall(self, self._head, self._body, length, self._held, self._share, flows=True)
        self._body = []
        self._held = 0
        self._call = self._flow = call
        call.start()

    def read_on(self) -> None:
        self._held_back = False
        self._read_on()

    def _share_of(self, head: Head) -> MemoryShare:
        """Whose the request is, as a proxy says."""
        return self.forwarder.share_of(self._own, values(head, FORWARDED), values(head, X_FORWARDED_FOR))

    def _take(self, size: int) -> bool:
        """Hold so many bytes more. False: the request is refused."""
        try:
            self._share.take(size)
        except Refusal as refusal:
            self._reader.stop(refusal)
            return False
        self._held += size
        return True

    def on_end(self) -> None:
        if self._flow is not None:
            flow, self._flow = self._flow, None
            self._whole = True
            self._size = 0
            flow.end()
            return
        if self._closing:
            return
        self._queue.append(RestCall(self, self._head, self._body, self._size, self._held, self._share))
        self._body = []
        self._size = self._held = 0
        self._whole = True

    # One call after the other.

    def _next(self) -> None:
        """Start what waits, up to the first call that is not answered at once."""
        if self._starting:
            return  # a call that is answered while it starts comes here again
        self._starting = True
        started = 0
        while self._call is None and self._queue and not self._choked:
            if started == _PORTION_CALLS:
                self.wait()
                break
            started += 1
            item = self._queue.popleft()
            if isinstance(item, Refusal):
                self._refuse(item)
                break
            self._call = item
            item.start()
        self._starting = False
        if self._full:
            self._read_on()

    def answered(self, *, close: bool) -> None:
        """The answer to the call is written."""
        assert self._call is not None
        self._call.release()
        self._call = self._flow = None
        self._since = monotonic()
        if close:
            self._forget()
            self._close()
        else:
            self._next()

    @property
    def ending(self) -> bool:
        """The answer to come is the last."""
        return self._clients.draining and not self._queue and not self.late

    def _refuse(self, refusal: Refusal) -> None:
        """What came can't be read on."""
        self._forget()
        request = self._reader.latest
        share = self._share_of(request) if self._proxied else self._own
        request_id = request.request_id or self.forwarder.new_request_id()
        self.forwarder.refused(registry.rest(request.target).name, refusal, request_id, share.caller)
        self.transport.write(error_answer(refusal, request, True, self.forwarder.table, request_id))
        self._close()

    def _forget(self) -> None:
        """Nothing of what came and waits is wanted any more."""
        for item in self._queue:
            if isinstance(item, RestCall):
                item.release()
        self._queue.clear()
        self._share.add(-self._held)
        self._size = self._held = 0
        self._body = []

    def _close(self) -> None:
        """The last answer is written: end our side once it is sent, and wait for the client to end its own."""
        self._closing = True
        self._held_back = False
        self._since = monotonic()
        self.late = b""
        self.transport.write_eof()
        self.transport.resume_reading()

    def sweep(self, now: float) -> None:
        settings = self.forwarder.settings
        waited = now - self._since
        if self._choked or (self._closing and self.transport.get_write_buffer_size()):
            if waited > settings.timeout:
                self.transport.abort()  # the client has stopped reading
        elif self._closing:
            if self._call is None and waited > _LINGER_SECONDS:
                self.transport.abort()
        elif self._call is not None:
            self._call.sweep(now)
        elif self._queue or self.late:
            return  # a call has a deadline of its own
        elif self._reader.idle:
            if waited > (DRAIN_IDLE_SECONDS if self._clients.draining else settings.idle_timeout):
                self.transport.close()
        elif waited > (settings.read_timeout if self._whole else settings.timeout):
            self._closing = True
            self._queue.append(
                Refusal(Code.DEADLINE_EXCEEDED, "slow_request", "the request did not arrive in time", status=408)
            )
            self._next()

    def drain(self) -> None:
        self.sweep(monotonic())

    def expel(self, refusal: Refusal) -> None:
        if self._call is not None:
            self._call.expel(refusal)

    @property
    def idle_since(self) -> float | None:
        waits = self._call is None and not self._queue and not self.late and self._whole and not self._closing
        return self._since if waits and not self.transport.get_write_buffer_size() else None

    def close(self) -> None:
        self.transport.close()


def _too_large(limit: int) -> Refusal:
    return Refusal(Code.RESOURCE_EXHAUSTED, "too_large", f"the body is over {limit} bytes", status=413)
