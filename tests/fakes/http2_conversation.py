"""An HTTP/2 connection that is given any bytes, and uses itself from within what it is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Connection, Limits
from gateway.wire.http2.fields import Fields
from tests.fakes.http2_peer import ANSWER, REQUEST, Recorder, frames_of


class Replying(Recorder):
    """It also uses its connection from within each call."""

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        super().on_headers(stream_id, fields, end_stream)
        self.connection.headers(stream_id, ANSWER, False)
        self.connection.data(stream_id, b"a" * 100, len(self.events) % 2 == 0)
        if len(self.events) % 3 == 0:
            self.connection.reset(stream_id, 8)


def run(parts: Iterable[bytes], *, is_client: bool, replying: bool = True) -> tuple[list[Any], bytes, str]:
    """What the handler is told, what goes out, and why the connection ended, if it did."""
    handler = Replying() if replying else Recorder()
    connection = handler.connection = Connection(handler, client=is_client, limits=Limits(max_head_bytes=300))
    connection.start()
    out = connection.take()
    if is_client:
        for end in (False, True, False):
            connection.open(REQUEST, end)
            out += connection.take()
    for part in parts:
        connection.receive(part, 0.0)
        while connection.behind:
            connection.receive(b"", 0.0)
        out += connection.take()
    frames_of(out.removeprefix(frames.PREFACE))
    return handler.events, out, connection.reason
