"""A model server that answers all that it is asked alike: REST on one port, gRPC on another.

python -m loadtests.attack.model_server SIZE SECONDS; its ports go to stdout. SIZE: bytes of an answer, SECONDS: how
long each takes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import monotonic
from typing import cast

import uvloop

from gateway.protocols.grpc_message import frame
from gateway.wire.http2.connection import Connection
from gateway.wire.http2.fields import Fields, encode, encode_all

_SIZE, _SECONDS = (int(sys.argv[1]), float(sys.argv[2])) if len(sys.argv) == 3 else (60, 0.0)
_BODY = b'{"predictions": [' + b"1" * _SIZE + b"]}"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_HEAD = encode_all((b":status", b"200"), (b"content-type", b"application/grpc"))
_MESSAGE = frame(b"\x0a" + b"x" * _SIZE)
_TRAILERS = encode(b"grpc-status", b"0")


class Rest(asyncio.Protocol):
    def __init__(self) -> None:
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n") + 4) >= 4:
            fields = dict(line.split(b": ", 1) for line in self._came[:end].lower().split(b"\r\n")[1:-2])
            end += int(fields.get(b"content-length", b"0"))
            if len(self._came) < end:
                return
            self._came = self._came[end:]
            asyncio.get_running_loop().call_later(_SECONDS, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_ANSWER)


class Grpc(asyncio.Protocol):
    def __init__(self) -> None:
        self._wire = Connection(self, client=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._wire.start()
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._wire.receive(data, monotonic())
        while self._wire.behind:
            self._wire.receive(b"", monotonic())
        self._flush()

    def _flush(self) -> None:
        if (out := self._wire.take()) and not self._transport.is_closing():
            self._transport.write(out)

    def _answer(self, stream_id: int) -> None:
        self._wire.answer(stream_id, _HEAD, _MESSAGE, _TRAILERS)
        self._flush()

    # What the wire tells.

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None: ...

    def on_oversize(self, stream_id: int) -> None: ...

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None:
        self.on_data(stream_id, data, True)

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None: ...

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        if end_stream:
            asyncio.get_running_loop().call_later(_SECONDS, self._answer, stream_id)
        return True

    def on_trailers(self, stream_id: int, fields: Fields) -> None: ...

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None: ...

    def on_writable(self, stream_id: int) -> None: ...

    def on_goaway(self, last_id: int, code: int) -> None: ...

    def on_settings(self) -> None: ...

    def on_pong(self) -> None: ...


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    rest = await loop.create_server(Rest, "127.0.0.1", 0, backlog=4096)
    grpc = await loop.create_server(Grpc, "127.0.0.1", 0, backlog=4096)
    print(json.dumps({"rest": rest.sockets[0].getsockname()[1], "grpc": grpc.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
