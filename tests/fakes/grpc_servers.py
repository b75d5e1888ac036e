"""Model servers that speak gRPC as a test tells them to.

    server = grpc_servers(answering(b"out"))            # the fixture of tests/integration/gateway/conftest.py
    server.endpoint                                     # for a route table
    server.calls                                        # all that came whole, over all connections

A script is called in the loop with each whole call, and does with it what it likes: at once, or the test does later, by
`server.call(lambda: call.answer(b"late"))`. Raw servers (`tests/fakes/rest_servers.py`) do for what is no HTTP/2 at
all.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TypeVar, cast

from gateway.contract.route_table import Endpoint
from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Connection, Limits
from gateway.wire.http2.fields import Fields, encode_all
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.loop import LoopThread
from tests.fakes.parent_process import eventually

T = TypeVar("T")
HEAD = {":status": "200", "content-type": "application/grpc"}


class ServerCall:
    """One call as its server sees it."""

    def __init__(self, peer: GrpcPeer, stream: int, fields: Fields) -> None:
        self.peer = peer
        self.stream = stream
        self.metadata = {field.name.decode(): field.value.decode("latin-1") for field in fields}
        self.body = bytearray()
        """The message with its prefix, as it came."""
        self.ended = False
        self.reset_with: int | None = None
        """The code with which the gateway reset the stream."""

    def take(self) -> None:
        """Give credit for all that has come."""
        self.peer.wire.consumed(self.stream, len(self.body))
        self.peer.flush()

    def answer(self, message: bytes = b"", metadata: Mapping[str, str] | None = None) -> None:
        """OK, whole."""
        self.head(metadata)
        self.data(frame(message))
        self.trailers(Code.OK)

    def head(self, metadata: Mapping[str, str] | None = None) -> None:
        self.peer.wire.headers(self.stream, _block(HEAD | dict(metadata or {})), False)
        self.peer.flush()

    def data(self, data: bytes, *, end: bool = False) -> None:
        self.peer.wire.data(self.stream, data, end)
        self.peer.flush()

    def trailers(self, code: Code | None, metadata: Mapping[str, str] | None = None) -> None:
        """Without a `grpc-status` where `code` is None."""
        self.peer.wire.headers(self.stream, _block(_status(code) | dict(metadata or {})), True)
        self.peer.flush()

    def trailers_only(self, code: Code | None, metadata: Mapping[str, str] | None = None) -> None:
        self.peer.wire.headers(self.stream, _block(HEAD | _status(code) | dict(metadata or {})), True)
        self.peer.flush()

    def reset(self, code: ErrorCode) -> None:
        self.peer.wire.reset(self.stream, code)
        self.peer.flush()


Script = Callable[[ServerCall], None]


def answering(message: bytes = b"", metadata: Mapping[str, str] | None = None) -> Script:
    return lambda call: call.answer(message, metadata)


def failing(code: Code | None) -> Script:
    """Trailers-Only."""
    return lambda call: call.trailers_only(code)


def silent(call: ServerCall) -> None:
    """Nothing: the test answers, or nobody does."""


def dying(call: ServerCall) -> None:
    """The connection ends with RST once a call has come."""
    call.peer.die()


class GrpcPeer(asyncio.Protocol):
    """A connection that the gateway has opened."""

    def __init__(self, server: GrpcServer) -> None:
        self.server = server
        self.wire = Connection(self, client=False, limits=server.limits)
        self.calls: dict[int, ServerCall] = {}
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.server.open.add(self)
        self.server.connections += 1
        self.wire.start()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.wire.receive(data, monotonic())  # by a clock that stands, the guard against floods forgives nothing
        while self.wire.behind:
            self.wire.receive(b"", monotonic())
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.open.discard(self)

    def flush(self) -> None:
        if out := self.wire.take():
            self.transport.write(out)

    def goaway(self, last_id: int) -> None:
        self.transport.write(frames.goaway(last_id, ErrorCode.NO_ERROR))

    def die(self) -> None:
        """End the connection with RST."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # What the wire tells.

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        call = self.calls[stream_id] = ServerCall(self, stream_id, fields)
        self.server.begun.append(call)
        self.server.most_at_once = max(self.server.most_at_once, self.wire.active)

    def on_oversize(self, stream_id: int) -> None: ...

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None:
        self.on_headers(stream_id, fields, False)
        self.on_data(stream_id, data, True)

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None: ...

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        call = self.calls[stream_id]
        if not self.server.drops:
            call.body += data
        call.ended = end_stream
        if end_stream:
            self.server.calls.append(call)
            self.server.script(call)
        return self.server.greedy

    def on_trailers(self, stream_id: int, fields: Fields) -> None: ...

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None:
        self.calls[stream_id].reset_with = code

    def on_writable(self, stream_id: int) -> None: ...

    def on_goaway(self, last_id: int, code: int) -> None: ...

    def on_settings(self) -> None: ...

    def on_pong(self) -> None: ...


class GrpcServer:
    def __init__(
        self,
        loop: LoopThread,
        script: Script,
        *,
        limits: Limits | None = None,
        port: int = 0,
        greedy: bool = True,
        drops: bool = False,
    ) -> None:
        """One that is not `greedy` gives no credit for what it gets, until `ServerCall.take`; one that `drops` forgets
        what it gets."""
        self.drops = drops
        self.script = script
        self.greedy = greedy
        self.begun: list[ServerCall] = []
        """All whose heads have come."""
        self.limits = limits or Limits()
        self.calls: list[ServerCall] = []
        self.connections = 0
        """Ever opened."""
        self.open: set[GrpcPeer] = set()
        self.most_at_once = 0
        """Streams of one connection that were open at one time."""
        self._loop = loop
        self._server = loop.run(self._listen(port))
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: GrpcPeer(self), "127.0.0.1", port)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host="127.0.0.1", rest=self.port, grpc=self.port)

    def call(self, function: Callable[[], T]) -> T:
        """In the server's loop."""
        return self._loop.call(function)

    def received(self, number: int = 1) -> list[ServerCall]:
        """All calls, once so many have come."""
        return eventually(lambda: list(self.calls), lambda calls: len(calls) >= number)

    def hang_up(self) -> None:
        """Close what is open; to be called in the loop."""
        for peer in self.open:
            peer.transport.close()

    def close(self) -> None:
        """Listen no more and reset what is open: the server has died."""

        def end() -> None:
            self._server.close()
            for peer in list(self.open):
                peer.die()

        self._loop.call(end)


def _status(code: Code | None) -> dict[str, str]:
    return {} if code is None else {"grpc-status": str(int(code))}


def _block(fields: Mapping[str, str]) -> bytes:
    return encode_all(*((name.encode(), value.encode()) for name, value in fields.items()))
