"""An attempt: one try to get a request answered by one endpoint. It needs no client, only a sink for the answer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Protocol

from gateway.contract.headers import REQUEST_ID, is_own
from gateway.protocols import deadlines, grpc_status
from gateway.refusal import HTTP_STATUS, Code
from gateway.stats.evidence_recorder import PATIENCE
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.failure import Failure
from gateway.upstream.grpc_pool import GrpcExchange
from gateway.upstream.rest_pool import RestExchange
from gateway.wire.http1.heads import Head
from gateway.wire.http2.fields import Field, Fields, encode, kind
from gateway.wire.http2.frames import ErrorCode
from gateway.wire.note import Note

_TIMEOUT = encode(b"grpc-timeout", b"")[:-1]
"""The field up to the length of its value, which is below 127."""

_UNKNOWN = encode(b"grpc-status", b"2")

# Plain numbers, since each look at a member of HTTPStatus costs as much as a call.
_UNAVAILABLE = 503
_AGAINST_ENDPOINT = (502, 503, 504)


class Sink(Protocol):
    """Who takes what comes of an attempt. What ends the answer, or `failed`, comes last, once, and not after `cancel`;
    by then the attempt counts nowhere as under way. Where the request flows, `on_open` comes first, if there is a
    connection."""

    silence: float | None
    """Seconds without a byte after which an answer that has begun is given up, whatever the deadline is. None: the
    deadline holds for the whole of it."""

    flows: bool
    """The request goes on as it comes: `silence` counts from its start."""

    awaits: bool
    """The server has all that it needs to answer: its silence is its own."""

    def on_open(self) -> None:
        """The attempt's `more` takes the request from now on."""
        ...

    def on_room(self) -> None:
        """What `more` did not take at once has gone on."""
        ...

    def unavailable(self) -> bool:
        """The server says that it can't now, and nothing of that has gone on: whether it is to count as a failure, and
        not as the answer."""
        ...

    def failed(self, failure: Failure, *, sent: bool) -> None:
        """No whole answer comes, or no more of it. `sent`: the server may have seen the request."""
        ...


class RestSink(Sink, Protocol):
    """Either `on_answer`, or `on_first`, `on_more` any number of times, and `on_last`."""

    def on_answer(self, head: Head, body: list[bytes]) -> None: ...
    def on_first(self, head: Head, body: list[bytes]) -> None: ...
    def on_more(self, body: list[bytes]) -> None: ...
    def on_last(self, head: Head, body: list[bytes]) -> None: ...


class GrpcSink(Sink, Protocol):
    """Either `on_answer`, or `on_trailers_only`, or `on_head`, `on_data` any number of times, and `on_trailers`."""

    def on_answer(self, head: Fields, data: bytes, trailers: Trailers) -> None: ...
    def on_trailers_only(self, trailers: Trailers) -> None: ...
    def on_head(self, head: Fields) -> None: ...
    def on_data(self, data: bytes) -> bool:
        """Whether it takes up no more memory. If not, the attempt's `consumed` is to be called once that is so."""
        ...

    def on_trailers(self, trailers: Trailers) -> None: ...


