"""A gRPC call: the request as it is gathered, what its header block says, and the answer as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from gateway import dialects
from gateway.cohort import Values
from gateway.dialects import deadline, grpc_message, grpc_status, health
from gateway.errors import HTTP_STATUS, Code, Refusal
from gateway.forward import Call, Forwarder
from gateway.front.grpc_head import OWN, RequestHead, read
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.http2 import GrpcExchange
from gateway.wire.fields import Field, Fields, encode, encode_all
from gateway.wire.http2 import LOW_MARK, Connection

_TIMEOUT = encode(b"grpc-timeout", b"")[:-1]
"""The field up to the length of its value, which is below 127."""

_UNKNOWN = encode(b"grpc-status", b"2")
_NO_REST = b"REST over HTTP/2 is not served here: send it over HTTP/1.1, or send gRPC\n"
_REST_ANSWER = encode_all((b":status", b"415"), (b"content-type", b"text/plain"))


class Client(Protocol):
    """What a call needs of the connection that it came on."""

    forwarder: Forwarder
    loop: asyncio.AbstractEventLoop
    wire: Connection
    now: float
    """When the client was last heard."""
    paused: bool
    """It does not read."""

    def touch(self) -> None:
        """Something is to be written."""
        ...

    def over(self, call: GrpcCall) -> None:
        """The call's answer is given to the wire."""
        ...


