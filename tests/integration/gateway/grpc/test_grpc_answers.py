"""What model servers may do wrong over gRPC, and what the client sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.contract.route_table import RouteTable
from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.stats import totals
from gateway.tasks import spawn
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.gateway import Gateway, deployment, table
from tests.fakes.grpc_client import PREDICT, predict
from tests.fakes.grpc_servers import GrpcServer, Script, ServerCall, answering, dying, failing, silent
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import Peer, Server
from tests.fakes.rest_servers import Script as RawScript

StartGateway = Callable[..., Gateway]
GrpcServers = Callable[..., GrpcServer]


def limited(server: GrpcServer, **limits: Any) -> RouteTable:
    """The model `m` with limits of its own."""
    return RouteTable(revision=1, deployments=(deployment("m", {"v1": [server]}, **limits),))


def test_late_answer(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    stream = client.start(PREDICT, predict(), {"grpc-timeout": "2S"})
    (call,) = server.received()
    assert call.metadata["grpc-timeout"].endswith("u")
    assert 0 < int(call.metadata["grpc-timeout"][:-1]) <= 2_000_000, "what remains"
    answer = client.answer(stream)
    assert answer.code == Code.DEADLINE_EXCEEDED
    assert answer.error == "default/m version v1: no whole answer within the deadline"
    assert answer.version == "v1"
    eventually(lambda: call.reset_with, lambda code: code == ErrorCode.CANCEL)
    server.call(lambda: call.answer(b"too late"))
    server.script = answering(b"in time")
    assert client.call(PREDICT, predict()).message == b"in time"
    assert gateway.outcomes("v1") == {"deadline": 1, "success": 1}


def test_deadline_within_an_answer(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    def half(call: ServerCall) -> None:
        call.head()
        call.data(frame(b"half of it")[:8])

    gateway = start_gateway(table(v1=[grpc_servers(half)]), timeout=2.0)
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert answer.data == frame(b"half of it")[:8]
    assert answer.code == Code.DEADLINE_EXCEEDED
    assert gateway.outcomes("v1") == {"deadline": 1}


@pytest.mark.parametrize("asked", ["99999999H", "1H", None])
def test_the_operators_deadline_is_the_longest(
    start_gateway: StartGateway, grpc_servers: GrpcServers, asked: str | None
) -> None:
    server = grpc_servers(answering())
    gateway = start_gateway(limited(server, timeout=50.0), max_timeout=20.0)
    gateway.grpc_client().call(PREDICT, predict(), {"grpc-timeout": asked} if asked else {})
    assert 10_000_000 < int(server.calls[0].metadata["grpc-timeout"][:-1]) <= 20_000_000


@pytest.mark.parametrize(("asked", "least", "most"), [("50S", 40, 50), (None, 20, 30)])
def test_a_callers_deadline_goes_before_the_deployments(
    start_gateway: StartGateway, grpc_servers: GrpcServers, asked: str | None, least: int, most: int
) -> None:
    server = grpc_servers(answering())
    gateway = start_gateway(limited(server, timeout=30.0), timeout=10.0)
    gateway.grpc_client().call(PREDICT, predict(), {"grpc-timeout": asked} if asked else {})
    assert least < int(server.calls[0].metadata["grpc-timeout"][:-1]) / 1e6 <= most


def test_a_stream_that_flows_is_not_cut(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    """Six pieces in more than the deadline."""

    async def pieces(call: ServerCall) -> None:
        call.head()
        for number in range(6):
            await asyncio.sleep(0.5)
            call.data(frame(b"%d" % number))
        call.trailers(Code.OK)

    def flowing(call: ServerCall) -> None:
        spawn(pieces(call), "answer in pieces")

    gateway = start_gateway(limited(grpc_servers(flowing), timeout=2.0))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, bytes(answer.data)) == (Code.OK, b"".join(frame(b"%d" % number) for number in range(6)))
    # This caller waits for the whole of it, and no longer.
    assert gateway.grpc_client().call(PREDICT, predict(), {"grpc-timeout": "2S"}).code == Code.DEADLINE_EXCEEDED
    assert gateway.outcomes("v1") == {"success": 1, "deadline": 1}


def test_a_deployment_may_take_less_than_the_gateway(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(limited(grpc_servers(answering()), max_message_bytes=100))
    assert gateway.grpc_client().call(PREDICT, predict()).code == Code.OK
    answer = gateway.grpc_client().call(PREDICT, predict(size=200))
    assert (answer.code, answer.error) == (Code.RESOURCE_EXHAUSTED, "default/m takes at most 100 bytes a request")


def test_request_that_never_ends(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering())]), timeout=0.1)
    client = gateway.grpc_client()
    stream = client.open(PREDICT)
    client.data(stream, frame(predict())[:-1])
    answer = client.answer(stream)
    assert (answer.code, answer.error) == (Code.DEADLINE_EXCEEDED, "the request did not arrive in time")
    assert gateway.refusals() == {("tfserving-grpc", "slow_request"): 1}


def half_then_dead(call: ServerCall) -> None:
    call.head()
    call.data(frame(b"half of it")[:8])
    call.peer.transport.close()


def half_then_reset(call: ServerCall) -> None:
    call.head()
    call.data(frame(b"half of it")[:8])
    call.reset(ErrorCode.INTERNAL_ERROR)


@pytest.mark.parametrize(
    ("script", "code", "error"),
    [
        (half_then_dead, Code.UNAVAILABLE, "default/m version v1: the connection ended before the answer did"),
        (half_then_reset, Code.INTERNAL, "the stream was reset: INTERNAL_ERROR"),
    ],
)
def test_half_an_answer(
    start_gateway: StartGateway, grpc_servers: GrpcServers, script: Script, code: Code, error: str
) -> None:
    server = grpc_servers(script)
    gateway = start_gateway(table(v1=[server]))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert answer.data == frame(b"half of it")[:8]
    assert (answer.code, answer.error) == (code, error)
    assert answer.version == "v1"
    assert len(server.calls) == 1, "what has begun is not asked for again"
    assert gateway.outcomes("v1") == {"server_error": 1}


def no_trailers(call: ServerCall) -> None:
    call.head()
    call.data(frame(b"all"), end=True)


def trailers_without_status(call: ServerCall) -> None:
    call.head()
    call.data(frame(b"all"))
    call.trailers(None, {"x-else": "kept"})


def status_that_is_no_number(call: ServerCall) -> None:
    call.head()
    call.data(frame(b"all"))
    call.trailers(None, {"grpc-status": "fine"})


def status_that_nobody_knows(call: ServerCall) -> None:
    call.head()
    call.data(frame(b"all"))
    call.trailers(None, {"grpc-status": "17"})


@pytest.mark.parametrize(
    "script", [no_trailers, trailers_without_status, status_that_is_no_number, status_that_nobody_knows]
)
def test_missing_status_is_unknown(start_gateway: StartGateway, grpc_servers: GrpcServers, script: Script) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(script)]))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.message) == (Code.UNKNOWN, b"all")
    assert gateway.outcomes("v1") == {"server_error": 1}


def test_missing_status_without_an_answer(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(failing(None))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    answer = client.call(PREDICT, predict())
    assert (answer.code, answer.version) == (Code.UNKNOWN, "v1")
    server.script = lambda call: call.trailers_only(None, {"grpc-status": "fine"})
    assert client.call(PREDICT, predict()).code == Code.UNKNOWN
    assert gateway.outcomes("v1") == {"server_error": 2}


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (Code.INVALID_ARGUMENT, "client_error"),
        (Code.NOT_FOUND, "client_error"),
        (Code.RESOURCE_EXHAUSTED, "client_error"),
        (Code.INTERNAL, "server_error"),
        (Code.UNAVAILABLE, "server_error"),
        (Code.UNIMPLEMENTED, "server_error"),
        (Code.DEADLINE_EXCEEDED, "deadline"),
        (Code.CANCELLED, "cancelled"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_errors_of_servers_go_through(
    start_gateway: StartGateway, grpc_servers: GrpcServers, code: Code, outcome: str, begun: bool
) -> None:
    own = {"grpc-message": "of the server ", "x-turnout-version": "forged", "x-of-server": "kept"}

    def script(call: ServerCall) -> None:
        if begun:
            call.head()
            call.trailers(code, own)
        else:
            call.trailers_only(code, own)

    server = grpc_servers(script)
    gateway = start_gateway(table(v1=[server]))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.error, answer.version) == (code, "of the server ", "v1")  # as gRPC's own do
    assert answer.trailers is not None
    assert answer.trailers["x-of-server"] == "kept"
    assert answer.trailers.get("x-turnout-version") == (None if begun else "v1")
    assert len(server.calls) == 1
    assert gateway.outcomes("v1") == {outcome: 1}


async def not_http2(peer: Peer) -> None:
    await peer.reader.read(100)
    await peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await peer.reader.read()


async def noise(peer: Peer) -> None:
    await peer.reader.read(100)
    await peer.send(bytes(range(256)) * 4)
    await peer.reader.read()


async def closing(peer: Peer) -> None:
    await peer.reader.read(100)


async def mute(peer: Peer) -> None:
    await peer.reader.read()


@pytest.mark.parametrize("script", [not_http2, noise, closing])
def test_no_http2(start_gateway: StartGateway, servers: Callable[..., Server], script: RawScript) -> None:
    gateway = start_gateway(table(v1=[servers(script)]))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.error) == (Code.UNAVAILABLE, "default/m version v1: no connection could be made")
    assert gateway.outcomes("v1") == {"unavailable": 1}
    assert gateway.retries("v1") == {"connect": 2}


def garbage(call: ServerCall) -> None:
    call.peer.transport.write(b"\xff" * 100)


@pytest.mark.parametrize(
    ("script", "error", "retries"),
    [
        (garbage, "what it sent is not the protocol", 2),
        (dying, "the connection ended before the answer did", 1),
    ],
)
def test_nothing_of_an_answer(
    start_gateway: StartGateway, grpc_servers: GrpcServers, script: Script, error: str, retries: int
) -> None:
    server = grpc_servers(script)
    gateway = start_gateway(table(v1=[server]))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.error) == (Code.UNAVAILABLE, f"default/m version v1: {error}")
    assert gateway.outcomes("v1") == {"unavailable": 1}
    assert gateway.retries("v1") == {"reset": retries}


def test_server_that_does_not_greet(start_gateway: StartGateway, servers: Callable[..., Server]) -> None:
    gateway = start_gateway(table(v1=[servers(mute)]), read_timeout=0.05)
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.error) == (Code.UNAVAILABLE, "default/m version v1: no connection could be made")
    assert gateway.retries("v1") == {"connect": 2}


def test_no_answer_at_all(start_gateway: StartGateway, servers: Callable[..., Server]) -> None:
    gateway = start_gateway(table(v1=[servers(mute)]), read_timeout=1.0)
    answer = gateway.grpc_client().call(PREDICT, predict(), {"grpc-timeout": "100m"})
    assert answer.code == Code.DEADLINE_EXCEEDED
    assert gateway.outcomes("v1") == {"deadline": 1}


def test_malformed_answer_ends_its_stream_alone(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    waiting: list[ServerCall] = []

    def script(call: ServerCall) -> None:
        if not waiting:
            waiting.append(call)
        else:
            call.head({"x-two-lines": "a\r\nb"})

    server = grpc_servers(script)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    good = client.start(PREDICT, predict())
    server.received()
    assert client.call(PREDICT, predict()).code == Code.INTERNAL
    server.call(lambda: waiting[0].answer(b"well"))
    assert client.answer(good).message == b"well"
    assert server.connections == 1


def test_oversized_metadata_of_an_answer(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(lambda call: call.head({"x-large": "x" * 10_000}))
    gateway = start_gateway(table(v1=[server]), max_head_bytes=4096)
    assert gateway.grpc_client().call(PREDICT, predict()).code == Code.INTERNAL
    assert gateway.endpoints(totals.ENDPOINT_IN_FLIGHT) == {f"127.0.0.1:{server.port}": 0}


def test_large_answer(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    message = bytes(range(256)) * 40_000  # ten times the window of a stream
    gateway = start_gateway(table(v1=[grpc_servers(answering(message))]))
    assert gateway.grpc_client().call(PREDICT, predict()).message == message


def test_large_request(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(answering())
    gateway = start_gateway(table(v1=[server]))
    message = predict(size=10_000_000)
    assert gateway.grpc_client(greedy=False).call(PREDICT, message).code == Code.OK
    assert server.calls[0].body == frame(message)
