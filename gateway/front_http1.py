"""REST over HTTP/1.1: a client's connection, and the calls that come on it one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from time import monotonic

from gateway import dialects
from gateway.dialects import deadline
from gateway.errors import Code, Refusal
from gateway.forward import Call, Forwarder
from gateway.fronts import DRAIN_IDLE_SECONDS, Fronts
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.http1 import RestExchange
from gateway.wire.http1 import CONTINUE, LAST_CHUNK, Head, RequestReader, chunk, request_head

_MOST_WAITING = 32
"""Pipelined requests that are taken in before their turn. While more wait nothing is read, so a client that has gone is
noticed no sooner than their deadlines come."""

_LINGER_SECONDS = 2.0
"""How long what still comes after the last answer is read and dropped, so that closing resets nothing that the client
has yet to read (RFC 9112, 9.6), if it does not close first."""

_UNREAD_BYTES = 64 << 20
"""How much of it."""


class RestFront(asyncio.Protocol):
    """One connection. Requests are gathered whole; pipelined ones wait for their turn."""

    def __init__(self, forwarder: Forwarder, fronts: Fronts, transport: asyncio.Transport) -> None:
        self.forwarder = forwarder
        self.transport = transport
        self._fronts = fronts
        self._reader = RequestReader(self, forwarder.settings.max_head_bytes)
        self._head = Head()
        self._body: list[bytes] = []
        self._size = 0
        self._whole = True
        self._queue: deque[RestCall | Refusal] = deque()
        self._call: RestCall | None = None
        self._starting = False
        self._paused = False  # reading
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
        if len(self._queue) > _MOST_WAITING and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool | None:
        return None  # the client is gone, or is as good as gone: connection_lost follows

    def connection_lost(self, exc: Exception | None) -> None:
        self._fronts.remove(self)
        self._closing = True
        self._forget()
        call, self._call = self._call, None
        if call is not None:
            call.cancelled()
            call.release()

    def pause_writing(self) -> None:
        self._choked = True
        self._since = monotonic()
        if self._call is not None and self._call.exchange is not None:
            self._call.exchange.pause()

    def resume_writing(self) -> None:
        self._choked = False
        self._since = monotonic()
        if self._call is None:
            self._next()
        elif self._call.exchange is not None:
            self._call.exchange.resume()

    # What the reader tells.

    def on_head(self, head: Head) -> None:
        self._head = head
        self._whole = False
        limit = self.forwarder.settings.max_message_bytes
        if head.length is not None and head.length > limit:
            self._reader.stop(_too_large(limit))
        elif head.expect_continue and head.minor and self._call is None and not self._queue:
            self.transport.write(CONTINUE)

    def on_body(self, data: bytes) -> None:
        limit = self.forwarder.settings.max_message_bytes
        if self._size + len(data) > limit:
            self._reader.stop(_too_large(limit))
            return
        try:
            self.forwarder.gather(len(data))
        except Refusal as refusal:
            self._reader.stop(refusal)
            return
        self._size += len(data)
        self._body.append(data)

    def on_end(self) -> None:
        self._queue.append(RestCall(self, self._head, self._body, self._size))
        self._body = []
        self._size = 0
        self._whole = True

    # One call after the other.

    def _next(self) -> None:
        """Start what waits, up to the first call that is not answered at once."""
        if self._starting:
            return  # a call that is answered while it starts comes here again
        self._starting = True
        while self._call is None and self._queue and not self._choked:
            item = self._queue.popleft()
            if isinstance(item, Refusal):
                self._refuse(item)
                break
            self._call = item
            item.start()
        self._starting = False
        if self._paused and len(self._queue) <= _MOST_WAITING:
            self._paused = False
            self.transport.resume_reading()

    def answered(self, *, close: bool) -> None:
        """The answer to the call is written."""
        assert self._call is not None
        self._call.release()
        self._call = None
        self._since = monotonic()
        if close:
            self._forget()
            self._close()
        else:
            self._next()

    @property
    def ending(self) -> bool:
        """The answer to come is the last."""
        return self._fronts.draining and not self._queue

    def _refuse(self, refusal: Refusal) -> None:
        """What came can't be read on."""
        self._forget()
        request = self._reader.latest
        dialect = dialects.rest(request.target)
        self.forwarder.refused(dialect.name, refusal)
        self.transport.write(error_answer(dialect, refusal, request, True))
        self._close()

    def _forget(self) -> None:
        """Nothing of what came and waits is wanted any more."""
        for item in self._queue:
            if isinstance(item, RestCall):
                item.release()
        self._queue.clear()
        self.forwarder.gather(-self._size)
        self._size = 0
        self._body = []

    def _close(self) -> None:
        """The last answer is written: end our side once it is sent, and wait for the client to end its own."""
        self._closing = True
        self._since = monotonic()
        self.transport.write_eof()
        if self._paused:
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
        elif self._call is not None or self._queue:
            return  # a call has a deadline of its own
        elif self._reader.idle:
            if waited > (DRAIN_IDLE_SECONDS if self._fronts.draining else settings.idle_timeout):
                self.transport.close()
        elif waited > (settings.read_timeout if self._whole else settings.timeout):
            self._closing = True
            self._queue.append(
                Refusal(Code.DEADLINE_EXCEEDED, "slow_request", "the request did not arrive in time", status=408)
            )
            self._next()

    def drain(self) -> None:
        self.sweep(monotonic())


