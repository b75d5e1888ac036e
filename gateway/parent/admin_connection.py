"""A connection to the admin port, with the bounds that uvicorn's own has not."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import descriptors

HEAD_SECONDS = 10.0
"""For the head of a request to arrive whole, from the connection's begin or the request's."""

MOST_CONNECTIONS = 256
"""People, Prometheus and an operator need a few."""

_numbers = itertools.count()


class _Transport:
    """What is written after the peer has reset the connection is dropped, as asyncio's own transports do: uvloop's
    raise until they have told of its end, and uvicorn would log that."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


class AdminConnection(HttpToolsProtocol):
    """One that has no request is closed after a while, or where there are too many: the oldest makes room."""

    _timer: asyncio.TimerHandle | None = None
    """While it waits for a request."""
    _number = 0
    """Of all that waited, the how manyth."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _Transport(transport)))
        self._wait()
        if len(self.connections) > min(MOST_CONNECTIONS, descriptors.most_connections()):
            others = (cast(AdminConnection, connection) for connection in self.connections)
            waiting = [other for other in others if other._timer is not None]
            oldest = min(waiting, key=lambda other: other._number)
            oldest._stop()  # its end is told later, and the next of many that come at once is to close another
            oldest.transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._timer is None:
            self._number = next(_numbers)
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
