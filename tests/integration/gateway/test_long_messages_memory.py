"""However long a request is, what a worker holds of it is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gateway.protocols.grpc_message import PREFIX_SIZE, frame
from gateway.wire.http2.connection import Limits
from tests.fakes.gateway import PREDICT, GatewayProcess, table
from tests.fakes.grpc_client import PREDICT as GRPC_PREDICT
from tests.fakes.grpc_client import GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering
from tests.fakes.rest_servers import Peer, Server, answer

MIB = 1 << 20
MOST_MIB = 8
PIECE = bytes(MIB // 4)


@pytest.fixture(params=[64, pytest.param(500, marks=pytest.mark.slow)])
def size(request: pytest.FixtureRequest) -> int:
    mib: int = request.param
    return mib * MIB


@contextmanager
def growth(gateway: GatewayProcess) -> Iterator[Callable[[], float]]:
    """By how many MiB the worker's resident memory has grown at most, until it is asked."""
    (pid,) = gateway.pids()
    worker = psutil.Process(pid)
    before = most = worker.memory_info().rss
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.005):
            most = max(most, worker.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()

    def ask() -> float:
        over.set()
        watching.join()
        return (most - before) / MIB

    try:
        yield ask
    finally:
        ask()


async def dropping(peer: Peer) -> None:
    while (head := await peer.head()) is not None:
        left = int(head[1][b"content-length"])
        while left:
            left -= len(await peer.reader.read(min(left, MIB)))
        await peer.send(answer(b"{}"))


def test_over_rest(tmp_path: Path, servers: Callable[..., Server], size: int) -> None:
    gateway = GatewayProcess(tmp_path, table(v1=[servers(dropping)]), workers=1, max_message_bytes=size)
    client = gateway.client()
    assert client.post(PREDICT).status == 200
    with growth(gateway) as grown:
        client.send(f"POST {PREDICT} HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // len(PIECE)):
            client.send(PIECE)
        assert client.answer().status == 200
        assert grown() < MOST_MIB
    gateway.close()


def test_over_grpc(tmp_path: Path, grpc_servers: Callable[..., GrpcServer], size: int) -> None:
    server = grpc_servers(answering(b"yes"), limits=Limits(), drops=True)
    gateway = GatewayProcess(tmp_path, table(v1=[server]), workers=1, max_message_bytes=2 * size)
    with GrpcClient(gateway.address) as client:
        assert client.call(GRPC_PREDICT, predict()).message == b"yes"
        message = predict(size=size)
        begin = frame(message)[:100]
        with growth(gateway) as grown:
            stream = client.open(GRPC_PREDICT)
            client.data(stream, begin)
            left = len(message) + PREFIX_SIZE - len(begin)
            while left:
                piece = PIECE[:left]
                left -= len(piece)
                client.data(stream, piece, end=not left)
                client.until(lambda: client.wire.buffered(stream) < MIB)
            assert client.answer(stream).message == b"yes"
            assert grown() < MOST_MIB
    gateway.close()
