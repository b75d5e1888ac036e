"""Messages that go on as they come, since they are long."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import pytest

from gateway.call import LEAST_PACE, STREAMED_BYTES
from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.frames import DEFAULT_WINDOW
from protos.tfs_pb2 import PredictRequest
from tests.fakes.gateway import Gateway
from tests.fakes.grpc_client import PREDICT, SELDON_PREDICT, GrpcClient, predict, spec
from tests.fakes.grpc_servers import GrpcServer, silent
from tests.fakes.parent_process import eventually
from tests.fakes.streams import LONG, STREAM, begun, has, infer, routes, send

StartGateway = Callable[..., Gateway]
GrpcServers = Callable[..., GrpcServer]


@pytest.fixture
def server(grpc_servers: GrpcServers) -> GrpcServer:
    return grpc_servers(silent)


@pytest.fixture
def gateway(start_gateway: StartGateway, server: GrpcServer) -> Gateway:
    return start_gateway(routes(v1=[server]))


@pytest.fixture
def client(gateway: Gateway) -> GrpcClient:
    return gateway.grpc_client()


@pytest.mark.parametrize("path", [PREDICT, SELDON_PREDICT])
def test_a_long_message_goes_on_as_it_comes(
    client: GrpcClient, server: GrpcServer, gateway: Gateway, path: str
) -> None:
    message = frame(predict(size=LONG))
    stream = client.open(path, {"seldon": "s"} if path == SELDON_PREDICT else {})
    send(client, stream, message[: 2 * STREAMED_BYTES])
    call = begun(server)
    has(call, 2 * STREAMED_BYTES)
    eventually(lambda: gateway.forwarder.budget.held, lambda held: held == STREAMED_BYTES)  # not two
    send(client, stream, message[2 * STREAMED_BYTES :], end=True)
    (call,) = server.received()
    assert call.body == message
    server.call(lambda: call.answer(b"yes"))
    assert client.answer(stream).message == b"yes"


def test_what_names_the_model_may_come_late(client: GrpcClient, server: GrpcServer) -> None:
    """A message's fields may have any order. It is held until it is known where it goes."""
    tensors = PredictRequest()
    tensors.inputs["x"].tensor_content = bytes(LONG)
    message = frame(tensors.SerializeToString() + PredictRequest(model_spec=spec("m")).SerializeToString())
    stream = client.open(PREDICT)
    send(client, stream, message[:LONG])
    assert client.call(PREDICT, predict("nobody")).code is Code.NOT_FOUND  # by then that has come
    assert not server.begun
    send(client, stream, message[LONG:], end=True)
    assert server.received()[0].body == message
    client.reset(stream)


def test_a_message_that_will_be_too_long_is_refused_at_once(start_gateway: StartGateway, server: GrpcServer) -> None:
    client = start_gateway(routes(v1=[server]), max_message_bytes=LONG).grpc_client()
    stream = client.open(PREDICT)
    client.data(stream, frame(predict(size=LONG))[: STREAMED_BYTES + 100])
    answer = client.answer(stream)
    assert (answer.code, answer.error) == (Code.RESOURCE_EXHAUSTED, f"the message is over {LONG} bytes")


def test_a_server_that_takes_nothing_stops_the_client(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    narrow = Limits(stream_window=DEFAULT_WINDOW, connection_window=DEFAULT_WINDOW)
    server = grpc_servers(silent, limits=narrow, greedy=False)
    gateway = start_gateway(routes(v1=[server]))
    client = gateway.grpc_client()
    size = 20 * STREAMED_BYTES
    message = frame(predict(size=size))
    stream = client.open(PREDICT)
    send(client, stream, message[: STREAMED_BYTES + STREAMED_BYTES // 2])
    call = begun(server)
    has(call, DEFAULT_WINDOW)
    client.data(stream, message[STREAMED_BYTES + STREAMED_BYTES // 2 :], end=True)
    assert client.call(PREDICT, predict("nobody")).code is Code.NOT_FOUND
    left = client.wire.buffered(stream)
    assert left > size - 4 * STREAMED_BYTES  # a window's worth, and what was gathered before it was sent on
    assert gateway.forwarder.budget.held <= 3 * STREAMED_BYTES
    server.greedy = True
    server.call(call.take)
    client.until(lambda: not client.wire.buffered(stream))
    assert server.received()[0].body == message
    server.call(lambda: call.answer(b"yes"))
    assert client.answer(stream).message == b"yes"


def test_a_client_who_is_long_in_sending_is_not_the_servers_fault(
    start_gateway: StartGateway, server: GrpcServer
) -> None:
    gateway = start_gateway(routes(v1=[server]), timeout=0.5)
    client = gateway.grpc_client()
    stream = client.open(PREDICT)
    send(client, stream, frame(predict(size=LONG))[: 2 * STREAMED_BYTES])
    answer = client.answer(stream)
    assert (answer.code, answer.error) == (Code.DEADLINE_EXCEEDED, "the request did not arrive in time")
    assert gateway.outcomes("v1") == {"client_error": 1}


def test_a_message_comes_at_a_pace(gateway: Gateway, client: GrpcClient, server: GrpcServer) -> None:
    """Else a byte now and then would keep a connection to a server for ever."""
    stream, quiet = client.open(PREDICT), client.open(STREAM)
    send(client, stream, frame(predict(size=LONG))[: 2 * STREAMED_BYTES])
    client.data(quiet, infer())
    begun(server, 2)
    now = monotonic() + gateway.forwarder.settings.timeout
    gateway.sweep(now + STREAMED_BYTES / LEAST_PACE / 2)
    send(client, stream, b"a")
    assert client.call(PREDICT, predict("nobody")).code is Code.NOT_FOUND
    assert not client.answers[stream].over
    gateway.sweep(now + STREAMED_BYTES / LEAST_PACE * 2)
    answer = client.answer(stream)
    assert (answer.code, answer.error) == (Code.DEADLINE_EXCEEDED, "the request did not arrive in time")
    assert gateway.outcomes("v1") == {"client_error": 1}
    assert not client.answers[quiet].over
    client.reset(quiet)
