"""What one client sends at once is taken in turns with the others."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gateway.wire.http2.receive import FRAMES_A_TURN, REQUEST_FRAMES
from tests.fakes.gateway import Gateway, at_rest, table
from tests.fakes.grpc_client import PREDICT, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering

MANY = 5 * FRAMES_A_TURN // REQUEST_FRAMES
"""More calls than a turn takes."""


def start(client: GrpcClient, count: int) -> list[int]:
    """In one piece."""
    client.corked = True
    streams = [client.start(PREDICT, predict()) for _ in range(count)]
    client.corked = False
    client.flush()
    return streams


def test_others_have_their_turn_before_the_last_of_many_calls(
    start_gateway: Callable[..., Gateway], grpc_servers: Callable[..., GrpcServer]
) -> None:
    server = grpc_servers(answering(b"out"))
    gateway = start_gateway(table(v1=[server]))
    many, one = gateway.grpc_client(), gateway.grpc_client()
    for client in (many, one):
        assert client.call(PREDICT, predict()).message == b"out"
    held = threading.Event()
    waiting = threading.Thread(target=gateway.call, args=(held.wait,))
    waiting.start()  # the gateway finds all of it there
    streams = start(many, MANY)
    path = "/tensorflow.serving.PredictionService/GetModelMetadata"
    stream = one.start(path, predict())
    held.set()
    waiting.join()
    assert [many.answer(each).message for each in streams] == [b"out"] * MANY
    assert one.answer(stream).message == b"out"
    paths = [call.metadata[":path"] for call in server.calls[2:]]
    assert paths.index(path) < MANY


def test_a_client_that_does_not_read_goes_on_where_it_was(
    start_gateway: Callable[..., Gateway], grpc_servers: Callable[..., GrpcServer]
) -> None:
    """Its answers fill the way back while most of what it sent has not had its turn yet."""
    count, size = 900, 1 << 15
    server = grpc_servers(answering(b"x" * size))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client(receive_buffer=4096)
    streams = start(client, count)
    at_rest(lambda: len(server.calls))
    assert len(server.calls) < count
    assert [len(client.answer(each).message) for each in streams] == [size] * count
