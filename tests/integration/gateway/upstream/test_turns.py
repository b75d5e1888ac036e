"""What a model server sends at once is taken in turns with all else that there is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from gateway.protocols.grpc_message import frame as message
from gateway.refusal import Code
from gateway.upstream import grpc_pool, rest_pool
from gateway.wire.http1.answer_reader import AnswerReader
from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Connection
from gateway.wire.http2.fields import encode, encode_all
from gateway.wire.http2.receive import PORTION_FRAMES
from tests.fakes.gateway import PREDICT, Gateway, table
from tests.fakes.grpc_client import PREDICT as PREDICT_BY_GRPC
from tests.fakes.grpc_client import predict
from tests.fakes.grpc_servers import GrpcServer, ServerCall
from tests.fakes.rest_servers import Server, always, answer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MANY = 40_000
AGAIN = 3
"""Portions: what is left of one read, and the next one, may come in what is one turn here."""


class Turns:
    """Counts what is done in each turn of the loop."""

    def __init__(self) -> None:
        self.done: Counter[int] = Counter()
        self._number = 0

    def begin(self) -> None:
        self._number += 1
        asyncio.get_running_loop().call_soon(self.begin)

    def did(self, much: int) -> None:
        self.done[self._number] += much


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    """Of a portion each, however fast this machine is."""
    monkeypatch.setattr(rest_pool, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(grpc_pool, "TURN_SECONDS", 0.0)
    return Turns()


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (CHUNKED + b"1\r\na\r\n" * MANY + b"0\r\n\r\n", b"a" * MANY),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MANY // 4) + answer(b"late"), b"late"),
    ],
    ids=["chunks", "announcements"],
)
def test_an_answer_over_rest(
    servers: Callable[..., Server],
    start_gateway: Callable[..., Gateway],
    monkeypatch: pytest.MonkeyPatch,
    turns: Turns,
    sent: bytes,
    body: bytes,
) -> None:
    receive = AnswerReader.receive

    def seen(self: AnswerReader, data: bytes) -> None:
        turns.did(len(data))
        receive(self, data)

    monkeypatch.setattr(AnswerReader, "receive", seen)
    server = servers(always(sent))
    gateway = start_gateway(table(v1=[server]))
    gateway.call(turns.begin)
    for _ in range(2):  # over the same connection
        assert gateway.client().post(PREDICT).body == body
    assert server.connections == 1
    assert max(turns.done.values()) <= AGAIN * rest_pool.PORTION_BYTES


def test_an_answer_over_grpc(
    grpc_servers: Callable[..., GrpcServer],
    start_gateway: Callable[..., Gateway],
    monkeypatch: pytest.MonkeyPatch,
    turns: Turns,
) -> None:
    text = message(b"a" * (MANY // 2))

    def script(call: ServerCall) -> None:
        head = encode_all((b":status", b"200"), (b"content-type", b"application/grpc"))
        call.peer.transport.write(
            frames.frame(frames.HEADERS, frames.END_HEADERS, call.stream, head)
            + b"".join(frames.frame(frames.DATA, 0, call.stream, bytes((byte,))) for byte in text)
            + frames.frame(
                frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, call.stream, encode(b"grpc-status", b"0")
            )
        )

    on_data = Connection._TYPES[frames.DATA]

    def seen(wire: Any, flags: int, stream: int, payload: bytes) -> None:
        if isinstance(wire._handler, grpc_pool._Connection):
            turns.did(1)
        on_data(wire, flags, stream, payload)

    monkeypatch.setattr(Connection, "_TYPES", (seen, *Connection._TYPES[1:]))
    gateway = start_gateway(table(v1=[grpc_servers(script)]))
    client = gateway.grpc_client()
    gateway.call(turns.begin)
    got = client.call(PREDICT_BY_GRPC, predict())
    assert (got.code, bytes(got.data)) == (Code.OK, text)
    assert max(turns.done.values()) <= AGAIN * PORTION_FRAMES
