"""Model servers that answer as a test tells them to, on raw sockets.

    async def script(peer: Peer) -> None:               # run once for each connection
        while await peer.request() is not None:         # a whole request; None once the gateway has closed
            await peer.send(answer(b"{}"))              # any bytes: late, half, garbage

    server = servers(script)                            # the fixture of tests/integration/gateway/conftest.py
    server.endpoint                                     # for a route table
    server.requests                                     # all that came whole, over all connections

`server.gate` is an event that scripts may wait for (`await peer.server.gate.wait()`); `server.open_gate()` sets it from
the test. When the script returns, the connection is closed; `peer.reset()` ends it with RST.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from gateway.contract.route_table import Endpoint
from tests.fakes.loop import LoopThread


class Request(NamedTuple):
    line: bytes
    fields: dict[bytes, bytes]
    """By lower-case name."""
    body: bytes
    connection: int
    """0 for the server's first connection, and so on."""


Script = Callable[["Peer"], Awaitable[None]]


def answer(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    """A whole answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *fields]
    return "\r\n".join((*lines, "", "")).encode() + body


def always(data: bytes) -> Script:
    """Each request gets `data`."""

    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(data)

    return script


def once(data: bytes) -> Script:
    """The connection's first request gets `data`, then the connection is closed."""

    async def script(peer: Peer) -> None:
        if await peer.request() is not None:
            await peer.send(data)

    return script


def then(*scripts: Script) -> Script:
    """The first connection follows the first script, and so on; further ones the last."""

    async def script(peer: Peer) -> None:
        await scripts[min(peer.number, len(scripts) - 1)](peer)

    return script


async def echo(peer: Peer) -> None:
    """Answers with the body that came."""
    while (came := await peer.request()) is not None:
        await peer.send(answer(came.body))


async def silent(peer: Peer) -> None:
    """Takes requests and never answers; returns once the gateway gives up."""
    while await peer.request() is not None:
        pass


async def endless(peer: Peer) -> None:
    """Goes on with its answer for as long as that is taken."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    with suppress(OSError):
        while True:
            await peer.send(b" " * 65_536)
            peer.server.taken += 65_536


async def resetting(peer: Peer) -> None:
    """Ends each connection with RST once a request has come."""
    await peer.request()
    peer.reset()


class Peer:
    """A connection that the gateway has opened."""

    def __init__(self, server: Server, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.number = number
        self.reader = reader
        self.writer = writer

    async def head(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        """The request line and the fields, and nothing of the body."""
        try:
            lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        except asyncio.IncompleteReadError:
            return None
        fields = dict(line.split(b": ", 1) for line in lines[1:-2])
        return lines[0], {name.lower(): value for name, value in fields.items()}

    async def request(self) -> Request | None:
        head = await self.head()
        if head is None:
            return None
        body = await self.reader.readexactly(int(head[1].get(b"content-length", b"0")))
        request = Request(*head, body, self.number)
        self.server.requests.append(request)
        return request

    async def send(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            raise ConnectionResetError  # which uvloop says otherwise where it has begun to close
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Server:
    def __init__(self, loop: LoopThread, script: Script, port: int = 0, host: str = "127.0.0.1") -> None:
        self.script = script
        self.host = host
        self.requests: list[Request] = []
        self.connections = 0
        """Ever opened."""
        self.open: set[Peer] = set()
        self.taken = 0
        """For scripts that count what they could send."""
        self.gate = asyncio.Event()
        self._loop = loop
        self._server = loop.run(asyncio.start_server(self._serve, host, port, limit=1 << 20))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host=self.host, rest=self.port, grpc=self.port)

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]

    def open_gate(self) -> None:
        self._loop.call(self.gate.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self, self.connections, reader, writer)
        self.connections += 1
        self.open.add(peer)
        try:
            await self.script(peer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the gateway has gone, or the test is over
        finally:
            self.open.discard(peer)
            writer.close()

    def close(self) -> None:
        """Listen no more and reset what is open: the server has died."""

        def end() -> None:
            self._server.close()
            for peer in list(self.open):
                peer.reset()

        self._loop.call(end)


class Unaccepting:
    """A server whose queue is full: a SYN is neither answered nor refused, until `accept` makes room."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._listener.settimeout(30)
        port = self._listener.getsockname()[1]
        self.endpoint = Endpoint(host="127.0.0.1", rest=port, grpc=port)
        self._filling = [socket.socket() for _ in range(3)]
        for one in self._filling:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))

    def accept(self) -> socket.socket:
        """The connection of somebody else."""
        filling = {one.getsockname() for one in self._filling}
        for one in self._filling:
            one.close()
        while True:
            connection, address = self._listener.accept()
            if address not in filling:
                connection.settimeout(30)
                return connection
            connection.close()

    def __enter__(self) -> Unaccepting:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in (*self._filling, self._listener):
            one.close()


def unused_port() -> int:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def dead() -> Endpoint:
    """Of no server."""
    port = unused_port()
    return Endpoint(host="127.0.0.1", rest=port, grpc=port)
