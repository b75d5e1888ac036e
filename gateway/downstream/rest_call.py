"""A REST call: the request, where its head says that it goes, and the answer as it comes."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from time import monotonic
from typing import Protocol

from gateway.attempt import RestAttempt
from gateway.call import Call
from gateway.contract.headers import ASSIGNMENT, DEPLOYMENT, REQUEST_ID, TIMEOUT, VERSION
from gateway.contract.route_table import Deployment, RouteTable
from gateway.forwarder import Forwarder
from gateway.memory_budget import MemoryShare
from gateway.protocols import cors, deadlines, health, registry
from gateway.refusal import Code, Refusal
from gateway.routing import assignment_header
from gateway.routing.sticky import Values
from gateway.upstream.assignment_fields import AssignmentFields, HeadWithFields
from gateway.upstream.endpoint import Endpoint
from gateway.wire.http1.heads import LAST_CHUNK, Head, chunk, first_values, request_head
from gateway.wire.note import Note


class Client(Protocol):
    """What a call needs of the connection that it came on."""

    forwarder: Forwarder
    transport: asyncio.Transport

    @property
    def ending(self) -> bool:
        """The answer to come is the last."""
        ...

    def answered(self, *, close: bool) -> None:
        """The answer to the call is written."""
        ...

    def read_on(self) -> None:
        """More of the body may come."""
        ...


class _Route(Note):
    """What a request's head says of its way."""

    __slots__ = ("_forwarded", "address", "before", "health", "own", "timeout")

    def __init__(self, head: Head) -> None:
        """Raises Refusal."""
        own = head.own
        address = registry.rest(head.target).address(head.method, head.target)
        deployment, asked = own.get(DEPLOYMENT), own.get(TIMEOUT)
        self.health = deployment is None and health.asked_over_rest(address)
        """Whether the gateway answers itself."""
        self.own = self.health or (head.method == b"OPTIONS" and cors.is_preflight(first_values(head)))
        """Whether it may be the gateway that answers."""
        if not self.health:
            address = registry.with_headers(address, deployment, own.get(VERSION))
        self.address = address
        self.timeout = None if asked is None else deadlines.from_milliseconds(asked)
        """Seconds, where the client says how long it waits."""
        self.before = assignment_header.read(own.get(ASSIGNMENT))
        self._forwarded: tuple[int, AssignmentFields, bytes] | None = None

    def forwarded(self, head: Head, size: int, assignment_fields: AssignmentFields) -> bytes:
        """The head that goes to the model server, with a body of that size, but for its end."""
        known = self._forwarded
        if known is None or known[0] != size or known[1] is not assignment_fields:
            lines = [*head.lines, assignment_fields.request_line]
            known = self._forwarded = (
                size,
                assignment_fields,
                request_head(head.method, self.address.target, lines, size),
            )
        return known[2]


