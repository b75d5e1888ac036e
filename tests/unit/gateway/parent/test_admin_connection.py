from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn import Config
from uvicorn.server import ServerState

from gateway.parent.admin_connection import MOST_CONNECTIONS, AdminConnection


class Transport(asyncio.Transport):
    """Its end is told in a later turn of the loop, as that of a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def close(self) -> None:
        self.closed = True


async def _burst(count: int) -> list[bool]:
    config = Config(cast(Any, None), log_config=None)
    state = ServerState()
    transports = [Transport() for _ in range(count)]
    connections = [AdminConnection(config, state, {}) for _ in transports]
    for connection, transport in zip(connections, transports, strict=True):
        connection.connection_made(transport)
    closed = [transport.closed for transport in transports]
    for connection in connections:
        connection.connection_lost(None)
    return closed


def test_of_many_that_come_at_once_the_oldest_make_room() -> None:
    assert asyncio.run(_burst(MOST_CONNECTIONS + 20)) == [True] * 20 + [False] * MOST_CONNECTIONS
