"""What one client sends at once is taken in turns with the others."""

from __future__ import annotations

from collections.abc import Callable

from gateway.wire.http2.receive import FRAMES_A_TURN, REQUEST_FRAMES
from tests.fakes.gateway import Gateway, table
from tests.fakes.grpc_client import PREDICT, predict
from tests.fakes.grpc_servers import GrpcServer, answering


def test_more_calls_than_a_turn_takes_are_all_answered(
    start_gateway: Callable[..., Gateway], grpc_servers: Callable[..., GrpcServer]
) -> None:
    gateway = start_gateway(table(v1=[grpc_servers(answering(b"out"))]))
    client = gateway.grpc_client()
    client.corked = True
    streams = [client.start(PREDICT, predict()) for _ in range(5 * FRAMES_A_TURN // REQUEST_FRAMES)]
    client.corked = False
    client.flush()
    assert [client.answer(stream).message for stream in streams] == [b"out"] * len(streams)
