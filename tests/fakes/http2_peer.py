"""The other side of an HTTP/2 connection under test: what its handler is told, and the frames that come out."""

from __future__ import annotations

from typing import NamedTuple

from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Connection, Limits
from gateway.wire.http2.fields import Fields, encode_all

FIELDS = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b"te", b"trailers")]
REQUEST = encode_all(*FIELDS)
ANSWER = encode_all((b":status", b"200"), (b"content-type", b"application/grpc"))
TRAILERS = encode_all((b"grpc-status", b"0"))

Event = tuple[object, ...]


class Recorder:
    """A handler that notes its calls. It consumes DATA at once unless `greedy` is False."""

    def __init__(self, *, greedy: bool = True) -> None:
        self.events: list[Event] = []
        self.greedy = greedy
        self.connection: Connection

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        self.events.append(("headers", stream_id, [tuple(field[:2]) for field in fields], end_stream))

    def on_oversize(self, stream_id: int) -> None:
        self.events.append(("oversize", stream_id))

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        self.events.append(("data", stream_id, data, end_stream))
        return self.greedy

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None:
        self.on_headers(stream_id, fields, False)
        self.on_data(stream_id, data, True)

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None:
        self.on_headers(stream_id, fields, False)
        self.on_data(stream_id, data, False)
        self.on_trailers(stream_id, trailers)

    def on_trailers(self, stream_id: int, fields: Fields) -> None:
        self.events.append(("trailers", stream_id, [tuple(field[:2]) for field in fields]))

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None:
        self.events.append(("reset", stream_id, code, refused))

    def on_writable(self, stream_id: int) -> None:
        self.events.append(("writable", stream_id))

    def on_goaway(self, last_id: int, code: int) -> None:
        self.events.append(("goaway", last_id, code))

    def on_settings(self) -> None:
        self.events.append(("settings",))

    def on_pong(self) -> None:
        self.events.append(("pong",))

    def take(self) -> list[Event]:
        events, self.events = self.events, []
        return events


class Frame(NamedTuple):
    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frames_of(data: bytes) -> list[Frame]:
    """The whole frames in `data`, which is nothing but whole frames."""
    found = []
    while data:
        head, flags, stream_id = frames.read_head(data, 0)
        size = head >> 8
        assert len(data) >= 9 + size
        assert size <= 16_384
        found.append(Frame(head & 0xFF, flags, stream_id, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


class Side:
    """A connection under test, past its first SETTINGS, and its peer's hand."""

    def __init__(
        self, *, client: bool, limits: Limits | None = None, settings: bytes | None = b"", greedy: bool = True
    ) -> None:
        """`settings`: the payload of the peer's SETTINGS; None: they have not come yet."""
        self.handler = Recorder(greedy=greedy)
        self.connection = self.handler.connection = Connection(self.handler, client=client, limits=limits)
        self.connection.start()
        self.connection.take()
        if not client:
            self.give(frames.PREFACE)
        if settings is not None:
            self.give(frames.frame(frames.SETTINGS, 0, 0, settings), frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
            assert self.handler.take() == [("settings",)]
            assert self.out() == [Frame(frames.SETTINGS, frames.ACK, 0, b"")]

    def give(self, *parts: bytes, now: float = 0.0) -> list[Event]:
        """Receive these bytes; what the handler was told since last asked is in `handler`."""
        self.connection.receive(b"".join(parts), now)
        while self.connection.behind:  # a turn takes no more than so much
            self.connection.receive(b"", now)
        return self.handler.events

    def events(self, *parts: bytes, now: float = 0.0) -> list[Event]:
        """What the handler is told on these bytes."""
        self.handler.take()
        self.give(*parts, now=now)
        return self.handler.take()

    def out(self) -> list[Frame]:
        return frames_of(self.connection.take())


def server(**options: object) -> Side:
    return Side(client=False, **options)  # type: ignore[arg-type]


def client(**options: object) -> Side:
    return Side(client=True, **options)  # type: ignore[arg-type]


def head(stream_id: int, block: bytes = REQUEST, *, end: bool = False) -> bytes:
    return frames.header_frames(stream_id, block, end)


def data(stream_id: int, payload: bytes, *, end: bool = False) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, payload)


def rst(stream_id: int, code: int) -> Frame:
    return Frame(frames.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))
