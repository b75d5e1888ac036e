"""What HTTP/1.1 readers tell of bytes, however these are cut."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from gateway.refusal import Refusal
from gateway.wire.http1.answer_reader import AnswerReader
from gateway.wire.http1.heads import Head
from gateway.wire.http1.request_reader import RequestReader

LIMIT = 1024
POST = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\n"
"""A head's beginning."""
NEXT = b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"
"""What follows, whole."""
Events = list[tuple[object, ...]]


class Recorder:
    """Events in an order that does not depend on how the bytes were cut."""

    def __init__(self) -> None:
        self.events: Events = []
        self.heads: list[Head] = []

    def on_head(self, head: Head) -> None:
        self.heads.append(head)
        start = (head.method, head.target) if head.method else (head.status, head.reason)
        self.events.append(("head", *start, head.minor, head.length, head.chunked, b"".join(head.lines), head.own))

    def on_body(self, data: bytes) -> None:
        if self.events and self.events[-1][0] == "body":
            data = self.events.pop()[1] + data  # type: ignore[operator]
        self.events.append(("body", data))

    def on_end(self) -> None:
        self.events.append(("end", self.heads[-1].close))


def targets(recorder: Recorder) -> list[bytes]:
    return [head.target for head in recorder.heads]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def requests(parts: Iterable[bytes], limit: int = LIMIT) -> Recorder:
    """What the reader tells of them; a refusal is its last event."""
    recorder = Recorder()
    reader = RequestReader(recorder, limit)
    try:
        for part in parts:
            reader.receive(part)
    except Refusal as refusal:
        recorder.events.append(("refused", refusal.status, refusal.reason))
    return recorder


def answers(parts: Iterable[bytes], ended: bool = False, limit: int = LIMIT) -> Recorder:
    recorder = Recorder()
    reader = AnswerReader(recorder, limit)
    try:
        for part in parts:
            reader.receive(part)
        if ended:
            recorder.events.append(("whole", reader.end_of_stream()))
    except Refusal as refusal:
        recorder.events.append(("refused", refusal.reason))
    return recorder


def bodies(recorder: Recorder) -> list[object]:
    return [event[1] for event in recorder.events if event[0] == "body"]