class Attempt(ABC):
    """One try. `start` comes once; from then on it is under way until the sink is told of its end, or `cancel`."""

    __slots__ = ("_since", "_timer", "begun", "deadline", "endpoint", "sink")

    endpoint: Endpoint
    deadline: float
    """Seconds of the monotonic clock."""
    sink: Sink
    begun: bool
    """A byte of the answer has gone on to the sink."""
    _since: float
    """When it was started; once it has begun, when the last of the answer came."""
    _timer: asyncio.TimerHandle

    def start(self) -> None:
        """Send the request. The sink may be told of a failure before this returns."""
        self._since = now = monotonic()
        self._timer = asyncio.get_running_loop().call_later(self.deadline - now, self._expire)
        self.endpoint.sent()
        self._send()

    def cancel(self) -> None:
        """Give up: the server is told so where the wire has a way, and the sink nothing."""
        self._timer.cancel()
        self.endpoint.done()
        self._withdraw()

    @abstractmethod
    def _send(self) -> None:
        """Hand the request to one of the endpoint's pools."""

    @abstractmethod
    def _withdraw(self) -> None:
        """Take it back, from its connection or while it waits for one."""

    # What the connection tells.

    @property
    def flows(self) -> bool:
        return self.sink.flows

    def opened(self) -> None:
        self.sink.on_open()

    def on_writable(self) -> None:
        self._since = monotonic()
        self.sink.on_room()

    def failed(self, failure: Failure, *, sent: bool) -> None:
        self._timer.cancel()
        self.endpoint.done()
        if failure != Failure.FULL:  # which is our limit, not its fault
            self.endpoint.failed(monotonic(), refused=failure == Failure.CONNECT)
        self.sink.failed(failure, sent=sent)

    def _unavailable(self) -> bool:
        """The server says that it can't now: whether that is the end of this attempt."""
        if not self.sink.unavailable():
            return False
        self._withdraw()
        self.failed(Failure.UNAVAILABLE, sent=True)
        return True

    def _answered(self, status: int) -> None:
        """The answer is whole. `status`: HTTP's, or the one that gRPC's code maps to."""
        self._timer.cancel()
        endpoint = self.endpoint
        endpoint.done()
        if status in _AGAINST_ENDPOINT:
            endpoint.failed(monotonic(), refused=False)
        else:
            endpoint.succeeded()

    def _expire(self) -> None:
        """The deadline is there."""
        now = monotonic()
        if (
            (self.begun or self.sink.flows)
            and self.sink.silence is not None
            and (left := self._since + self.sink.silence - now) > 0
        ):
            self._timer = asyncio.get_running_loop().call_later(left, self._expire)
            return
        self.cancel()
        # Where the answer has begun its taker may be the slow one; where it gave little time, nothing is proved.
        if not self.begun and self.sink.awaits and now - self._since >= PATIENCE:
            self.endpoint.failed(now, refused=False)
        self.sink.failed(Failure.DEADLINE, sent=True)


class RestAttempt(Attempt):
    """Over HTTP/1.1."""

    __slots__ = ("_body", "_head", "exchange", "fresh", "head_only", "request")

    sink: RestSink

    def __init__(
        self,
        endpoint: Endpoint,
        request: list[bytes | bytearray],
        deadline: float,
        sink: RestSink,
        head_only: bool = False,
        fresh: bool = False,
    ) -> None:
        """`request`: its bytes, in pieces; only the head's where the sink's request flows. `head_only`: it asks for the
        head of an answer alone. `fresh`: it goes over no connection that was used before."""
        self.endpoint = endpoint
        self.request = request
        self.head_only = head_only
        self.fresh = fresh
        self.deadline = deadline
        self.sink = sink
        self.begun = False
        self.exchange: RestExchange | None = None
        self._head: Head | None = None
        self._body: list[bytes] = []

    def _send(self) -> None:
        self.endpoint.rest.send(self)

    def _withdraw(self) -> None:
        if self.exchange is None:
            self.endpoint.rest.cancel(self)
        else:
            self.exchange.cancel()
            self.exchange = None

    def more(self, data: bytes | bytearray) -> bool:
        """Send what has come of the body. False: the server takes no more now; `on_room` tells when it does."""
        assert self.exchange is not None
        self._since = monotonic()
        return self.exchange.more(data)

    def pause(self) -> None:
        """Bring no more of the answer for now, once there is a connection that does."""
        if self.exchange is not None:
            self.exchange.pause()

    def resume(self) -> None:
        if self.exchange is not None:
            self.exchange.resume()

    # What the connection tells.

    def on_head(self, head: Head) -> None:
        if head.status == _UNAVAILABLE and self._unavailable():
            return
        self._head = head

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def flush(self) -> None:
        head = self._head
        if head is None:
            return
        body, self._body = self._body, []
        self._since = monotonic()
        if self.begun:
            self.sink.on_more(body)
        else:
            self.begun = True
            self.sink.on_first(head, body)

    def ended(self) -> None:
        head = self._head
        assert head is not None
        self._answered(head.status)
        if self.begun:
            self.sink.on_last(head, self._body)
        else:
            self.begun = True
            self.sink.on_answer(head, self._body)


