"""Attempts without a client, at real servers: what their sink is told, when, and what that leaves behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from gateway import attempt as attempts
from gateway.attempt import Attempt, GrpcAttempt, RestAttempt, Trailers
from gateway.contract import route_table
from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.settings import Settings
from gateway.stats import counters
from gateway.stats.counters import Counters
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.failure import Failure
from gateway.wire.http1.heads import Head
from gateway.wire.http2.fields import Fields, encode_all
from tests.fakes import grpc_servers as grpc
from tests.fakes.loop import LoopThread
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import Peer, Server, always, answer, resetting, silent, unused_port

HOUR = 3600.0


class Sink:
    """Takes what comes of an attempt of either wire, and counts for nobody."""

    silence: float | None = None
    flows = False
    awaits = True

    def __init__(self, *, gives_up: bool = False) -> None:
        self.events: list[tuple[object, ...]] = []
        self._gives_up = gives_up

    def on_open(self) -> None: ...

    def on_room(self) -> None: ...

    def unavailable(self) -> bool:
        return self._gives_up

    def failed(self, failure: Failure, *, sent: bool) -> None:
        self.events.append(("failed", failure, sent))


class RestSink(Sink):
    def on_answer(self, head: Head, body: list[bytes]) -> None:
        self.events.append(("whole", head.status, b"".join(body)))

    def on_first(self, head: Head, body: list[bytes]) -> None:
        self.events.append(("first", head.status, b"".join(body)))

    def on_more(self, body: list[bytes]) -> None:
        self.events.append(("more", b"".join(body)))

    def on_last(self, head: Head, body: list[bytes]) -> None:
        self.events.append(("last", head.status, b"".join(body)))


class GrpcSink(Sink):
    def on_answer(self, head: Fields, data: bytes, trailers: Trailers) -> None:
        self.events.append(("whole", trailers.status, data[5:]))

    def on_trailers_only(self, trailers: Trailers) -> None:
        self.events.append(("whole", trailers.status, b""))

    def on_head(self, head: Fields) -> None:
        pass

    def on_data(self, data: bytes) -> bool:
        self.events.append(("first", 200, data[5:]))
        return True

    def on_trailers(self, trailers: Trailers) -> None:
        self.events.append(("last", trailers.status, b""))


class Wire(ABC):
    """One protocol's attempts, and servers that do alike in both."""

    sink: Sink

    def __init__(self, loop: LoopThread) -> None:
        self.loop = loop
        self.attempt: Attempt

    def start(
        self, at: route_table.Endpoint, *, seconds: float = HOUR, gives_up: bool = False, cancel: bool = False
    ) -> None:
        """`cancel`: at once, before there can be a connection."""
        slot = Counters(bytearray(counters.SIZE)).endpoint("default", "m", "v1", at)

        def begin() -> None:
            self.endpoint = Endpoint(at, slot, Settings())
            self.attempt = self.make(monotonic() + seconds, gives_up)
            self.attempt.start()
            if cancel:
                self.attempt.cancel()

        self.loop.call(begin)

    def events(self, number: int) -> list[tuple[object, ...]]:
        """What the sink was told, once it is so much. The attempt's count at its endpoint is over with its end."""
        eventually(lambda: len(self.sink.events), lambda length: length >= number)
        return self.loop.call(lambda: list(self.sink.events))

    def answered(self) -> tuple[object, bytes]:
        """Status and body of the answer, once it is whole, in however many pieces it came."""
        eventually(lambda: [one for one in self.sink.events if one[0] in ("whole", "last")])
        events = self.events(1)
        assert [one[0] for one in events] in (["whole"], ["first", "last"])
        return events[-1][1], b"".join(body for *_, body in events if isinstance(body, bytes))

    def close(self) -> None:
        if hasattr(self, "endpoint"):
            assert self.endpoint.in_flight == 0
            self.loop.call(self.endpoint.close)

    @abstractmethod
    def make(self, deadline: float, gives_up: bool) -> Attempt: ...
    @abstractmethod
    def answering(self) -> route_table.Endpoint: ...
    @abstractmethod
    def busy(self) -> route_table.Endpoint: ...
    @abstractmethod
    def resetting(self) -> route_table.Endpoint: ...
    @abstractmethod
    def breaking(self) -> route_table.Endpoint:
        """It resets once `break_now` is called, after a part of the answer."""

    @abstractmethod
    def break_now(self) -> None: ...
    @abstractmethod
    def silent(self) -> route_table.Endpoint: ...
    @abstractmethod
    def wait_for_request(self) -> None:
        """Returns once the silent server has the request."""

    @abstractmethod
    def told_to_stop(self) -> None:
        """Returns once the silent server knows that nobody waits any more."""

    @abstractmethod
    def requests(self) -> list[bytes]:
        """The bodies of what has come."""


