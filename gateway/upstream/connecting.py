"""Connecting to an endpoint, with a bound on the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.tasks import spawn

TURNS = 8
"""Of the loop, in which a connection that is there becomes known: its socket is seen, its transport made, both told."""


async def connect(make: Callable[[], asyncio.Protocol], host: str, port: int, seconds: float) -> None:
    """Connect a protocol of `make` to `host`, in so many seconds.

    A loop that was busy meets the end of the time and what came within it at once. So before it gives up, it looks:
    else each connection would fail at a worker that is busy for longer than that.

    Raises:
        OSError: the connection could not be made. TimeoutError is one.
        UnicodeError: `host` can't be a name.
    """
    loop = asyncio.get_running_loop()

    async def expire() -> None:
        await asyncio.sleep(seconds)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        expiry = spawn(expire(), "end an attempt to connect")
        try:
            await loop.create_connection(make, host, port)
        finally:
            expiry.cancel()