class GrpcAttempt(Attempt):
    """Over a stream of HTTP/2."""

    __slots__ = ("_block", "_message", "exchange", "stream_id")

    sink: GrpcSink
    stream_id: int
    """While there is an exchange."""

    def __init__(self, endpoint: Endpoint, block: bytes, message: bytes, deadline: float, sink: GrpcSink) -> None:
        """`block`: the header block but for `grpc-timeout`, in no table's terms. `message`: with its prefix; b"" where
        the sink's request flows."""
        self.endpoint = endpoint
        self.deadline = deadline
        self.sink = sink
        self.begun = False
        self.exchange: GrpcExchange | None = None
        self._block = block
        self._message = message

    @property
    def request(self) -> tuple[bytes, bytes]:
        left = deadlines.to_grpc(self.deadline - monotonic())
        return b"%b%b%c%b" % (self._block, _TIMEOUT, len(left), left), self._message

    def _send(self) -> None:
        self.endpoint.grpc.send(self)

    def _withdraw(self) -> None:
        if self.exchange is None:
            self.endpoint.grpc.cancel(self)
        else:
            self.exchange.cancel(self.stream_id)

    def more(self, data: bytes, end: bool) -> bool:
        """Send what has come of the request. False: the server takes no more now; `on_room` tells when it does."""
        assert self.exchange is not None
        self._since = monotonic()
        return self.exchange.more(self.stream_id, data, end)

    def consumed(self, size: int) -> None:
        """So many bytes, for which the sink's `on_data` was False, take up memory no longer."""
        if self.exchange is not None:
            self.exchange.consumed(self.stream_id, size)

    # What the connection tells.

    def on_head(self, fields: Fields, end: bool) -> None:
        if not end:
            self.begun = True
            self._since = monotonic()
            self.sink.on_head(fields)
            return
        trailers = Trailers.of(fields)
        if trailers.code == Code.UNAVAILABLE and self._unavailable():
            return
        self._answered(trailers.status)
        self.begun = True
        self.sink.on_trailers_only(trailers)

    def on_answer(self, fields: Fields, data: bytes, trailers: Fields) -> None:
        last = trailers.note
        if not isinstance(last, Trailers):  # not by `of`, since this is most answers' way
            last = Trailers.of(trailers)
        self._answered(last.status)
        self.begun = True
        self.sink.on_answer(fields, data, last)

    def on_data(self, data: bytes, end: bool) -> bool:
        if not end:
            self._since = monotonic()
            return self.sink.on_data(data)
        self._answered(_NO_TRAILERS.status)
        self.sink.on_data(data)
        self.sink.on_trailers(_NO_TRAILERS)
        return True

    def on_trailers(self, fields: Fields) -> None:
        trailers = Trailers.of(fields)
        self._answered(trailers.status)
        self.sink.on_trailers(trailers)

    def on_reset(self, code: int) -> None:
        """An answer, as gRPC has it: the server is there, and it may be the request that it can't stand."""
        trailers = _reset(code, self.begun)
        self._answered(trailers.status)
        if self.begun:
            self.sink.on_trailers(trailers)
        else:
            self.begun = True
            self.sink.on_trailers_only(trailers)


class Trailers(Note):
    """What an answer ends with, or all there is of one. Blocks that are alike share it."""

    __slots__ = ("block", "code", "status")

    def __init__(self, fields: Sequence[Field]) -> None:
        self.code = _code(fields)
        """None where there is no `grpc-status`, or none that is known: the specification makes that UNKNOWN."""
        self.status = HTTP_STATUS[Code.UNKNOWN if self.code is None else self.code]
        """HTTP's for it."""
        if self.code is None:
            self.block = onward([field for field in fields if field[0] != b"grpc-status"]) + _UNKNOWN
        else:
            self.block = onward(fields)
        """What goes on."""

    @staticmethod
    def of(fields: Fields) -> Trailers:
        note = fields.note
        if not isinstance(note, Trailers):
            note = fields.note = Trailers(fields)
        return note


def onward(fields: Sequence[Field]) -> bytes:
    """The block of what goes on of a server's fields."""
    return b"".join([field[2] for field in fields if not is_own(field[0]) and field[0] != REQUEST_ID])


def _code(fields: Sequence[Field]) -> Code | None:
    for field in fields:
        if field[0] == b"grpc-status":
            try:
                return Code(int(field[1]))
            except ValueError:
                return None
    return None


_RESET_CODES: dict[int, Code] = {
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
"""What gRPC's own clients make of a stream's reset: INTERNAL but for these.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Errors
"""


@lru_cache(maxsize=64)
def _reset(number: int, begun: bool) -> Trailers:
    """What a stream's reset ends its answer with, or all there is of one that had not begun."""
    name = ErrorCode(number).name if number in ErrorCode.__members__.values() else str(number)
    head = () if begun else ((b":status", b"200"), (b"content-type", b"application/grpc"))
    status = (
        (b"grpc-status", b"%d" % _RESET_CODES.get(number, Code.INTERNAL)),
        (b"grpc-message", grpc_status.message(f"the stream was reset: {name}")),
    )
    return Trailers([Field(name, value, encode(name, value), kind(name, value)) for name, value in (*head, *status)])


_NO_TRAILERS = Trailers(())
