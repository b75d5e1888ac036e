"""What one client sends at once is taken in turns with the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway.downstream import grpc_connection, turns
from gateway.downstream.grpc_connection import GrpcConnection
from gateway.wire.http2.fields import Fields
from gateway.wire.http2.receive import PORTION_FRAMES, REQUEST_FRAMES
from tests.fakes.gateway import Gateway, at_rest, table
from tests.fakes.grpc_client import PREDICT, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering

MANY = 5 * PORTION_FRAMES // REQUEST_FRAMES
"""More calls than a turn takes."""


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a portion each, however fast this machine is; and who has waited once waits for as long as a test lasts."""
    monkeypatch.setattr(grpc_connection, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(turns, "DEAR_SECONDS", 1000.0)


def start(client: GrpcClient, count: int) -> list[int]:
    """In one piece."""
    client.corked = True
    streams = [client.start(PREDICT, predict()) for _ in range(count)]
    client.corked = False
    client.flush()
    return streams


@contextmanager
def held(gateway: Gateway) -> Iterator[None]:
    """What is sent meanwhile the gateway finds all at once."""
    done = threading.Event()
    waiting = threading.Thread(target=gateway.call, args=(done.wait,))
    waiting.start()
    yield
    done.set()
    waiting.join()


def test_others_have_their_turn_before_the_last_of_many_calls(
    start_gateway: Callable[..., Gateway], grpc_servers: Callable[..., GrpcServer]
) -> None:
    server = grpc_servers(answering(b"out"))
    gateway = start_gateway(table(v1=[server]))
    many, one = gateway.grpc_client(), gateway.grpc_client()
    for client in (many, one):
        assert client.call(PREDICT, predict()).message == b"out"
    path = "/tensorflow.serving.PredictionService/GetModelMetadata"
    with held(gateway):
        streams = start(many, MANY)
        stream = one.start(path, predict())
    assert [many.answer(each).message for each in streams] == [b"out"] * MANY
    assert one.answer(stream).message == b"out"
    paths = [call.metadata[":path"] for call in server.calls[2:]]
    assert paths.index(path) < MANY


def test_clients_that_have_sent_much_go_on_one_in_a_turn(
    start_gateway: Callable[..., Gateway],
    grpc_servers: Callable[..., GrpcServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However little each of them sends: all of them together may be much."""
    gateway = start_gateway(table(v1=[grpc_servers(answering(b"out"))]))
    clients = [gateway.grpc_client() for _ in range(3)]
    for client in clients:
        for stream in start(client, MANY):
            assert client.answer(stream).message == b"out"
    taken: list[set[object]] = [set()]  # whose calls each of them took
    over = threading.Event()

    def turn() -> None:
        taken.append(set())
        if not over.is_set():
            asyncio.get_running_loop().call_soon(turn)

    def wait() -> None:
        if not over.is_set():
            gateway.fronts.turns.wait(wait)

    take = GrpcConnection.on_headers

    def on_headers(self: GrpcConnection, stream_id: int, fields: Fields, end_stream: bool) -> None:
        taken[-1].add(self)
        take(self, stream_id, fields, end_stream)

    monkeypatch.setattr(GrpcConnection, "on_headers", on_headers)
    gateway.call(turn)
    gateway.call(wait)
    with held(gateway):
        streams = [start(client, 1)[0] for client in clients]
    for client, stream in zip(clients, streams, strict=True):
        assert client.answer(stream).message == b"out"
    over.set()
    gateway.take_in()
    assert [len(each) for each in taken if each] == [1, 1, 1]


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
