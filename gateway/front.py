"""The data port: HTTP/1.1 and HTTP/2 on one address, told apart by a connection's first bytes.

Without TLS there is no ALPN: a client that speaks HTTP/2 says so by beginning with its preface (RFC 9113, 3.3).
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import cast

from gateway.forward import Forwarder
from gateway.front_http1 import RestFront
from gateway.front_http2 import GrpcFront
from gateway.fronts import DRAIN_IDLE_SECONDS, Fronts
from gateway.wire.frames import PREFACE


class Front(asyncio.Protocol):
    """A client's connection until its protocol is known."""

    def __init__(self, forwarder: Forwarder, fronts: Fronts) -> None:
        self._forwarder = forwarder
        self._fronts = fronts
        self._first = b""
        self._since = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own has no common base
        self._fronts.add(self)

    def data_received(self, data: bytes) -> None:
        if not self._first:
            self._since = monotonic()
        first = self._first = self._first + data
        if first.startswith(PREFACE):
            self._become(GrpcFront(self._forwarder, self._fronts, self._transport))
        elif not PREFACE.startswith(first):
            self._become(RestFront(self._forwarder, self._fronts, self._transport))

    def _become(self, front: RestFront | GrpcFront) -> None:
        self._fronts.replace(self, front)
        self._transport.set_protocol(front)
        front.data_received(self._first)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fronts.remove(self)

    def sweep(self, now: float) -> None:
        settings = self._forwarder.settings
        idle = DRAIN_IDLE_SECONDS if self._fronts.draining else settings.idle_timeout
        if now - self._since > (settings.read_timeout if self._first else idle):
            self._transport.close()

    def drain(self) -> None:
        self.sweep(monotonic())
