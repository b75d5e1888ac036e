"""The honest client: 50 requests a second whatever becomes of them, half REST and half gRPC, until SIGTERM.

python -m loadtests.attack.honest_client PORT MODEL FILE; FILE then has [when, seconds, how it ended] of each, `when` by
the machine's monotonic clock. It ended well where that is "ok".
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import cast

import uvloop

from gateway.wire.http2.connection import Connection
from gateway.wire.http2.fields import Fields
from loadtests.attack import peer

INTERVAL = 0.02
PATIENCE = 5.0
"""Seconds, after which a request has failed."""


class Rest(asyncio.Protocol):
    """A connection, for one request at a time."""

    def __init__(self) -> None:
        self._came = b""
        self._answer: asyncio.Future[str] | None = None
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> str:
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, found, body = self._came.partition(b"\r\n\r\n")
        if found:
            fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
            if len(body) >= int(fields[b"content-length"]):
                self._came = b""
                self._settle("ok" if head[9:12] == b"200" else head[9:12].decode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._settle("reset")

    def _settle(self, how: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(how)


class Grpc(asyncio.Protocol):
    """A connection, for all."""

    def __init__(self) -> None:
        self._wire = Connection(self, client=True)
        self._answers: dict[int, asyncio.Future[str]] = {}
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._wire.start()
        self._flush()

    async def ask(self, request: bytes) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[self._wire.request(peer.BLOCK, request)] = answer
        self._flush()
        return await answer

    def data_received(self, data: bytes) -> None:
        self._wire.receive(data, monotonic())
        while self._wire.behind:
            self._wire.receive(b"", monotonic())
        self._flush()

    def _flush(self) -> None:
        if out := self._wire.take():
            self.transport.write(out)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        for stream_id in list(self._answers):
            self._settle(stream_id, "reset")

    def _settle(self, stream_id: int, how: str) -> None:
        answer = self._answers.pop(stream_id, None)
        if answer is not None and not answer.done():
            answer.set_result(how)

    # What the wire tells.

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        if end_stream:
            self.on_trailers(stream_id, fields)

    def on_oversize(self, stream_id: int) -> None: ...

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None: ...

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None:
        self.on_trailers(stream_id, trailers)

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        return True

    def on_trailers(self, stream_id: int, fields: Fields) -> None:
        status = next((field.value for field in fields if field.name == b"grpc-status"), b"none")
        self._settle(stream_id, "ok" if status == b"0" else f"status {status.decode()}")

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None:
        self._settle(stream_id, f"reset {code}")

    def on_writable(self, stream_id: int) -> None: ...

    def on_goaway(self, last_id: int, code: int) -> None:
        self.open = False

    def on_settings(self) -> None: ...

    def on_pong(self) -> None: ...


class HonestClient:
    def __init__(self, port: int, model: str) -> None:
        self._port = port
        self._rest_request = peer.http1(f"/v1/models/{model}:predict", b'{"instances": [[1.0, 2.0]]}')
        self._grpc_request = peer.message(model)
        self._free: list[Rest] = []
        self._shared: list[Grpc | None] = [None] * 4
        self.records: list[tuple[float, float, str]] = []

    async def run(self) -> None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        begin = monotonic()
        async with asyncio.TaskGroup() as requests:
            number = 0
            while not ended.is_set():
                requests.create_task(self._one(number))
                number += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), max(0.0, begin + number * INTERVAL - monotonic()))

    async def _one(self, number: int) -> None:
        """Half over gRPC; an eighth over a connection of its own."""
        begin = monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                how = await (self._grpc(number // 2 % 4) if number % 2 else self._rest(fresh=number % 8 == 0))
        except TimeoutError:
            how = "time-out"
            self._shared[number // 2 % 4] = None
        except OSError as error:
            how = type(error).__name__
        self.records.append((begin, monotonic() - begin, how))

    async def _rest(self, *, fresh: bool) -> str:
        loop = asyncio.get_running_loop()
        connection = self._free.pop() if self._free and not fresh else None
        if connection is None or not connection.open:
            _, connection = await loop.create_connection(Rest, "127.0.0.1", self._port)
        try:
            how = await connection.ask(self._rest_request)
        except BaseException:
            connection.transport.abort()
            raise
        if fresh or len(self._free) > 8:
            connection.transport.close()
        elif connection.open:
            self._free.append(connection)
        return how

    async def _grpc(self, place: int) -> str:
        loop = asyncio.get_running_loop()
        connection = self._shared[place]
        if connection is None or not connection.open:
            _, connection = await loop.create_connection(Grpc, "127.0.0.1", self._port)
            self._shared[place] = connection
        return await connection.ask(self._grpc_request)


def main(port: int, model: str, file: Path) -> None:
    client = HonestClient(port, model)
    uvloop.run(client.run())
    file.write_text(json.dumps(client.records) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