class _Route:
    """What a request's head says of its way. A head that is shared keeps it: see `Head.note`."""

    def __init__(self, head: Head) -> None:
        """Raises Refusal."""
        own = head.own
        address = dialects.rest(head.target).address(head.method, head.target)
        asked = own.get(b"x-turnout-timeout-ms")
        self.address = dialects.with_headers(address, own.get(b"x-turnout-deployment"), own.get(b"x-turnout-version"))
        self.timeout = None if asked is None else deadline.from_milliseconds(asked)
        """Seconds, where the client says how long it waits."""
        self._forwarded: tuple[int, bytes] | None = None

    def forwarded(self, head: Head, size: int) -> bytes:
        """The head that goes to the model server, with a body of that size."""
        if self._forwarded is None or self._forwarded[0] != size:
            self._forwarded = (size, request_head(head.method, self.address.target, head.lines, size))
        return self._forwarded[1]


class RestCall(Call):
    """One request, and the answer as it comes."""

    exchange: RestExchange | None

    _answer: Head | None = None
    _chunked = False

    def __init__(self, front: RestFront, head: Head, body: list[bytes], size: int) -> None:
        self.forwarder = front.forwarder
        self._front = front
        self._head = head
        self._body = body
        self._size = size
        self._pending: list[bytes] = []
        self._close = head.close

    def start(self) -> None:
        head = self._head
        route = head.note
        if route is None:
            try:
                route = head.note = _Route(head)
            except Refusal as refusal:
                self.forwarder.refused(dialects.rest(head.target).name, refusal)
                self.refuse(refusal)
                return
        timeout = self.forwarder.settings.timeout
        if route.timeout is not None and route.timeout < timeout:
            timeout = route.timeout
        self.admit(route.address, timeout)

    def release(self) -> None:
        """The request is held no longer."""
        self.forwarder.gather(-self._size)
        self._size = 0
        self._body = []

    # Towards the model server.

    @property
    def request(self) -> list[bytes]:
        return [self._head.note.forwarded(self._head, self._size), *self._body]

    def send(self, endpoint: Endpoint) -> None:
        self._answer = None  # the attempt before may have left a part of one
        self._pending = []
        endpoint.rest.send(self)

    def unsend(self, endpoint: Endpoint) -> None:
        endpoint.rest.cancel(self)

    # What the exchange tells.

    def on_head(self, head: Head) -> None:
        if head.status == HTTPStatus.SERVICE_UNAVAILABLE and self.try_elsewhere():
            return
        self._answer = head

    def on_body(self, data: bytes) -> None:
        self._pending.append(data)

    def flush(self) -> None:
        """Pass on what has come of an answer that goes on."""
        answer = self._answer
        if answer is None:
            return
        out = []
        if not self.answered:
            self.answered = True
            self._chunked = answer.length is None and self._head.minor == 1 and not _bodiless(answer.status)
            self._close = self._close or self._front.ending or (answer.length is None and self._head.minor == 0)
            out.append(self._render(answer, None))
        if self._chunked:
            out += [chunk(data) for data in self._pending if data]
        else:
            out += self._pending
        self._pending = []
        self._front.transport.writelines(out)

    def ended(self) -> None:
        answer = self._answer
        assert answer is not None
        if self.answered:
            self.flush()
            if self._chunked:
                self._front.transport.write(LAST_CHUNK)
        else:
            self.answered = True
            self._close = self._close or self._front.ending
            self._front.transport.write(b"".join((self._whole_head(answer), *self._pending)))
        self.complete(answer.status)
        self._front.answered(close=self._close)

    def _whole_head(self, answer: Head) -> bytes:
        """The head of an answer that is there as a whole. It is kept with what came, for the next that comes alike."""
        size = None if _bodiless(answer.status) else sum(map(len, self._pending))
        if self._close or not self._head.minor or size != answer.length:
            return self._render(answer, size)
        if answer.note is None or answer.note[0] is not self.answerer:
            answer.note = (self.answerer, self._render(answer, size))
        rendered: bytes = answer.note[1]
        return rendered

    def _render(self, answer: Head, size: int | None) -> bytes:
        """The answer's head. `size` is known where the whole body is."""
        if size is not None:
            framing = b"Content-Length: %d\r\n" % size
        elif self._chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        elif answer.length is not None and answer.status != HTTPStatus.NO_CONTENT:
            framing = b"Content-Length: %d\r\n" % answer.length
        else:
            framing = b""
        return b"HTTP/1.1 %d %b\r\n%bx-turnout-version: %b\r\n%b%b\r\n" % (
            answer.status,
            answer.reason,
            b"".join(answer.lines),
            self.answerer,
            framing,
            _connection(self._close, self._head.minor),
        )

    # What the gateway says itself.

    def refuse(self, refusal: Refusal) -> None:
        self._close = self._close or self._front.ending
        dialect = dialects.rest(self._head.target)
        self._front.transport.write(error_answer(dialect, refusal, self._head, self._close, self.answerer))
        self._front.answered(close=self._close)

    def break_off(self, code: Code, message: str) -> None:
        self._front.transport.abort()  # the one way to show that an answer in HTTP/1.1 is not whole


def error_answer(
    dialect: dialects.RestDialect, refusal: Refusal, request: Head, close: bool, version: bytes = b""
) -> bytes:
    """A whole answer that says what was wrong in the caller's dialect."""
    content_type, body = dialect.error(refusal.code, refusal.status, refusal.message)
    try:
        reason = HTTPStatus(refusal.status).phrase
    except ValueError:
        reason = "Client Closed Request"
    lines = [b"Content-Type: %b\r\nContent-Length: %d\r\n" % (content_type, len(body))]
    if version:
        lines.append(b"x-turnout-version: %b\r\n" % version)
    if refusal.status in (429, 503):
        lines.append(b"Retry-After: 1\r\n")
    lines.append(_connection(close, request.minor))
    if request.method == b"HEAD":
        body = b""
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (refusal.status, reason.encode(), b"".join(lines), body)


def _connection(close: bool, minor: int) -> bytes:
    if close:
        return b"Connection: close\r\n"
    return b"" if minor else b"Connection: keep-alive\r\n"


def _bodiless(status: int) -> bool:
    return status in (204, 304)


def _too_large(limit: int) -> Refusal:
    return Refusal(Code.RESOURCE_EXHAUSTED, "too_large", f"the body is over {limit} bytes", status=413)
