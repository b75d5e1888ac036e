from __future__ import annotations

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from gateway.parent.admin_connection import MOST_CONNECTIONS, MOST_HEAD_BYTES, AdminConnection

ASKED = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"


class Transport(asyncio.Transport):
    """Its end is told in a later turn of the loop, as that of a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None: ...


async def _silent(scope: object, receive: object, send: object) -> None:
    """What no answer comes of, as where its client takes none of it."""
    await asyncio.Event().wait()


def _connections(count: int) -> list[tuple[AdminConnection, Transport]]:
    config = Config(_silent, log_config=None, lifespan="off")
    config.load()
    state = ServerState()
    made = [(AdminConnection(config, state, {}), Transport()) for _ in range(count)]
    for connection, transport in made:
        connection.connection_made(transport)
    return made


async def _burst(count: int) -> list[bool]:
    made = _connections(count)
    closed = [transport.closed for _, transport in made]
    for connection, _ in made:
        connection.connection_lost(None)
    return closed


def test_of_many_that_come_at_once_the_oldest_make_room() -> None:
    assert asyncio.run(_burst(MOST_CONNECTIONS + 20)) == [True] * 20 + [False] * MOST_CONNECTIONS


async def _unread() -> list[bool]:
    made = _connections(MOST_CONNECTIONS)
    for connection, _ in made:
        connection.data_received(ASKED)
    late = Transport()
    AdminConnection(made[0][0].config, made[0][0].server_state, {}).connection_made(late)
    return [transport.closed for _, transport in made] + [late.closed]


def test_those_that_take_no_answer_make_room_too() -> None:
    assert asyncio.run(_unread()) == [True] + [False] * MOST_CONNECTIONS


async def _sent(*data: bytes) -> tuple[bool, bytes]:
    """Whether it is ended then, and what was written."""
    ((connection, transport),) = _connections(1)
    for part in data:
        connection.data_received(part)
    return transport.closed, transport.written


def test_a_head_has_an_end() -> None:
    field = b"X: " + b"a" * (MOST_HEAD_BYTES // 4) + b"\r\n"
    assert asyncio.run(_sent(ASKED[:-2], field, field, field)) == (False, b"")
    ended, written = asyncio.run(_sent(ASKED[:-2], *[field] * 8))
    assert ended
    assert written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert written.count(b"HTTP/1.1") == 1


def test_so_has_one_that_comes_before_an_answer_and_a_body_is_none() -> None:
    field = b"X: " + b"a" * (MOST_HEAD_BYTES // 4) + b"\r\n"
    assert asyncio.run(_sent(ASKED, ASKED[:-2], *[field] * 8)) == (True, b"")
    assert asyncio.run(_sent(ASKED[:-2] + b"Content-Length: 1000000\r\n\r\n", *[field] * 8)) == (False, b"")


def test_one_that_asks_for_more_before_it_was_answered_is_ended() -> None:
    assert asyncio.run(_sent(ASKED)) == (False, b"")
    assert asyncio.run(_sent(ASKED, ASKED)) == (True, b"")
    assert asyncio.run(_sent(ASKED * 1000)) == (True, b"")
