"""The data port: HTTP/1.1 and HTTP/2 on one address, told apart by a connection's first bytes.

Without TLS there is no ALPN: a client that speaks HTTP/2 says so by beginning with its preface (RFC 9113, 3.3). Before
either a proxy may say whose connection it carries (`wire/proxy_header.py`).
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import cast

from gateway.downstream.connections import DRAIN_IDLE_SECONDS, Clients
from gateway.downstream.grpc_connection import GrpcConnection
from gateway.downstream.rest_connection import RestConnection
from gateway.forwarder import Forwarder
from gateway.memory_budget import MemoryShare
from gateway.refusal import Code, Refusal
from gateway.wire import proxy_header
from gateway.wire.caller import among, caller_key, parse
from gateway.wire.http2.frames import PREFACE


class Listener(asyncio.Protocol):
    """A client's connection until its protocol is known."""

    def __init__(self, forwarder: Forwarder, clients: Clients) -> None:
        self._forwarder = forwarder
        self._clients = clients
        self._first = b""
        self._announced = False  # a proxy has said whose connection it is
        self._since = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own has no common base
        peer = transport.get_extra_info("peername")
        self._address = parse(peer[0] if peer else "0.0.0.0")  # else the connection has ended already
        self._may_be_told = among(self._address, self._forwarder.settings.proxies)
        self._clients.add(self)
        if self._clients.too_many:
            room = self._clients.make_room()
            what = "another, idle one was closed" if room else "it was closed, since none is idle"
            message = f"more connections than this worker has descriptors for: {what}"
            self._refused(Refusal(Code.RESOURCE_EXHAUSTED, "descriptors", message))
            if not room:
                self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._first:
            self._since = monotonic()
        self._first += data
        if self._may_be_told and not self._take_proxy_header():
            return
        first = self._first
        if first.startswith(PREFACE):
            self._become(GrpcConnection)
        elif not PREFACE.startswith(first):
            self._become(RestConnection)

    def _take_proxy_header(self) -> bool:
        """Whether it is whole, or none comes."""
        if proxy_header.begins(self._first):
            try:
                header = proxy_header.read(self._first)
            except proxy_header.BrokenHeader as error:
                self._refused(Refusal(Code.INVALID_ARGUMENT, "proxy_header", f"PROXY protocol's header: {error}"))
                self._transport.close()
                return False
            if header is None:
                return False
            if header.source is not None:
                self._announced = True
                self._address = header.source
            self._first = self._first[header.size :]
        self._may_be_told = False
        return True

    def _become(self, kind: type[RestConnection] | type[GrpcConnection]) -> None:
        forwarder = self._forwarder
        caller = caller_key(self._address)
        proxied = among(self._address, forwarder.settings.proxies)
        alone = proxied or not self._announced
        share = MemoryShare(forwarder.budget, caller) if alone else forwarder.budget.share_of(caller)
        connection = kind(forwarder, self._clients, self._transport, share, proxied)
        self._clients.replace(self, connection)
        self._transport.set_protocol(connection)
        connection.data_received(self._first)

    def _refused(self, refusal: Refusal) -> None:
        self._forwarder.refused("unknown", refusal, b"", caller_key(self._address))

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.remove(self)

    def sweep(self, now: float) -> None:
        settings = self._forwarder.settings
        idle = DRAIN_IDLE_SECONDS if self._clients.draining else settings.idle_timeout
        if now - self._since > (settings.read_timeout if self._first else idle):
            self._transport.close()

    def expel(self, refusal: Refusal) -> None:
        """It has no calls yet."""

    def drain(self) -> None:
        self.sweep(monotonic())

    @property
    def idle_since(self) -> float | None:
        return self._since

    def close(self) -> None:
        self._transport.close()
