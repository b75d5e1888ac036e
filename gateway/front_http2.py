"""gRPC over HTTP/2: a client's connection, and the calls on its streams."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

from gateway import dialects
from gateway.dialects import deadline, grpc_message, grpc_status, health
from gateway.errors import HTTP_STATUS, Code, Refusal
from gateway.forward import Call, Forwarder
from gateway.fronts import Fronts
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.http2 import GrpcExchange
from gateway.wire.blocks import SECRET
from gateway.wire.fields import Field, Fields, encode, encode_all
from gateway.wire.http2 import LOW_MARK, Connection, Limits

_NOT_FORWARDED = frozenset((b"grpc-timeout", b"expect"))
_OWN = b"x-turnout-"
_TIMEOUT = encode(b"grpc-timeout", b"")[:-1]
"""The field up to the length of its value, which is below 127."""

_MAX_KNOWN_RESTS = 16
"""Of blocks that begin alike: what may follow `grpc-timeout` in them, and is remembered."""

_UNKNOWN = encode(b"grpc-status", b"2")
_NO_REST = b"REST over HTTP/2 is not served here: send it over HTTP/1.1, or send gRPC\n"
_REST_ANSWER = encode_all((b":status", b"415"), (b"content-type", b"text/plain"))


class GrpcFront(asyncio.Protocol):
    """One connection."""

    def __init__(self, forwarder: Forwarder, fronts: Fronts, transport: asyncio.Transport) -> None:
        settings = forwarder.settings
        self.forwarder = forwarder
        self.wire = Connection(self, client=False, limits=Limits(max_head_bytes=settings.max_head_bytes))
        self._fronts = fronts
        self._transport = transport
        self.loop = asyncio.get_running_loop()
        self._calls: dict[int, GrpcCall] = {}
        self._flushing = False
        self.now = monotonic()  # when the client was last heard
        self.paused = False  # the client does not read
        self._leave_by: float | None = None  # it has been asked to go
        self._left = False  # and will send no more calls
        self.wire.start()
        if fronts.draining:
            self.drain()

    # What the socket tells.

    def data_received(self, data: bytes) -> None:
        self.now = now = monotonic()
        self.wire.receive(data, now)
        self.touch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fronts.remove(self)
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.cancelled()
            call.release()

    def pause_writing(self) -> None:
        self.paused = True
        self._transport.pause_reading()  # else the answers to its own PINGs would pile up

    def resume_writing(self) -> None:
        self.paused = False
        self._transport.resume_reading()
        for call in self._calls.values():
            call.on_writable()

    # Writing: once for all that one turn of the loop brings.

    def touch(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if (out := self.wire.take()) and not self._transport.is_closing():
            self._transport.write(out)
        if self.wire.closed or (self._left and not self._calls and not self.wire.active):
            self._transport.close()

    def over(self, call: GrpcCall) -> None:
        """The call's answer is given to the wire."""
        self._calls.pop(call.client_stream, None)
        call.release()
        self.touch()

    def sweep(self, now: float) -> None:
        if self._calls:
            return
        if self._leave_by is None:
            if now - self.now > self.forwarder.settings.idle_timeout:
                self._part(now)
        elif now > self._leave_by:
            self._transport.close()

    def drain(self) -> None:
        self._part(monotonic())

    def _part(self, now: float) -> None:
        """Ask the client to send no more calls here. Those that cross with that are answered still."""
        if self._leave_by is None:
            self._leave_by = now + self.forwarder.settings.read_timeout
            self.wire.goaway(False)
            self.wire.ping()  # its answer shows that the client has seen the first GOAWAY
            self.touch()

    # What the wire tells.

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        call = self._calls[stream_id] = GrpcCall(self, stream_id)
        call.on_request(fields, end_stream)

    def on_oversize(self, stream_id: int) -> None:
        limit = self.forwarder.settings.max_head_bytes
        call = self._calls[stream_id] = GrpcCall(self, stream_id)
        call.turn_away(Refusal(Code.RESOURCE_EXHAUSTED, "head_too_large", f"the metadata are over {limit} bytes"))

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None:
        call = self._calls[stream_id] = GrpcCall(self, stream_id)
        call.on_request(fields, False)
        if not call.over:
            call.on_request_data(data, True)

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None:
        """Only clients are told."""

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        call = self._calls.get(stream_id)
        if call is not None:
            call.on_request_data(data, end_stream)
        return True  # it is gathered, under limits of its own

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


