"""How connections end: told to drain, or idle for long."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.stats import counters
from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.frames import DEFAULT_WINDOW, MAX_STREAM_ID, ErrorCode
from tests.fakes.gateway import Gateway, table
from tests.fakes.grpc_client import HEALTH, PREDICT, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering, silent
from tests.fakes.parent_process import eventually

StartGateway = Callable[..., Gateway]
GrpcServers = Callable[..., GrpcServer]

NARROW = Limits(stream_window=DEFAULT_WINDOW, connection_window=DEFAULT_WINDOW)

ASKED = (MAX_STREAM_ID, ErrorCode.NO_ERROR)
"""The first GOAWAY, that takes what is under way still."""


def test_drain_answers_what_is_in_flight(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    stream = client.start(PREDICT, predict())
    (call,) = server.received()
    gateway.drain()
    client.until(lambda: bool(client.goaways))
    assert client.goaways[0] == ASKED
    client.until(lambda: len(client.goaways) == 2)
    assert client.goaways[1] == (stream, ErrorCode.NO_ERROR)
    assert not gateway.drained
    server.call(lambda: call.answer(b"at last"))
    assert client.answer(stream).message == b"at last"
    client.until_ended()
    eventually(lambda: gateway.drained)
    assert gateway.outcomes("v1") == {"success": 1}


def test_an_old_connection_is_given_up_and_what_is_under_way_is_answered(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]), random=lambda: 0.75, max_connection_age=1000.0)
    client = gateway.grpc_client()
    stream = client.start(PREDICT, predict())
    (call,) = server.received()
    made = monotonic()
    gateway.sweep(made + 1040)
    assert not client.goaways
    gateway.sweep(made + 1060)  # a twentieth more, by the draw
    client.until(lambda: len(client.goaways) == 2)
    assert client.goaways == [ASKED, (stream, ErrorCode.NO_ERROR)]
    server.call(lambda: call.answer(b"at last"))
    assert client.answer(stream).message == b"at last"
    client.until_ended()
    server.script = answering(b"anew")
    assert gateway.grpc_client().call(PREDICT, predict()).message == b"anew"


def test_an_old_connection_is_not_closed_on_an_answer_that_waits(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    gateway = start_gateway(
        table(v1=[grpc_servers(answering(bytes(90_000)))]), timeout=5000.0, read_timeout=10.0, max_connection_age=1000.0
    )
    client = gateway.grpc_client(limits=NARROW, greedy=False)
    stream = client.start(PREDICT, predict())
    eventually(lambda: gateway.outcomes("v1").get("success"), lambda ended: ended == 1)
    now = monotonic()
    gateway.sweep(now + 1200)
    gateway.sweep(now + 1220)
    client.until(lambda: len(client.answers[stream].data) >= 60_000)
    client.wire.consumed(stream, DEFAULT_WINDOW)
    client.flush()
    assert client.answer(stream).message == bytes(90_000)


def test_drain_takes_what_was_sent_before_the_client_knew(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    """Also on a connection that was idle: the first GOAWAY and a call cross on the way."""
    server = grpc_servers(answering(b"well"))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    assert client.call(PREDICT, predict()).code == Code.OK
    gateway.drain()
    stream = client.start(PREDICT, predict())  # before anything is read
    assert client.answer(stream).message == b"well"
    client.until_ended()
    assert client.goaways == [ASKED, (stream, ErrorCode.NO_ERROR)]
    eventually(lambda: gateway.drained)


def test_drain_of_an_idle_connection(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering())]))
    client = gateway.grpc_client()
    client.call(PREDICT, predict())
    gateway.drain()
    client.until_ended()
    assert client.goaways == [ASKED, (1, ErrorCode.NO_ERROR)]
    eventually(lambda: gateway.drained)


def test_request_under_way_while_draining(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering(b"well"))]))
    client = gateway.grpc_client()
    body = frame(predict())
    stream = client.open(PREDICT)
    client.data(stream, body[:4])
    eventually(lambda: gateway.forwarder.budget.held, bool)
    gateway.drain()
    client.until(lambda: len(client.goaways) == 2)
    client.data(stream, body[4:], end=True)
    assert client.answer(stream).message == b"well"
    client.until_ended()


def test_connection_that_begins_while_draining(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering())]))
    client = gateway.client()
    client.send(frames.PREFACE[:10])
    eventually(lambda: gateway.snapshot().worker[counters.OPEN_CONNECTIONS], lambda number: number == 1)
    gateway.drain()
    client.send(frames.PREFACE[10:] + frames.settings())
    received = b""
    while frames.goaway(*ASKED) not in received:
        received += client.socket.recv(1000)
        assert received


def test_health_while_draining(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering())]))
    client = gateway.grpc_client()
    stream = client.open(HEALTH)
    gateway.forwarder.draining = True
    client.data(stream, frame(b""), end=True)
    assert client.answer(stream).message == b"\x08\x02"


def test_another_gateway_takes_over(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    """A client that goes elsewhere at the first GOAWAY loses no call."""
    server = grpc_servers(answering(b"well"))
    routes = table(v1=[server])
    old, new = start_gateway(routes), start_gateway(routes)
    clients: list[GrpcClient] = [old.grpc_client()]
    streams: list[tuple[GrpcClient, int]] = []
    for number in range(200):
        if number == 50:
            old.drain()
        if clients[-1].wire.exhausted:
            clients.append(new.grpc_client())
        streams.append((clients[-1], clients[-1].start(PREDICT, predict())))
        if number % 3 == 0:
            clients[-1].read()
    assert {client.answer(stream).message for client, stream in streams} == {b"well"}
    assert len(clients) == 2
    assert old.outcomes("v1")["success"] + new.outcomes("v1")["success"] == 200


def test_idle_connections_are_told_before_they_are_closed(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    server = grpc_servers(answering(b"well"))
    gateway = start_gateway(table(v1=[server]), idle_timeout=60.0)
    client = gateway.grpc_client()
    assert client.call(PREDICT, predict()).code == Code.OK
    gateway.sweep(monotonic() + 59)
    assert client.call(PREDICT, predict()).code == Code.OK
    assert client.goaways == []
    gateway.sweep(monotonic() + 61)
    stream = client.start(PREDICT, predict())  # it crosses with the GOAWAY
    assert client.answer(stream).message == b"well"
    client.until_ended()
    assert client.goaways == [ASKED, (stream, ErrorCode.NO_ERROR)]


def test_idle_connections_of_clients_that_say_nothing(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering())]), idle_timeout=60.0, read_timeout=10.0)
    client = gateway.grpc_client()
    client.call(PREDICT, predict())
    now = monotonic()
    gateway.sweep(now + 61)
    gateway.sweep(now + 69)
    assert gateway.snapshot().worker[counters.OPEN_CONNECTIONS] == 1
    gateway.sweep(now + 72)
    eventually(lambda: gateway.snapshot().worker[counters.OPEN_CONNECTIONS], lambda left: left == 0)


def test_finished_answers_that_a_client_grants_no_window_for(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering(bytes(60_000)))]), timeout=60.0, idle_timeout=1000.0)
    client = gateway.grpc_client(limits=NARROW, greedy=False)
    for _ in range(5):  # the connection's window has room for one answer
        client.start(PREDICT, predict())
    eventually(lambda: gateway.outcomes("v1").get("success"), lambda ended: ended == 5)
    gateway.sweep(now := monotonic())
    gateway.sweep(now + 59)
    client.wire.ping()
    client.flush()
    client.until(lambda: client.pongs == 1)
    assert gateway.snapshot().worker[counters.OPEN_CONNECTIONS] == 1
    gateway.sweep(now + 61)
    client.until_ended()


def test_finished_answers_that_a_client_does_not_read(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering(bytes(60_000)))]), timeout=60.0, idle_timeout=1000.0)
    client = gateway.grpc_client(receive_buffer=4096)
    for _ in range(80):  # more than the buffers on their way take
        client.start(PREDICT, predict())
    eventually(lambda: gateway.outcomes("v1").get("success", 0), lambda ended: ended > 20)
    now = monotonic()

    def open_connections() -> int:
        nonlocal now
        gateway.sweep(now := now + 61)
        return gateway.snapshot().worker[counters.OPEN_CONNECTIONS]

    eventually(open_connections, lambda left: left == 0)


def test_a_slow_client_is_not_one_that_takes_nothing(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering(bytes(60_000)))]), timeout=60.0, idle_timeout=1000.0)
    client = gateway.grpc_client(limits=NARROW, greedy=False)
    streams = [client.start(PREDICT, predict()) for _ in range(3)]
    eventually(lambda: gateway.outcomes("v1").get("success"), lambda ended: ended == 3)
    now = monotonic()
    for taken in (60_000, 120_000, 150_000):
        gateway.sweep(now := now + 40)
        client.until(lambda: sum(len(answer.data) for answer in client.answers.values()) >= taken)  # noqa: B023
        for stream in streams:
            client.wire.consumed(stream, DEFAULT_WINDOW)  # all that it holds
        client.flush()
    client.until(lambda: all(client.answers[stream].over for stream in streams))


def test_calls_are_not_idle(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]), idle_timeout=60.0, max_connection_age=2000.0)
    client = gateway.grpc_client()
    stream = client.start(PREDICT, predict())
    (call,) = server.received()
    gateway.sweep(monotonic() + 1000)
    server.call(lambda: call.answer(b"well"))
    assert client.answer(stream).message == b"well"
    assert client.goaways == []
