"""Fixtures for tests of the data path; see tests/fakes/gateway.py and tests/fakes/rest_servers.py."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.contract.route_table import RouteTable
from tests.fakes import grpc_servers as grpc
from tests.fakes.gateway import Gateway
from tests.fakes.loop import LoopThread
from tests.fakes.rest_servers import Script, Server


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()
    assert loop.problems == []


@pytest.fixture
def servers(loop: LoopThread) -> Iterator[Callable[..., Server]]:
    """Makes model servers that follow a script."""
    made: list[Server] = []

    def make(script: Script, port: int = 0) -> Server:
        made.append(Server(loop, script, port))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def grpc_servers(loop: LoopThread) -> Iterator[Callable[..., grpc.GrpcServer]]:
    """The same, of gRPC."""
    made: list[grpc.GrpcServer] = []

    def make(script: grpc.Script, **options: Any) -> grpc.GrpcServer:
        made.append(grpc.GrpcServer(loop, script, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def start_gateway(loop: LoopThread, servers: object, grpc_servers: object) -> Iterator[Callable[..., Gateway]]:
    """Makes gateways in this process; at the end nothing may be left of what was sent through them."""
    made: list[Gateway] = []

    def make(routes: RouteTable | None, **options: Any) -> Gateway:
        made.append(Gateway(loop, routes, **options))
        return made[-1]

    yield make
    for gateway in made:
        gateway.close()
