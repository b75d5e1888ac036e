"""One stream of an HTTP/2 connection."""

from __future__ import annotations

from collections import deque


class Stream:
    """One stream that is not over."""

    # What most streams never set stands here, not in __init__, which is on every call's way twice.
    unconsumed = 0  # bytes that came and that the handler still holds
    finishing = False  # our END_STREAM is queued
    queue: deque[bytes | memoryview] | None = None
    queued = 0
    over_mark = False
    trailers: bytes | None = None
    head_seen = False
    mute = False  # the handler hears no more of it
    opened = 0.0  # a request: when it came
    expected = -1  # bytes still to come by content-length; -1: not said

    def __init__(self, stream_id: int, window: int, credit: int, *, sending: bool, receiving: bool) -> None:
        self.id = stream_id
        self.window = window  # bytes that the peer lets us send; may be negative
        self.credit = credit  # bytes that we let the peer send
        self.sending = sending  # our END_STREAM is not yet sent
        self.receiving = receiving  # the peer's END_STREAM has not come
