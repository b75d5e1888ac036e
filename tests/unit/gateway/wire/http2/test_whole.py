"""Messages that came whole in one read, told and sent in one step: to the same effect as frame by frame."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.wire.http2 import frames
from gateway.wire.http2.fields import encode, encode_all
from tests.fakes.http2_peer import Side, client, server

REQUEST = encode_all(
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b"content-type", b"application/grpc")
)
ANSWER = encode_all((b":status", b"200"), (b"content-type", b"application/grpc"))
TRAILERS = encode_all((b"grpc-status", b"0"))
TABLE_OFF = b"\x20"

odd_fields = st.sampled_from(
    [b""] * 6
    + [
        encode(b"grpc-timeout", b"17m"),
        encode(b"x-note", b"n"),
        encode(b"content-length", b"5"),
        encode(b"connection", b"close"),  # malformed
        encode(b":path", b"/again"),  # malformed
        b"\xff\xff",  # no block
    ]
)
messages = st.lists(
    st.tuples(
        st.sampled_from([None] * 9 + [1, 2, 7]),  # the stream; most often the next
        odd_fields,
        st.sampled_from([0, 1, 5, 100, 16_384]),
        st.sampled_from([frames.END_STREAM, 0, frames.PADDED | frames.END_STREAM]),
        st.booleans(),
    ),
    min_size=2,
    max_size=6,
)


def effect(side: Side, data: bytes, step: int) -> tuple[object, ...]:
    """What comes of the bytes, cut into steps: the events, all that is sent, and how the connection stands."""
    connection = side.connection
    for start in range(0, len(data), step):
        connection.receive(data[start : start + step], 0)
    return side.handler.events, connection.take(), connection.closed, connection.reason, connection.active


@given(messages)
@example([(None, b"", 5, frames.END_STREAM, False), (2, b"", 5, frames.END_STREAM, False)])
@settings(deadline=None)
def test_requests(requests: list[tuple[int | None, bytes, int, int, bool]]) -> None:
    data = b""
    for number, (other, odd, size, flags, end) in enumerate(requests):
        stream = 2 * number + 1 if other is None else other
        block = REQUEST + odd if number else TABLE_OFF + REQUEST + odd
        data += frames.header_frames(stream, block, end and not size)
        if size:
            data += frames.frame(frames.DATA, flags, stream, b"\x01" + b"d" * (size - 1))
    found = []
    for step in (len(data) + 1, 1, 9_000):
        found.append(effect(server(), data, step))
    assert found[0] == found[1] == found[2]


@given(messages)
@settings(deadline=None)
def test_answers(answers: list[tuple[int | None, bytes, int, int, bool]]) -> None:
    data = b""
    for number, (other, odd, size, flags, end) in enumerate(answers):
        stream = 2 * number + 1 if other is None else other
        block = ANSWER + odd if number else TABLE_OFF + ANSWER + odd
        data += frames.header_frames(stream, block, False)
        data += frames.frame(frames.DATA, 0 if end else flags, stream, b"\x01" + b"d" * size)
        data += frames.header_frames(stream, TRAILERS + (odd if size == 5 else b""), True)
    found = []
    for step in (len(data) + 1, 1, 9_000):
        side = client()
        for _ in range(4):
            side.connection.request(REQUEST, b"message")
        side.connection.take()
        found.append(effect(side, data, step))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 70_000])
def test_sending_whole_messages(size: int) -> None:
    """The same frames as by the single steps, and what the windows hold back waits."""
    one, many = client().connection, client().connection
    stream = one.request(REQUEST, b"m" * size)
    assert many.open(REQUEST, False) == stream
    many.data(stream, b"m" * size, True)
    for connection in (one, many):
        last = connection.open(REQUEST, False)
        connection.data(last, b"n" * 65_000, True)
        assert connection.buffered(stream) == max(0, size - 65_535)
        assert connection.buffered(last) == min(65_000, size - 535 if size > 535 else 0)
    assert one.take() == many.take()

    answers = []
    for whole in (True, False):
        connection = server().connection
        connection.receive(frames.header_frames(1, TABLE_OFF + REQUEST, True), 0)
        connection.headers(1, ANSWER, True)
        connection.receive(frames.header_frames(3, REQUEST, True), 0)
        connection.take()
        if whole:
            connection.answer(3, ANSWER, b"m" * size, TRAILERS)
        else:
            connection.headers(3, ANSWER, False)
            connection.data(3, b"m" * size, False)
            connection.headers(3, TRAILERS, True)
        connection.receive(frames.header_frames(5, REQUEST, True), 0)
        connection.headers(5, ANSWER, False)
        connection.data(5, b"n" * 65_000, True)
        answers.append((connection.take(), connection.active, connection.buffered(5)))
    assert answers[0] == answers[1]
