"""What connections hold in memory: it is bounded, and it goes with them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from gateway.downstream.grpc_connection import GrpcConnection
from gateway.downstream.rest_connection import RestConnection
from gateway.refusal import Code
from gateway.stats import counters
from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.frames import ErrorCode
from gateway.wire.limits import FULL_READ_BYTES
from tests.fakes.gateway import PREDICT as REST_PREDICT
from tests.fakes.gateway import Gateway, table
from tests.fakes.grpc_client import PREDICT, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering
from tests.fakes.grpc_servers import silent as silent_grpc
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import request
from tests.fakes.rest_servers import Server, echo, silent

StartGateway = Callable[..., Gateway]
GrpcServers = Callable[..., GrpcServer]
Servers = Callable[..., Server]

NARROW = Limits(stream_window=frames.DEFAULT_WINDOW, connection_window=frames.DEFAULT_WINDOW)


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def open_connections(gateway: Gateway) -> int:
    return gateway.snapshot().worker[counters.OPEN_CONNECTIONS]


def connections(gateway: Gateway) -> list[weakref.ref[object]]:
    return gateway.call(lambda: [weakref.ref(connection) for connection in gateway.fronts])


@pytest.mark.usefixtures("no_collection")
def test_a_closed_connection_is_no_cycle(
    start_gateway: StartGateway, servers: Servers, grpc_servers: GrpcServers
) -> None:
    rest = start_gateway(table(v1=[servers(echo)]))
    grpc = start_gateway(table(v1=[grpc_servers(answering())]))
    client, grpc_client = rest.client(), grpc.grpc_client()
    assert client.post(REST_PREDICT).status == 200
    assert grpc_client.call(PREDICT, predict()).code == Code.OK
    references = connections(rest) + connections(grpc)
    assert [reference() is not None for reference in references] == [True, True]
    client.close()
    grpc_client.close()
    eventually(lambda: [reference() is not None for reference in references], lambda left: left == [False, False])


def test_answers_that_a_client_lets_wait_are_in_its_share(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    server = grpc_servers(silent_grpc)
    gateway = start_gateway(table(v1=[server]), gather_budget_bytes=600_000)
    hoarding, other = gateway.grpc_client(limits=NARROW, greedy=False), gateway.grpc_client()
    for _ in range(20):
        hoarding.start(PREDICT, predict())
    calls = server.received(20)

    def answer_all() -> None:
        for call in calls:
            call.answer(bytes(60_000))

    server.call(answer_all)
    hoarding.until_ended()
    assert hoarding.goaways[-1][1] == ErrorCode.ENHANCE_YOUR_CALM
    stream = other.start(PREDICT, predict())
    last = server.received(21)[-1]
    server.call(lambda: last.answer(b"well"))
    assert other.answer(stream).message == b"well"
    gateway.rests()


def test_a_client_that_takes_a_byte_now_and_then_is_not_slow(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering(bytes(60_000)))]), timeout=60.0, idle_timeout=1000.0)
    client = gateway.grpc_client(limits=NARROW, greedy=False)
    for _ in range(5):
        client.start(PREDICT, predict())
    eventually(lambda: gateway.outcomes("v1").get("success"), lambda ended: ended == 5)
    (connection,) = gateway.call(lambda: list(gateway.fronts))
    assert isinstance(connection, GrpcConnection)
    gateway.sweep(now := monotonic())
    before = connection.wire.let_go
    for turn in range(1, 7):
        client.socket.sendall(frames.window_update(0, 1))
        eventually(lambda: connection.wire.let_go, lambda let_go: let_go == before + turn)  # noqa: B023
        gateway.sweep(now + 9 * turn)
        assert open_connections(gateway) == 1
    gateway.sweep(now + 61)
    eventually(lambda: open_connections(gateway), lambda left: left == 0)


def test_heads_are_in_their_connections_share(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering())]), gather_budget_bytes=400_000)
    client, other = gateway.grpc_client(), gateway.grpc_client()
    streams = [client.open(PREDICT, {f"x-{number}": "v" * 20_000}) for number in range(10)]
    answer = client.answer(streams[-1])
    assert answer.code == Code.RESOURCE_EXHAUSTED
    assert "as much as they may" in answer.error
    assert gateway.forwarder.budget.held < 200_000
    assert other.call(PREDICT, predict()).code == Code.OK
    client.close()
    gateway.rests()


def test_heads_of_pipelined_requests_are_too(start_gateway: StartGateway, servers: Servers) -> None:
    gateway = start_gateway(table(v1=[servers(silent)]), gather_budget_bytes=400_000)
    client = gateway.client()
    client.send(b"".join(request("POST", REST_PREDICT, b"{}", f"X-{number}: {'v' * 20_000}") for number in range(20)))
    eventually(lambda: gateway.forwarder.budget.held, lambda held: held > 150_000)
    gateway.take_in()
    assert gateway.forwarder.budget.held < 200_000
    client.close()
    gateway.rests()


def a_client_that_reads_nothing(gateway: Gateway) -> GrpcClient:
    return gateway.grpc_client(receive_buffer=4096)


def test_answers_in_a_socket_that_nobody_reads_are_in_the_share(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    gateway = start_gateway(
        table(v1=[grpc_servers(answering(bytes(600_000)))]), gather_budget_bytes=8_000_000, idle_timeout=1000.0
    )
    client = a_client_that_reads_nothing(gateway)
    for _ in range(100):
        client.start(PREDICT, predict())
    eventually(lambda: gateway.forwarder.budget.held, lambda held: held == 0)
    now = monotonic()

    def left() -> int:
        gateway.sweep(now + 10)
        return open_connections(gateway)

    eventually(left, lambda connections: connections == 0)


def known(connection: object) -> bool:
    """By its first bytes."""
    return isinstance(connection, RestConnection | GrpcConnection)


def test_after_a_full_read_others_have_their_turn(
    start_gateway: StartGateway, servers: Servers, grpc_servers: GrpcServers
) -> None:
    """The loop would go on reading the same connection."""
    rest, grpc = start_gateway(table(v1=[servers(echo)])), start_gateway(table(v1=[grpc_servers(answering())]))
    client, grpc_client = rest.client(), grpc.grpc_client()
    client.send(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n" % REST_PREDICT.encode())
    assert grpc_client.call(PREDICT, predict()).code == Code.OK
    large = frames.frame(0x20, 0, 0, bytes(16_000)) * 9
    for gateway, data in ((rest, bytes(FULL_READ_BYTES)), (grpc, large)):
        connection = eventually(lambda: next(iter(gateway.fronts)), known)  # noqa: B023
        assert isinstance(connection, RestConnection | GrpcConnection)
        transport = connection.transport

        def reads(data: bytes = data, connection: RestConnection | GrpcConnection = connection) -> bool:
            connection.data_received(data)
            return connection.transport.is_reading()

        assert not gateway.call(reads)
        eventually(transport.is_reading)