class Rest(Wire):
    def __init__(self, loop: LoopThread, servers: Callable[..., Server]) -> None:
        super().__init__(loop)
        self._servers = servers

    def _serve(self, script: Callable[[Peer], object]) -> route_table.Endpoint:
        self._server = self._servers(script)
        return self._server.endpoint

    def make(self, deadline: float, gives_up: bool) -> RestAttempt:
        self.sink = sink = RestSink(gives_up=gives_up)
        request: list[bytes | bytearray] = [b"POST / HTTP/1.1\r\nHost: m\r\nContent-Length: 4\r\n\r\n", b"as", b"ks"]
        return RestAttempt(self.endpoint, request, deadline, sink)

    def answering(self) -> route_table.Endpoint:
        return self._serve(always(answer(b"{}")))

    def busy(self) -> route_table.Endpoint:
        return self._serve(always(answer(b"", "503 Service Unavailable")))

    def resetting(self) -> route_table.Endpoint:
        return self._serve(resetting)

    def breaking(self) -> route_table.Endpoint:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(answer(b"1234567")[:-3])
            await peer.server.gate.wait()
            peer.reset()

        return self._serve(script)

    def break_now(self) -> None:
        self._server.open_gate()

    def silent(self) -> route_table.Endpoint:
        return self._serve(silent)

    def wait_for_request(self) -> None:
        eventually(self.requests)

    def told_to_stop(self) -> None:
        eventually(lambda: self._server.open, lambda left: not left)

    def requests(self) -> list[bytes]:
        return self._server.bodies


class Grpc(Wire):
    def __init__(self, loop: LoopThread, servers: Callable[..., grpc.GrpcServer]) -> None:
        super().__init__(loop)
        self._servers = servers

    def _serve(self, script: grpc.Script) -> route_table.Endpoint:
        self._server = self._servers(script)
        return self._server.endpoint

    def make(self, deadline: float, gives_up: bool) -> GrpcAttempt:
        self.sink = sink = GrpcSink(gives_up=gives_up)
        block = encode_all((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b"te", b"trailers"))
        return GrpcAttempt(self.endpoint, block, frame(b"asks"), deadline, sink)

    def answering(self) -> route_table.Endpoint:
        return self._serve(grpc.answering(b"{}"))

    def busy(self) -> route_table.Endpoint:
        return self._serve(grpc.failing(Code.UNAVAILABLE))

    def resetting(self) -> route_table.Endpoint:
        return self._serve(grpc.dying)

    def breaking(self) -> route_table.Endpoint:
        def script(call: grpc.ServerCall) -> None:
            call.head()
            call.data(frame(b"1234"))

        return self._serve(script)

    def break_now(self) -> None:
        self._server.call(self._server.calls[0].peer.die)

    def silent(self) -> route_table.Endpoint:
        return self._serve(grpc.silent)

    def wait_for_request(self) -> None:
        self._server.received()

    def told_to_stop(self) -> None:
        eventually(lambda: self._server.calls[0].reset_with is not None)

    def requests(self) -> list[bytes]:
        return [bytes(call.body[5:]) for call in self._server.calls]