class RestCall(Call):
    """One request, and the answer as it comes."""

    attempt: RestAttempt | None

    _route: _Route
    _chunked = False

    def __init__(
        self,
        client: Client,
        head: Head,
        body: list[bytes | bytearray],
        size: int,
        held: int,
        share: MemoryShare,
        flows: bool = False,
    ) -> None:
        """`size` of the whole body; `held` bytes of the caller's share are this request's. `flows`: more of the body is
        to come, by `flow`."""
        self.forwarder = client.forwarder
        self._client = client
        self._head = head
        self._body = body
        self._size = size
        self._held = held
        self._share = share
        # An answer that comes before the end of the request is the last: what still comes of that is dropped.
        self._close = head.close or flows
        self.flows = self.paced = flows

    def start(self) -> None:
        head = self._head
        self.request_id = request_id = head.request_id or self.forwarder.new_request_id()
        self._end = b"x-request-id: %b\r\n\r\n" % request_id  # of the answer's head, and of the request's if it is new
        route = head.note
        if not isinstance(route, _Route):
            try:
                route = head.note = _Route(head)
            except Refusal as refusal:
                self.forwarder.refused(registry.rest(head.target).name, refusal, request_id, self.caller)
                self.refuse(refusal)
                return
        if route.own and self._answer_itself(route):
            return
        self._route = route
        self.before = route.before
        self.admit(route.address, self._size, monotonic(), route.timeout)

    # A body that goes on as it comes.

    def flow(self, data: bytes) -> bool:
        """Whether the client may send more at once."""
        self.came += len(data)
        if self.gone and self.attempt is not None:
            return self.attempt.more(data)
        self._body.append(data)
        self._share.add(len(data))
        self._held += len(data)
        return False

    def end(self) -> None:
        """The body is whole."""
        self._close = self._head.close
        self.whole()

    def on_open(self) -> None:
        self.gone = True
        assert self.attempt is not None
        body, self._body = self._body, []  # its share stays taken: that bounds how many go on as they come
        if [self.attempt.more(data) for data in body][-1]:
            self.on_room()

    def on_room(self) -> None:
        self._client.read_on()

    def release(self) -> None:
        """The request is held no longer."""
        self._share.add(-self._held)
        self._held = 0
        self._body = []

    @property
    def caller(self) -> str:
        return self._share.caller

    def values(self) -> Values:
        return first_values(self._head)

    def attempt_at(self, endpoint: Endpoint, assignment_fields: AssignmentFields) -> RestAttempt:
        head = self._route.forwarded(self._head, self._size, assignment_fields)
        end = b"\r\n" if self._head.request_id else self._end
        request, head_only = [head, end, *(() if self.flows else self._body)], self._head.method == b"HEAD"
        # Where a connection ended under it, one that ends again is to say something of the server; and what flows can't
        # be sent again where the server was closing one.
        return RestAttempt(endpoint, request, self.deadline, self, head_only, fresh=self.lost > 0 or self.flows)

    # What the attempt brings.

    def on_answer(self, head: Head, body: list[bytes]) -> None:
        self._close = self._close or self._client.ending
        self._client.transport.write(b"".join((self._whole_head(head, body), self._end, *body)))
        self.complete(head.status)
        self._client.answered(close=self._close)

    def on_first(self, head: Head, body: list[bytes]) -> None:
        self._chunked = head.length is None and self._head.minor == 1 and not _bodiless(head.status)
        self._close = self._close or self._client.ending or (head.length is None and self._head.minor == 0)
        self._client.transport.writelines([self._render(head, None), self._end, *self._framed(body)])

    def on_more(self, body: list[bytes]) -> None:
        self._client.transport.writelines(self._framed(body))

    def on_last(self, head: Head, body: list[bytes]) -> None:
        self.on_more(body)
        if self._chunked:
            self._client.transport.write(LAST_CHUNK)
        self.complete(head.status)
        self._client.answered(close=self._close)

    def _framed(self, body: list[bytes]) -> list[bytes]:
        return [chunk(data) for data in body if data] if self._chunked else body

    def _whole_head(self, answer: Head, body: list[bytes]) -> bytes:
        """The head of an answer that is there as a whole, but for its end. It is kept with what came, for the next that
        comes alike."""
        size = None if _bodiless(answer.status) or self._head.method == b"HEAD" else sum(map(len, body))
        if self._close or not self._head.minor or size != answer.length or self.deployment.cors:
            return self._render(answer, size)
        note = answer.note
        if not isinstance(note, HeadWithFields) or note.fields is not self.assignment_fields:
            assert self.assignment_fields is not None
            note = answer.note = HeadWithFields(self.assignment_fields, self._render(answer, size))
        return note.head

    def _render(self, answer: Head, size: int | None) -> bytes:
        """The answer's head, but for its end. `size` is known where the whole body is."""
        if size is not None:
            framing = b"Content-Length: %d\r\n" % size
        elif self._chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        elif answer.length is not None and answer.status != HTTPStatus.NO_CONTENT:
            framing = b"Content-Length: %d\r\n" % answer.length
        else:
            framing = b""
        assert self.assignment_fields is not None
        lines = answer.lines
        if self.deployment.cors:
            origin = self._head.origin
            lines = [line for line in lines if origin is None or not cors.is_own(line)]
            lines.append(cors.answer_lines(origin, self.deployment.cors))
        return b"HTTP/1.1 %d %b\r\n%b%b%b%b" % (
            answer.status,
            answer.reason,
            b"".join(lines),
            self.assignment_fields.answer_lines,
            framing,
            _connection(self._close, self._head.minor),
        )

    # What the gateway says itself.

    def refuse(self, refusal: Refusal) -> None:
        self._close = self._close or self._client.ending
        answer = error_answer(
            refusal, self._head, self._close, self.forwarder.table, self.request_id, self.assignment_fields
        )
        self._client.transport.write(answer)
        self._client.answered(close=self._close)

    def _answer_itself(self, route: _Route) -> bool:
        """To a question for the gateway's own health, or to a preflight for a deployment that says who may ask."""
        if route.health:
            status, body = health.rest_answer(route.address.method, not self.forwarder.draining)
            lines = [b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)]
        else:
            deployment = _deployment(self._head, self.forwarder.table)
            if deployment is None or not deployment.cors:
                return False
            status, body = 204, b""
            lines = [cors.preflight_lines(first_values(self._head), deployment.cors)]
        self._close = self._close or self._client.ending
        self._client.transport.write(_own_answer(status, lines, body, self._head, self._close))
        self._client.answered(close=self._close)
        return True

    def break_off(self, code: Code, message: str) -> None:
        self._client.transport.abort()  # the one way to show that an answer in HTTP/1.1 is not whole


def error_answer(
    refusal: Refusal,
    request: Head,
    close: bool,
    table: RouteTable | None,
    request_id: bytes,
    assignment_fields: AssignmentFields | None = None,
) -> bytes:
    """A whole answer that says what was wrong in the caller's protocol, to a page too that may ask."""
    status = refusal.status
    content_type, body = registry.rest(request.target).error(refusal.code, status, refusal.message)
    lines = [b"Content-Type: %b\r\nContent-Length: %d\r\n" % (content_type, len(body))]
    if assignment_fields is not None:
        lines.append(assignment_fields.answer_lines)
    if status in (429, 503):
        lines.append(b"Retry-After: 1\r\n")
    lines.append(b"%b: %b\r\n" % (REQUEST_ID, request_id))
    if refusal.allow:
        lines.append(b"Allow: %b\r\n" % refusal.allow.encode())
    if (deployment := _deployment(request, table)) is not None and deployment.cors:
        lines.append(cors.answer_lines(request.origin, deployment.cors))
    return _own_answer(status, lines, body, request, close)


def _deployment(request: Head, table: RouteTable | None) -> Deployment | None:
    """That which the request is for, as far as that is known."""
    try:
        route = request.note if isinstance(request.note, _Route) else _Route(request)
    except Refusal:
        return None
    address = route.address
    return table.find(address.name, address.namespace) if table is not None and address.name else None


def _own_answer(status: int, lines: list[bytes], body: bytes, request: Head, close: bool) -> bytes:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Client Closed Request"
    lines.append(_connection(close, request.minor))
    if request.method == b"HEAD":
        body = b""
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, reason.encode(), b"".join(lines), body)


def _connection(close: bool, minor: int) -> bytes:
    if close:
        return b"Connection: close\r\n"
    return b"" if minor else b"Connection: keep-alive\r\n"


def _bodiless(status: int) -> bool:
    return status in (204, 304)
