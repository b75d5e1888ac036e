"""The data port: HTTP/1.1 and HTTP/2 on one address, told apart by a connection's first bytes.

Without TLS there is no ALPN: a client that speaks HTTP/2 says so by beginning with its preface (RFC 9113, 3.3).
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import cast

from gateway.downstream.connections import DRAIN_IDLE_SECONDS, Clients
from gateway.downstream.grpc_connection import GrpcConnection
from gateway.downstream.rest_connection import RestConnection
from gateway.forwarder import Forwarder
from gateway.refusal import Code, Refusal
from gateway.wire.caller import caller_key, parse
from gateway.wire.http2.frames import PREFACE


class Listener(asyncio.Protocol):
    """A client's connection until its protocol is known."""

    def __init__(self, forwarder: Forwarder, clients: Clients) -> None:
        self._forwarder = forwarder
        self._clients = clients
        self._first = b""
        self._since = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own has no common base
        peer = transport.get_extra_info("peername")
        self._caller = caller_key(parse(peer[0])) if peer else ""  # else the connection has ended already
        self._clients.add(self)
        if self._clients.too_many:
            room = self._clients.make_room()
            what = "another, idle one was closed" if room else "it was closed, since none is idle"
            message = f"more connections than this worker has descriptors for: {what}"
            self._forwarder.refused(
                "unknown", Refusal(Code.RESOURCE_EXHAUSTED, "descriptors", message), b"", self._caller
            )
            if not room:
                self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._first:
            self._since = monotonic()
        first = self._first = self._first + data
        if first.startswith(PREFACE):
            self._become(GrpcConnection(self._forwarder, self._clients, self._transport, self._caller))
        elif not PREFACE.startswith(first):
            self._become(RestConnection(self._forwarder, self._clients, self._transport, self._caller))

    def _become(self, connection: RestConnection | GrpcConnection) -> None:
        self._clients.replace(self, connection)
        self._transport.set_protocol(connection)
        connection.data_received(self._first)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.remove(self)

    def sweep(self, now: float) -> None:
        settings = self._forwarder.settings
        idle = DRAIN_IDLE_SECONDS if self._clients.draining else settings.idle_timeout
        if now - self._since > (settings.read_timeout if self._first else idle):
            self._transport.close()

    def drain(self) -> None:
        self.sweep(monotonic())

    @property
    def idle_since(self) -> float | None:
        return self._since

    def close(self) -> None:
        self._transport.close()