class GrpcCall(Call):
    """One stream: the request as it is gathered, and the answer as it comes."""

    exchange: GrpcExchange | None

    stream_id = 0
    """On the model server's connection."""

    _head: _Head
    _message = b""
    _rest = False
    _size = 0
    _held = 0
    """Bytes of the answer that the client has not taken: the server gets no credit for them yet."""

    def __init__(self, front: GrpcFront, stream_id: int) -> None:
        self.forwarder = front.forwarder
        self.client_stream = stream_id
        self._front = front
        self._body: list[bytes] = []

    # The request.

    def on_request(self, fields: Fields, end: bool) -> None:
        head, asked = _read(fields)
        self._head = head
        if not head.grpc:
            self._rest = True
            self.timer = self._front.loop.call_later(self.forwarder.settings.timeout, self._refuse_rest)
            if end:
                self._refuse_rest()
            return
        timeout = self.forwarder.settings.timeout
        if asked is not None:
            try:
                timeout = min(timeout, deadline.from_grpc(asked))
            except Refusal as refusal:
                self.turn_away(refusal)
                return
        self._deadline = self._front.now + timeout
        self.timer = self._front.loop.call_later(timeout, self._late)
        if end:
            self.turn_away(Refusal(Code.INVALID_ARGUMENT, "malformed_message", "the request has no message"))

    def _late(self) -> None:
        if self.slot is None and not self.over:
            self.turn_away(Refusal(Code.DEADLINE_EXCEEDED, "slow_request", "the request did not arrive in time"))
        else:
            self.expire()

    def on_request_data(self, data: bytes, end: bool) -> None:
        if self._rest:  # its body is dropped; an answer before its end would hide what is wrong with the rest of it
            if end:
                self._refuse_rest()
            return
        limit = self.forwarder.settings.max_message_bytes
        try:
            if self._size + len(data) > limit:
                raise Refusal(Code.RESOURCE_EXHAUSTED, "too_large", f"the message is over {limit} bytes")
            self.forwarder.gather(len(data))
            self._size += len(data)
            self._body.append(data)
            if end:
                self._message = b"".join(self._body)  # of one piece, that piece
                self._body.clear()
                self._start()
        except Refusal as refusal:
            self.turn_away(refusal)

    def _start(self) -> None:
        head = self._head
        if head.health:
            self._answer_health(self._message)
            return
        payload = None
        if head.needs_message:
            limit = self.forwarder.settings.max_message_bytes
            payload = grpc_message.payload(self._message, head.meta.get(b"grpc-encoding"), limit)
        address = head.dialect.address(head.path, head.meta, payload)
        if head.deployment is not None or head.version is not None or not address.name:
            address = dialects.with_headers(address, head.deployment, head.version)
        self.admit(address, self._deadline - self._front.now)

    def release(self) -> None:
        """The request is held no longer."""
        self.forwarder.gather(-self._size)
        self._size = 0
        self._message = b""
        self._body.clear()

    # Towards the model server.

    @property
    def request(self) -> tuple[bytes, bytes]:
        left = deadline.to_grpc(self._deadline - monotonic())
        return b"%b%b%c%b" % (self._head.onward, _TIMEOUT, len(left), left), self._message

    def send(self, endpoint: Endpoint) -> None:
        endpoint.grpc.send(self)

    def unsend(self, endpoint: Endpoint) -> None:
        endpoint.grpc.cancel(self)

    # What the exchange tells.

    def on_head(self, fields: Fields, end: bool) -> None:
        code = _status(fields) if end else Code.OK
        if code == Code.UNAVAILABLE and self.try_elsewhere():
            return
        self.answered = True
        head = b"".join((*_onward(fields, code), self.upstream.field))
        self._front.wire.headers(self.client_stream, head, end)
        if end:
            self._done(code)
        else:
            self._front.touch()

    def on_answer(self, fields: Fields, data: bytes, trailers: Fields) -> None:
        field = self.upstream.field
        if fields.note is None or fields.note[0] is not field:
            fields.note = (field, b"".join((*_onward(fields, Code.OK), field)))
        if trailers.note is None:
            code = _status(trailers)
            trailers.note = (_http(code), b"".join(_onward(trailers, code)))
        status, last = trailers.note
        self.answered = True
        self._front.wire.answer(self.client_stream, fields.note[1], data, last)
        self.complete(status)
        self._front.over(self)

    def on_data(self, data: bytes, end: bool) -> bool:
        wire = self._front.wire
        wire.data(self.client_stream, data, False)
        self._front.touch()
        if end:  # no trailers: the specification makes that UNKNOWN
            wire.headers(self.client_stream, _UNKNOWN, True)
            self._done(None)
        elif self._front.paused or (wire.blocked and wire.buffered(self.client_stream) > LOW_MARK):
            self._held += len(data)
            return False
        return True

    def on_writable(self) -> None:
        """The client takes more of the answer: so may the gateway."""
        front = self._front
        if self._held and not front.paused and front.wire.buffered(self.client_stream) <= LOW_MARK:
            self._credit()

    def _credit(self) -> None:
        held, self._held = self._held, 0
        if held and self.exchange is not None:
            self.exchange.consumed(self, held)

    def on_trailers(self, fields: Fields) -> None:
        code = _status(fields)
        self._front.wire.headers(self.client_stream, b"".join(_onward(fields, code)), True)
        self._done(code)

    def _done(self, code: Code | None) -> None:
        if self._held:
            self._credit()  # the server is done: what the client has not taken yet is no affair of that connection's
        self.complete(_http(code))
        self._front.over(self)

    # What the gateway says itself.

    def turn_away(self, refusal: Refusal) -> None:
        """Refuse before a deployment is known."""
        self.forwarder.refused("unknown" if self._head is None else self._head.dialect.name, refusal)
        self.stop()
        self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        fields = [
            (b":status", b"200"),
            (b"content-type", b"application/grpc"),
            (b"grpc-status", b"%d" % refusal.code),
            (b"grpc-message", grpc_status.message(refusal.message)),
        ]
        if self.answerer:
            fields.append((b"x-turnout-version", self.answerer))
        if refusal.reason == "unknown_encoding":
            fields.append((b"grpc-accept-encoding", grpc_message.ACCEPT_ENCODING))
        self._front.wire.headers(self.client_stream, encode_all(*fields), True)
        self._front.over(self)

    def break_off(self, code: Code, message: str) -> None:
        trailers = ((b"grpc-status", b"%d" % code), (b"grpc-message", grpc_status.message(message)))
        self._front.wire.headers(self.client_stream, encode_all(*trailers), True)
        self._front.over(self)

    def _refuse_rest(self) -> None:
        refusal = Refusal(Code.UNIMPLEMENTED, "rest_over_http2", _NO_REST.decode().strip())
        self.forwarder.refused("unknown", refusal)
        self.stop()
        self._front.wire.headers(self.client_stream, _REST_ANSWER, False)
        self._front.wire.data(self.client_stream, _NO_REST, True)
        self._front.over(self)

    def _answer_health(self, body: bytes) -> None:
        limit = self.forwarder.settings.max_message_bytes
        message = grpc_message.payload(body, self._head.meta.get(b"grpc-encoding"), limit)
        answer = health.answer(self._head.path, message, not self.forwarder.draining)
        self.stop()
        wire = self._front.wire
        wire.headers(
            self.client_stream, encode_all((b":status", b"200"), (b"content-type", b"application/grpc")), False
        )
        wire.data(self.client_stream, grpc_message.frame(answer), False)
        wire.headers(self.client_stream, encode(b"grpc-status", b"0"), True)
        self._front.over(self)