@pytest.fixture(params=["rest", "grpc"])
def wire(
    request: pytest.FixtureRequest,
    loop: LoopThread,
    servers: Callable[..., Server],
    grpc_servers: Callable[..., grpc.GrpcServer],
) -> Iterator[Wire]:
    made: Wire = Rest(loop, servers) if request.param == "rest" else Grpc(loop, grpc_servers)
    yield made
    made.close()


def test_a_whole_answer_is_told_and_the_end_of_it_last(wire: Wire) -> None:
    wire.start(wire.answering())
    assert wire.answered() == (200, b"{}")
    assert wire.attempt.begun
    assert wire.requests() == [b"asks"]
    assert not wire.endpoint.ejection.troubled


def test_a_reset_before_a_byte_leaves_nothing_begun(wire: Wire) -> None:
    wire.start(wire.resetting())
    assert wire.events(1) == [("failed", Failure.RESET, True)]
    assert not wire.attempt.begun
    assert wire.endpoint.ejection.troubled


def test_a_reset_after_a_byte_comes_after_what_has_gone_on(wire: Wire) -> None:
    wire.start(wire.breaking())
    assert wire.events(1) == [("first", 200, b"1234")]
    assert wire.attempt.begun
    assert wire.endpoint.in_flight == 1
    wire.break_now()
    assert wire.events(2)[1:] == [("failed", Failure.RESET, True)]


def test_the_deadline_ends_it_and_the_server_is_told(wire: Wire) -> None:
    wire.start(wire.silent(), seconds=0.5)
    wire.wait_for_request()
    assert wire.events(1) == [("failed", Failure.DEADLINE, True)]
    assert not wire.attempt.begun
    wire.told_to_stop()
    assert not wire.endpoint.ejection.troubled, "half a second proves nothing"


def test_an_endpoint_that_had_its_time_and_said_nothing_is_in_trouble(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PATIENCE", 0.0)
    wire.start(wire.silent(), seconds=0.05)
    assert wire.events(1) == [("failed", Failure.DEADLINE, True)]
    assert wire.endpoint.ejection.troubled


def test_the_deadline_of_an_answer_under_way_is_not_held_against_its_endpoint(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PATIENCE", 0.0)
    wire.start(wire.breaking(), seconds=2.0)
    assert wire.events(2) == [("first", 200, b"1234"), ("failed", Failure.DEADLINE, True)]
    assert not wire.endpoint.ejection.troubled


def test_once_cancelled_it_tells_nothing_and_the_server_is_told(wire: Wire) -> None:
    wire.start(wire.silent())
    wire.wait_for_request()
    wire.loop.call(lambda: wire.attempt.cancel())
    wire.told_to_stop()
    assert wire.events(0) == []
    assert not wire.endpoint.ejection.troubled


def test_cancelled_before_there_is_a_connection_it_is_never_sent(wire: Wire) -> None:
    wire.start(wire.answering(), cancel=True)
    cancelled = wire.sink
    again = wire.loop.call(lambda: wire.make(monotonic() + HOUR, gives_up=False))
    wire.loop.call(again.start)
    assert wire.answered() == (200, b"{}")
    assert cancelled.events == []
    assert wire.requests() == [b"asks"]


def test_no_server_means_that_nothing_was_sent(wire: Wire) -> None:
    port = unused_port()
    wire.start(route_table.Endpoint(host="127.0.0.1", rest=port, grpc=port))
    assert wire.events(1) == [("failed", Failure.CONNECT, False)]


@pytest.mark.parametrize("gives_up", [True, False])
def test_whether_a_busy_servers_answer_is_one_its_sink_decides(wire: Wire, gives_up: bool) -> None:
    wire.start(wire.busy(), gives_up=gives_up)
    assert wire.events(1) == [("failed", Failure.UNAVAILABLE, True) if gives_up else ("whole", 503, b"")]
    assert wire.attempt.begun != gives_up
    assert wire.endpoint.ejection.troubled
