"""A gateway with a stable version and a canary that answer all, at weight 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fakes.gateway import Gateway, table
from tests.fakes.grpc_client import PREDICT, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering


@pytest.fixture
def v1(grpc_servers: Callable[..., GrpcServer]) -> GrpcServer:
    return grpc_servers(answering(b"one", {"x-turnout-version": "forged", "x-of-server": "kept"}))


@pytest.fixture
def v2(grpc_servers: Callable[..., GrpcServer]) -> GrpcServer:
    return grpc_servers(answering(b"two"))


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway], v1: GrpcServer, v2: GrpcServer) -> Gateway:
    return start_gateway(table(v1=[v1], v2=[v2]), max_message_bytes=100_000, max_head_bytes=4096)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[GrpcClient]:
    """Whatever was wrong with a call, the connection goes on."""
    client = gateway.grpc_client()
    yield client
    assert client.call(PREDICT, predict()).message == b"one"
