"""One stream of an HTTP/2 connection."""

from __future__ import annotations

from collections import deque


class Stream:
    """One stream that is not over."""

    __slots__ = (
        "credit",
        "expected",
        "finishing",
        "head_seen",
        "id",
        "mute",
        "over_mark",
        "queue",
        "queued",
        "receiving",
        "sending",
        "trailers",
        "unconsumed",
        "window",
    )

    def __init__(self, stream_id: int, window: int, credit: int, *, sending: bool, receiving: bool) -> None:
        self.id = stream_id
        self.window = window  # bytes that the peer lets us send; may be negative
        self.credit = credit  # bytes that we let the peer send
        self.unconsumed = 0  # bytes that came and that the handler still holds
        self.sending = sending  # our END_STREAM is not yet sent
        self.receiving = receiving  # the peer's END_STREAM has not come
        self.finishing = False  # our END_STREAM is queued
        self.queue: deque[bytes | memoryview] | None = None
        self.queued = 0
        self.over_mark = False
        self.trailers: bytes | None = None
        self.head_seen = False
        self.mute = False  # the handler hears no more of it
        self.expected = -1  # bytes still to come by content-length; -1: not said
