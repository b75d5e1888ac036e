"""Connecting with a bound on the time, by the loop of the workers and by asyncio's own."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest
import uvloop

from gateway.upstream.connecting import connect
from tests.fakes.rest_servers import unused_port

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


class Noticing(asyncio.Protocol):
    made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = True
        transport.close()


def run(loop: Callable[[], asyncio.AbstractEventLoop], port: int, seconds: float, busy: float = 0.0) -> bool:
    """Whether the connection was made; in each turn the loop does other things for `busy` seconds."""

    async def connecting() -> bool:
        def other() -> None:
            time.sleep(busy)
            running.call_soon(other)

        running = asyncio.get_running_loop()
        if busy:
            other()
        protocol = Noticing()
        await connect(lambda: protocol, "127.0.0.1", port, seconds)
        return protocol.made

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(connecting())


@LOOPS
def test_what_came_in_time_counts_though_the_loop_saw_it_late(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert run(loop, listener.getsockname()[1], seconds=0.02, busy=0.03)


@LOOPS
def test_end_of_the_time(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as first:
        first.connect(listener.getsockname())  # it fills the queue: the next is neither taken nor refused
        with pytest.raises(TimeoutError):
            run(loop, listener.getsockname()[1], seconds=0.05)


@LOOPS
def test_refusal(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with pytest.raises(ConnectionRefusedError):
        run(loop, unused_port(), seconds=30)
