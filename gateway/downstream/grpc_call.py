"""A gRPC call: the request as it is gathered, what its header block says, and the answer as it comes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.attempt import GrpcAttempt, Trailers, onward
from gateway.call import STREAMED_BYTES, Call
from gateway.contract.headers import REQUEST_ID
from gateway.downstream.grpc_request_head import RequestHead, read
from gateway.forwarder import Forwarder
from gateway.memory_budget import MemoryShare
from gateway.protocols import deadlines, grpc_message, grpc_status, health, registry
from gateway.protocols.base import Address, NotYet
from gateway.protocols.protobuf_scan import Beginning
from gateway.refusal import Code, Refusal
from gateway.routing.sticky import Values
from gateway.upstream.assignment_fields import AssignmentFields, HeadWithFields
from gateway.upstream.endpoint import Endpoint
from gateway.wire.http2.connection import LOW_MARK, Connection
from gateway.wire.http2.fields import Fields, encode, encode_all

_REQUEST_ID = encode(REQUEST_ID, b"")[:-1]
"""The field up to the length of its value, which is below 127."""

_NO_REST = b"REST over HTTP/2 is not served here: send it over HTTP/1.1, or send gRPC\n"
_REST_ANSWER = encode_all((b":status", b"415"), (b"content-type", b"text/plain"))


STREAM_BYTES = 16 << 10
"""What a stream of messages counts as in its caller's share for as long as it is open, whatever it holds."""


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
    """One stream: the request, gathered or on its way as it comes, and the answer as it comes."""

    attempt: GrpcAttempt | None

    _head: RequestHead
    _protocol = "unknown"
    """The protocol, once the head is read."""

    _since: float
    """When the head came, on the monotonic clock."""
    _asked: float | None = None
    """Seconds, where the client says how long it waits."""

    request_id = b""
    _message = b""
    _rest = False
    _taken = 0
    """Bytes of the request that are held in the share, those of its head among them."""
    _ended = False
    """The request is whole."""
    _floor = 0
    """Bytes of those that stay taken while it goes on as it comes: that bounds how many do."""
    _uncredited = 0
    """Bytes of it for which the client has no credit yet, since the server takes them no faster."""
    _next_look = 0
    """Bytes of the message that have to be there before what tells the deployment is looked for again."""
    _held = 0
    """Bytes of the answer that the client has not taken: the server gets no credit for them yet."""

    def __init__(self, client: Client, stream_id: int, share: MemoryShare) -> None:
        """`share`: the caller's."""
        self.forwarder = client.forwarder
        self.client_stream = stream_id
        self._client = client
        self._share = share
        self._gathering: asyncio.TimerHandle | None = None  # ends it at the deadline
        self._body = bytearray()  # not a list: a message may come in pieces of one byte each

    def _identify(self, request_id: bytes) -> None:
        self.request_id = request_id = request_id or self.forwarder.new_request_id()
        self._id_field = b"%b%c%b" % (_REQUEST_ID, len(request_id), request_id)

    # The request.

    def on_request(self, fields: Fields) -> bool:
        """Take in the head. Whether the rest is wanted: else the call is refused already."""
        head, asked = read(fields)
        self._head = head
        self._identify(head.request_id)
        self.before = head.before
        self._protocol = head.protocol.name
        self._rest = not head.grpc
        self._since = self._client.now
        if asked is not None and head.grpc:
            try:
                self._asked = deadlines.from_grpc(asked)
            except Refusal as refusal:
                self.turn_away(refusal)
                return False
        return True

    def gather(self, end: bool) -> None:
        """Wait for the message, if the head was not the `end`."""
        if not end:
            if not (self._rest or self._head.health or self._head.needs_message):
                try:
                    self._head.protocol.address(self._head.path, self._head.meta, None)
                except Refusal as refusal:  # whoever calls a method that is not served may never end its request
                    self.turn_away(refusal)
                    return
            try:
                self._take(0)
            except Refusal as refusal:
                self.turn_away(refusal)
                return
            limit = self.forwarder.settings.timeout
            timeout = limit if self._asked is None else min(self._asked, limit)
            self._gathering = self._client.loop.call_later(timeout, self._time_out)
        elif self._rest:
            self._refuse_rest()
        else:
            self.turn_away(Refusal(Code.INVALID_ARGUMENT, "malformed_message", "the request has no message"))

    def _time_out(self) -> None:
        if self._rest:
            self._refuse_rest()
        else:
            self.turn_away(Refusal(Code.DEADLINE_EXCEEDED, "slow_request", "the request did not arrive in time"))

    def on_request_data(self, data: bytes, end: bool) -> bool:
        """Whether the client may send as much again."""
        if self.flows:
            return self._flow(data, end)
        if self._rest:  # its body is dropped; an answer before its end would hide what is wrong with the rest of it
            if end:
                self._refuse_rest()
            return True
        try:
            self._check(len(self._body) + len(data) - grpc_message.PREFIX_SIZE)
            self._take(len(data))
            if end:
                self._message = bytes(self._body + data) if self._body else data
                self._body.clear()
                self._start()
            else:
                self._body += data
                if self._head.streams or len(self._body) > STREAMED_BYTES:
                    self._start_early()
        except Refusal as refusal:
            self.turn_away(refusal)
        return True

    def _check(self, size: int) -> None:
        """Raises Refusal: a message of that size is too large."""
        limit = self.forwarder.settings.max_message_bytes
        if size > limit:
            raise Refusal(Code.RESOURCE_EXHAUSTED, "too_large", f"the message is over {limit} bytes")

    def _take(self, size: int) -> None:
        """Hold so many bytes more, and the head with the first of them. Raises Refusal."""
        if not self._taken:
            size += self._head.weight
        self._share.take(size)
        self._taken += size

    def _start(self) -> None:
        """Send the request on, which is whole."""
        head, message = self._head, self._message
        if head.health:
            if self._gathering is not None:
                self._gathering.cancel()
            self._answer_health(message)
            return
        size = len(message) - grpc_message.PREFIX_SIZE
        payload = None
        if head.needs_message:
            if head.streams:
                size = min(size, grpc_message.announced(message) or 0)
                message = message[: grpc_message.PREFIX_SIZE + size]
            payload = grpc_message.payload(message, head.meta.get(b"grpc-encoding"))
        self._send_to(head.protocol.address(head.path, head.meta, payload), size)

    def _send_to(self, address: Address, size: int) -> None:
        """`size`: of the message, of a stream's first."""
        if self._gathering is not None:
            self._gathering.cancel()
        head = self._head
        if head.deployment is not None or head.version is not None or not address.name:
            address = registry.with_headers(address, head.deployment, head.version)
        self.admit(address, size, self._since, self._asked)

    # A request that goes on as it comes.

    def _start_early(self) -> None:
        """Send on what there is of it, if that tells where to."""
        head, body = self._head, self._body
        size = grpc_message.announced(body)
        if size is None or head.health:
            return
        self._check(size)
        there = len(body) - grpc_message.PREFIX_SIZE
        message: bytes | memoryview | None = None
        if head.needs_message and there >= size:
            first = bytes(body[: grpc_message.PREFIX_SIZE + size])
            message = grpc_message.payload(first, head.meta.get(b"grpc-encoding"))
        elif head.needs_message:
            # What is compressed is gathered whole. Elsewhere each look is at twice as much as the one before.
            if body[0] or there < max(self._next_look, STREAMED_BYTES):
                return
            self._next_look = 2 * there
            message = Beginning(body[grpc_message.PREFIX_SIZE :])
        try:
            address = head.protocol.address(head.path, head.meta, message)
        except NotYet:
            return
        least = STREAM_BYTES if head.streams else STREAMED_BYTES
        self._take(max(0, least - self._taken))
        self._floor = least
        self.flows = True
        self.paced = not head.streams
        self._send_to(address, size)
        if head.streams:
            self.whole()

    def _flow(self, data: bytes, end: bool) -> bool:
        self.came += len(data)
        if end:
            self._ended = True
            if not self._head.streams:
                self.whole()
        if self.gone and self.attempt is not None:
            if self.attempt.more(data, end):
                return True
        else:
            self._body += data
        self._uncredited += len(data)
        if not self._share.allows(len(data)):
            self.expel(Refusal(Code.RESOURCE_EXHAUSTED, "gather_budget", "this client holds as much as it may"))
            return True
        self._take(len(data))
        return False

    def on_open(self) -> None:
        body, self._body = bytes(self._body), bytearray()
        self.gone = True
        assert self.attempt is not None
        if self.attempt.more(body, self._ended):
            self.on_room()

    def on_room(self) -> None:
        self._share.add(self._floor - self._taken)
        self._taken = self._floor
        if self._uncredited:
            uncredited, self._uncredited = self._uncredited, 0
            self._client.wire.consumed(self.client_stream, uncredited)
            self._client.touch()

    def release(self) -> None:
        """The request is held no longer."""
        if self._gathering is not None:
            self._gathering.cancel()
        self._floor = 0
        self.on_room()
        self._message = b""
        self._body.clear()

    @property
    def caller(self) -> str:
        return self._share.caller

    def values(self) -> Values:
        return self._head.meta

    def attempt_at(self, endpoint: Endpoint, assignment_fields: AssignmentFields) -> GrpcAttempt:
        block = self._head.onward + assignment_fields.request_field
        if not self._head.request_id:
            block += self._id_field
        return GrpcAttempt(endpoint, block, self._message, self.deadline, self)

    # What the attempt brings.

    def on_answer(self, head: Fields, data: bytes, trailers: Trailers) -> None:
        note = head.note
        if not isinstance(note, HeadWithFields) or note.fields is not self.assignment_fields:
            assert self.assignment_fields is not None
            note = head.note = HeadWithFields(
                self.assignment_fields, onward(head) + self.assignment_fields.answer_fields
            )
        self._client.wire.answer(self.client_stream, note.head + self._id_field, data, trailers.block)
        self.complete(trailers.status)
        self._client.over(self)

    def on_trailers_only(self, trailers: Trailers) -> None:
        assert self.assignment_fields is not None
        block = trailers.block + self.assignment_fields.answer_fields + self._id_field
        self._client.wire.headers(self.client_stream, block, True)
        self._done(trailers)

    def on_head(self, head: Fields) -> None:
        assert self.assignment_fields is not None
        block = onward(head) + self.assignment_fields.answer_fields + self._id_field
        self._client.wire.headers(self.client_stream, block, False)
        self._client.touch()

    def on_data(self, data: bytes) -> bool:
        if self._head.streams and self.awaits:
            self.began()
        wire = self._client.wire
        wire.data(self.client_stream, data, False)
        self._client.touch()
        if self._client.paused or (wire.blocked and wire.buffered(self.client_stream) > LOW_MARK):
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
        if held and self.attempt is not None:
            self.attempt.consumed(held)

    def on_trailers(self, trailers: Trailers) -> None:
        self._client.wire.headers(self.client_stream, trailers.block, True)
        self._done(trailers)

    def _done(self, trailers: Trailers) -> None:
        if self._held:
            self._credit()  # the server is done: what the client has not taken yet is no affair of that connection's
        self.complete(trailers.status)
        self._client.over(self)

    # What the gateway says itself.

    def turn_away(self, refusal: Refusal) -> None:
        """Refuse before a deployment is known, or even the head."""
        if not self.request_id:
            self._identify(b"")
        self.forwarder.refused(self._protocol, refusal, self.request_id, self.caller)
        self.over = True
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
        assignment = b"" if self.assignment_fields is None else self.assignment_fields.answer_fields
        self._client.wire.headers(self.client_stream, encode_all(*fields) + assignment + self._id_field, True)
        self._client.over(self)

    def break_off(self, code: Code, message: str) -> None:
        trailers = ((b"grpc-status", b"%d" % code), (b"grpc-message", grpc_status.message(message)))
        self._client.wire.headers(self.client_stream, encode_all(*trailers), True)
        self._client.over(self)

    def _refuse_rest(self) -> None:
        refusal = Refusal(Code.UNIMPLEMENTED, "rest_over_http2", _NO_REST.decode().strip())
        self.forwarder.refused("unknown", refusal, self.request_id, self.caller)
        self.over = True
        self._client.wire.headers(self.client_stream, _REST_ANSWER, False)
        self._client.wire.data(self.client_stream, _NO_REST, True)
        self._client.over(self)

    def _answer_health(self, body: bytes) -> None:
        message = grpc_message.payload(body, self._head.meta.get(b"grpc-encoding"))
        answer = health.answer(self._head.path, message, not self.forwarder.draining)
        self.over = True
        wire = self._client.wire
        wire.headers(
            self.client_stream, encode_all((b":status", b"200"), (b"content-type", b"application/grpc")), False
        )
        wire.data(self.client_stream, grpc_message.frame(answer), False)
        wire.headers(self.client_stream, encode(b"grpc-status", b"0"), True)
        self._client.over(self)