class GrpcCall(Call):
    """One stream: the request as it is gathered, and the answer as it comes."""

    exchange: GrpcExchange | None

    stream_id = 0
    """On the model server's connection."""

    _head: RequestHead
    _spoken = "unknown"
    """The dialect, once the head is read."""

    _message = b""
    _rest = False
    _size = 0
    _held = 0
    """Bytes of the answer that the client has not taken: the server gets no credit for them yet."""

    def __init__(self, client: Client, stream_id: int) -> None:
        self.forwarder = client.forwarder
        self.client_stream = stream_id
        self._client = client
        self._body = bytearray()  # not a list: a message may come in pieces of one byte each

    # The request.

    def on_request(self, fields: Fields, end: bool) -> None:
        head, asked = read(fields)
        self._head = head
        self.before = head.before
        self._spoken = head.dialect.name
        if not head.grpc:
            self._rest = True
            self.timer = self._client.loop.call_later(self.forwarder.settings.timeout, self._refuse_rest)
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
        self._deadline = self._client.now + timeout
        self.timer = self._client.loop.call_later(timeout, self._late)
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
            if not end:
                self._body += data
                return
            self._message = bytes(self._body + data) if self._body else data
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
        self.admit(address, self._deadline - self._client.now)

    def release(self) -> None:
        """The request is held no longer."""
        self.forwarder.gather(-self._size)
        self._size = 0
        self._message = b""
        self._body.clear()

    def values(self) -> Values:
        return self._head.meta

    # Towards the model server.

    @property
    def request(self) -> tuple[bytes, bytes]:
        assert self.mark is not None
        left = deadline.to_grpc(self._deadline - monotonic())
        block = b"%b%b%b%c%b" % (self._head.onward, self.mark.request_field, _TIMEOUT, len(left), left)
        return block, self._message

    def send(self, endpoint: Endpoint) -> None:
        endpoint.grpc.send(self)

    def unsend(self, endpoint: Endpoint) -> None:
        endpoint.grpc.cancel(self)

    # What the exchange tells.

    def on_head(self, fields: Fields, end: bool) -> None:
        code = _status(fields) if end else Code.OK
        if code == Code.UNAVAILABLE and self.try_elsewhere():
            return
        assert self.mark is not None
        self.answered = True
        head = b"".join((*_onward(fields, code), self.mark.answer_fields))
        self._client.wire.headers(self.client_stream, head, end)
        if end:
            self._done(code)
        else:
            self._client.touch()

    def on_answer(self, fields: Fields, data: bytes, trailers: Fields) -> None:
        mark = self.mark
        assert mark is not None
        if fields.note is None or fields.note[0] is not mark:
            fields.note = (mark, b"".join((*_onward(fields, Code.OK), mark.answer_fields)))
        if trailers.note is None:
            code = _status(trailers)
            trailers.note = (_http(code), b"".join(_onward(trailers, code)))
        status, last = trailers.note
        self.answered = True
        self._client.wire.answer(self.client_stream, fields.note[1], data, last)
        self.complete(status)
        self._client.over(self)

    def on_data(self, data: bytes, end: bool) -> bool:
        wire = self._client.wire
        wire.data(self.client_stream, data, False)
        self._client.touch()
        if end:  # no trailers: the specification makes that UNKNOWN
            wire.headers(self.client_stream, _UNKNOWN, True)
            self._done(None)
        elif self._client.paused or (wire.blocked and wire.buffered(self.client_stream) > LOW_MARK):
            self._held += len(data)
            return False
        return True

    def on_writable(self) -> None:
        """The client takes more of the answer: so may the gateway."""
        client = self._client
        if self._held and not client.paused and client.wire.buffered(self.client_stream) <= LOW_MARK:
            self._credit()

    def _credit(self) -> None:
        held, self._held = self._held, 0
        if held and self.exchange is not None:
            self.exchange.consumed(self, held)

    def on_trailers(self, fields: Fields) -> None:
        code = _status(fields)
        self._client.wire.headers(self.client_stream, b"".join(_onward(fields, code)), True)
        self._done(code)

    def _done(self, code: Code | None) -> None:
        if self._held:
            self._credit()  # the server is done: what the client has not taken yet is no affair of that connection's
        self.complete(_http(code))
        self._client.over(self)

    # What the gateway says itself.

    def turn_away(self, refusal: Refusal) -> None:
        """Refuse before a deployment is known."""
        self.forwarder.refused(self._spoken, refusal)
        self.stop()
        self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        fields = [
            (b":status", b"200"),
            (b"content-type", b"application/grpc"),
            (b"grpc-status", b"%d" % refusal.code),
            (b"grpc-message", grpc_status.message(refusal.message)),
        ]
        if refusal.reason == "unknown_encoding":
            fields.append((b"grpc-accept-encoding", grpc_message.ACCEPT_ENCODING))
        marked = b"" if self.mark is None else self.mark.answer_fields
        self._client.wire.headers(self.client_stream, encode_all(*fields) + marked, True)
        self._client.over(self)

    def break_off(self, code: Code, message: str) -> None:
        trailers = ((b"grpc-status", b"%d" % code), (b"grpc-message", grpc_status.message(message)))
        self._client.wire.headers(self.client_stream, encode_all(*trailers), True)
        self._client.over(self)

    def _refuse_rest(self) -> None:
        refusal = Refusal(Code.UNIMPLEMENTED, "rest_over_http2", _NO_REST.decode().strip())
        self.forwarder.refused("unknown", refusal)
        self.stop()
        self._client.wire.headers(self.client_stream, _REST_ANSWER, False)
        self._client.wire.data(self.client_stream, _NO_REST, True)
        self._client.over(self)

    def _answer_health(self, body: bytes) -> None:
        limit = self.forwarder.settings.max_message_bytes
        message = grpc_message.payload(body, self._head.meta.get(b"grpc-encoding"), limit)
        answer = health.answer(self._head.path, message, not self.forwarder.draining)
        self.stop()
        wire = self._client.wire
        wire.headers(
            self.client_stream, encode_all((b":status", b"200"), (b"content-type", b"application/grpc")), False
        )
        wire.data(self.client_stream, grpc_message.frame(answer), False)
        wire.headers(self.client_stream, encode(b"grpc-status", b"0"), True)
        self._client.over(self)


def _onward(fields: Sequence[Field], code: Code | None) -> list[bytes]:
    """What of a server's fields goes on to the client; UNKNOWN where there is no status that is one."""
    if code is None:
        return [*_onward([field for field in fields if field[0] != b"grpc-status"], Code.UNKNOWN), _UNKNOWN]
    return [field[2] for field in fields if field[0][:10] != OWN]


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
