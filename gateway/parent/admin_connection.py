"""A connection to the admin port, with the bounds that uvicorn's own has not."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import descriptors

HEAD_SECONDS = 10.0
"""For the head of a request to arrive whole, from the connection's begin or the request's."""

ANSWER_SECONDS = 30.0
"""For an answer to be taken, from the request's head on."""

MOST_HEAD_BYTES = 64 * 1024

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
    """One that sends no request, or takes no answer, is closed after a while, or where there are too many: the one that
    began with it longest ago makes room. So is one that asks for more before it was answered: nobody does who has sense
    here, and what waits would have no bound."""

    _timer: asyncio.TimerHandle | None = None
    _number = 0
    """Of all that waited for a request or had one, the how manyth."""
    _waits = False
    """For a request."""
    _head_bytes = 0
    """Of what has come since the last head, or the last part of a body: uvicorn keeps it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _Transport(transport)))
        self._wait()
        if len(self.connections) > min(MOST_CONNECTIONS, descriptors.most_connections()):
            others = (cast(AdminConnection, connection) for connection in self.connections)
            oldest = min((other for other in others if other._timer is not None), key=lambda other: other._number)
            oldest._stop()  # its end is told later, and the next of many that come at once is to end another
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        answered = self.cycle is None or self.cycle.response_complete
        if answered and not self._waits:
            self._wait()
        if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            if answered:
                self.send_400_response(f"The head of a request has at most {MOST_HEAD_BYTES} bytes.")
            else:
                self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        self._waits = False
        self._within(ANSWER_SECONDS)
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waits = True
        self._within(HEAD_SECONDS)

    def _within(self, seconds: float) -> None:
        self._stop()
        self._number = next(_numbers)
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
