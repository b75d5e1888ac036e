"""A gateway before a model server that echoes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.gateway import Gateway, table
from tests.fakes.rest_servers import Server, echo

Servers = Callable[..., Server]
Start = Callable[..., Gateway]


@pytest.fixture
def server(servers: Servers) -> Server:
    return servers(echo)


@pytest.fixture
def gateway(server: Server, start_gateway: Start) -> Gateway:
    return start_gateway(table(v1=[server]))