class _Head:
    """What a request's header block says, but for `grpc-timeout`. Blocks that begin alike share it."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.meta = meta = {field[0]: field[1] for field in fields}
        self.onward = b"".join([raw for name, _, raw, _ in fields if name not in _NOT_FORWARDED and name[:10] != _OWN])
        """The block that goes to the model server."""
        self.path = meta[b":path"]
        self.grpc = meta.get(b"content-type", b"")[:16] == b"application/grpc" and meta[b":method"] == b"POST"
        self.health = self.path.startswith(health.SERVICE)
        self.dialect = dialects.grpc(self.path)
        self.needs_message = self.dialect.needs_message(self.path)
        self.deployment = meta.get(b"x-turnout-deployment")
        self.version = meta.get(b"x-turnout-version")


def _read(fields: Fields) -> tuple[_Head, bytes | None]:
    """What the block says, and its `grpc-timeout`, which is often all that differs from the call before."""
    base = fields.base
    if base is None or len(fields) == len(base) or fields[len(base)][0] != b"grpc-timeout":
        head = _Head(fields)
        return head, head.meta.get(b"grpc-timeout")
    timeout = fields[len(base)][1]
    rest = fields[len(base) + 1 :]
    if base.note is None:
        base.note = {}
    heads: dict[bytes, _Head] = base.note
    key = b"".join([field[2] for field in rest])
    known = heads.get(key)
    if known is None:
        known = _Head([*base, *rest])
        if not any(field[0] in SECRET for field in rest):
            if len(heads) >= _MAX_KNOWN_RESTS:
                heads.clear()
            heads[key] = known
    return known, timeout


def _onward(fields: Sequence[Field], code: Code | None) -> list[bytes]:
    """What of a server's fields goes on to the client; UNKNOWN where there is no status that is one."""
    if code is None:
        return [*_onward([field for field in fields if field[0] != b"grpc-status"], Code.UNKNOWN), _UNKNOWN]
    return [field[2] for field in fields if field[0][:10] != _OWN]


def _http(code: Code | None) -> int:
    return HTTP_STATUS[Code.UNKNOWN if code is None else code]


def _status(fields: Sequence[Field]) -> Code | None:
    """The call's `grpc-status`; None where there is none, or none that is known."""
    for field in fields:
        if field[0] == b"grpc-status":
            try:
                return Code(int(field[1]))
            except ValueError:
                return None
    return None
