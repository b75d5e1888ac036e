"""Clients that read slowly, change their mind, or vanish."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

import pytest

from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.stats import counters
from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.gateway import Gateway, at_rest, table
from tests.fakes.grpc_client import PREDICT, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, ServerCall, answering, silent
from tests.fakes.parent_process import eventually

StartGateway = Callable[..., Gateway]
GrpcServers = Callable[..., GrpcServer]

MIB = 1 << 20
NARROW = Limits(stream_window=65_535, connection_window=64 * MIB)
"""Of a client that takes little of each answer, and any number of them."""


def large_or_small(call: ServerCall) -> None:
    call.answer(bytes(int(call.metadata["x-size"])))


def test_stream_reset_by_the_client(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    stream = client.start(PREDICT, predict())
    (call,) = server.received()
    client.reset(stream)
    eventually(lambda: call.reset_with, lambda code: code == ErrorCode.CANCEL)
    gateway.rests()
    assert gateway.outcomes("v1") == {"cancelled": 1}
    server.call(lambda: call.answer(b"to nobody"))
    server.script = answering(b"to the next")
    assert client.call(PREDICT, predict()).message == b"to the next"
    assert server.connections == 1


def test_reset_within_the_answer(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    def half(call: ServerCall) -> None:
        call.head()
        call.data(frame(b"half of it")[:8])

    server = grpc_servers(half)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    stream = client.start(PREDICT, predict())
    client.until(lambda: client.answers[stream].data != b"")
    client.reset(stream)
    eventually(lambda: server.calls[0].reset_with, lambda code: code == ErrorCode.CANCEL)
    assert gateway.outcomes("v1") == {"cancelled": 1}


def test_reset_within_the_request(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(answering())
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    stream = client.open(PREDICT)
    client.data(stream, frame(predict(size=100))[:50])
    eventually(lambda: gateway.forwarder.budget.held, bool)
    client.reset(stream)
    gateway.rests()
    assert client.call(PREDICT, predict()).code == Code.OK
    assert len(server.calls) == 1
    assert gateway.outcomes("v1") == {"success": 1}


@pytest.mark.parametrize("abrupt", [False, True])
def test_client_vanishes(start_gateway: StartGateway, grpc_servers: GrpcServers, abrupt: bool) -> None:
    """With a call that a server works on, and with another that is not yet whole."""
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    client.start(PREDICT, predict())
    (call,) = server.received()
    client.data(client.open(PREDICT), frame(predict(size=100))[:50])
    eventually(lambda: gateway.forwarder.budget.held, lambda gathered: gathered > 50)
    if abrupt:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    eventually(lambda: call.reset_with, lambda code: code == ErrorCode.CANCEL)
    gateway.rests()
    assert gateway.outcomes("v1") == {"cancelled": 1}
    assert gateway.snapshot().worker[counters.OPEN_CONNECTIONS] == 0


def test_no_descriptor_is_left(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]))
    keeper = gateway.grpc_client()
    keeper.start(PREDICT, predict())
    server.received()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1, 31):
        client = gateway.grpc_client()
        client.start(PREDICT, predict())
        server.received(1 + number)
        if number % 3 == 0:
            client.send(b"no frame" * 100)
        elif number % 3 == 1:
            client.data(client.open(PREDICT), b"\0\0")
        client.close()
    eventually(lambda: len(os.listdir("/proc/self/fd")), lambda now: now == before)
    assert len(server.open) == 1
    assert gateway.held()["requests"] == 1


def test_client_that_breaks_the_protocol(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    client.start(PREDICT, predict())
    (call,) = server.received()
    client.send(frames.frame(frames.DATA, 0, 0, b"on stream 0"))
    client.until_ended()
    assert client.goaways == [(1, ErrorCode.PROTOCOL_ERROR)]
    eventually(lambda: call.reset_with, lambda code: code == ErrorCode.CANCEL)
    assert gateway.outcomes("v1") == {"cancelled": 1}


def slow_readers(gateway: Gateway, number: int, size: int) -> tuple[GrpcClient, list[int]]:
    """A connection with calls whose answers get a window of 64 KiB each and no more."""
    client = gateway.grpc_client(limits=NARROW, greedy=False)
    streams = [client.start(PREDICT, predict(), {"x-size": str(size)}) for _ in range(number)]
    for stream in streams:
        client.until(lambda stream=stream: len(client.answers[stream].data) == 65_535)  # type: ignore[misc]
    return client, streams


def test_slow_readers_stall_nobody(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(large_or_small)
    gateway = start_gateway(table(v1=[server]))
    client, streams = slow_readers(gateway, 40, 4 * MIB)
    assert client.call(PREDICT, predict(), {"x-size": "100"}).message == bytes(100)
    assert gateway.grpc_client().call(PREDICT, predict(), {"x-size": str(5 * MIB)}).message == bytes(5 * MIB)
    assert server.connections == 1
    answer = client.answers[streams[0]]
    client.wire.consumed(streams[0], len(answer.data))
    client.greedy = True
    client.flush()
    assert client.answer(streams[0]).message == bytes(4 * MIB), "slow, but whole"


def test_slow_readers_cost_little(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    """Of an answer that its client does not take, the gateway takes no more than a window from its server."""
    server = grpc_servers(large_or_small)
    gateway = start_gateway(table(v1=[server]))
    slow_readers(gateway, 5, 20 * MIB)
    (peer,) = server.open
    held = [server.call(lambda call=call: peer.wire.buffered(call.stream)) for call in server.calls]  # type: ignore[misc]
    assert min(held) > 18 * MIB


def test_answers_left_by_slow_readers_give_their_credit_back(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    """Their server is done with them, so that what they hold is nobody's window any more."""
    server = grpc_servers(large_or_small)
    gateway = start_gateway(table(v1=[server]))
    for _ in range(4):
        client, _ = slow_readers(gateway, 100, 220_000)
        eventually(lambda: gateway.held()["requests"], lambda left: left == 0)
        client.close()
    assert server.connections == 1
    for endpoint in gateway.forwarder.upstreams._endpoints.values():
        for connection in endpoint.grpc._connections:
            assert connection.wire._unconsumed == 0


def test_client_that_reads_nothing(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    """It grants all the credit there is, but does not read its socket."""
    server = grpc_servers(large_or_small)
    gateway = start_gateway(table(v1=[server]))
    wide = Limits(stream_window=1 << 30, connection_window=1 << 30)
    client = gateway.grpc_client(limits=wide)
    stream = client.start(PREDICT, predict(), {"x-size": str(100 * MIB)})
    (call,) = server.received()
    neighbour = gateway.grpc_client()
    assert neighbour.call(PREDICT, predict(), {"x-size": str(30 * MIB)}).message == bytes(30 * MIB)
    assert server.call(lambda: call.peer.wire.buffered(call.stream)) > 80 * MIB, "it stays with the server"
    assert client.answer(stream).message == bytes(100 * MIB)


def test_client_that_asks_and_does_not_listen(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    """Calls on end, whose answers are never read: the gateway stops reading, and so they can't be sent."""
    gateway = start_gateway(table(v1=[grpc_servers(answering(bytes(60_000)))]))
    client = gateway.grpc_client(receive_buffer=4096)
    client.socket.settimeout(1)

    def ask(number: int) -> None:
        for _ in range(number):
            client.start(PREDICT, predict(), {"x-weight": "x" * 40_000})

    ask(50)  # 3 MB of answers: more than the buffers on their way take
    at_rest(lambda: gateway.outcomes("v1"))
    with pytest.raises(TimeoutError):
        ask(850)
