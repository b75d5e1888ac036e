"""Messages that came whole in one read, told and sent in one step: to the same effect as frame by frame."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.fields import encode, encode_all
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.http2_peer import Side, client, data, head, rst, server

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
        while connection.behind:
            connection.receive(b"", 0)
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


def served(**options: object) -> Side:
    """A server after its first call, in which the peer said that it keeps no table: only then is one taken whole."""
    side = server(**options)
    side.give(head(1, TABLE_OFF + REQUEST, end=True))
    side.connection.headers(1, ANSWER, True)
    side.out()
    return side


def asked(**options: object) -> Side:
    """The same of a client."""
    side = client(**options)
    side.connection.request(REQUEST, b"x")
    side.give(head(1, TABLE_OFF + ANSWER), head(1, TRAILERS, end=True))
    side.out()
    return side


def test_a_request_that_lacks_a_field_is_reset_though_it_comes_whole() -> None:
    side = served()
    block = encode_all((b":method", b"POST"), (b":path", b"/s/m"))
    assert side.events(head(3, block) + data(3, b"hello", end=True)) == []
    assert side.out() == [rst(3, ErrorCode.PROTOCOL_ERROR)]


def test_who_drains_takes_no_whole_request_of_a_later_stream() -> None:
    side = served()
    side.connection.goaway(True)
    side.out()
    assert side.events(head(3, REQUEST) + data(3, b"hello", end=True)) == []
    assert side.connection.active == 0


def test_more_streams_than_are_allowed_are_refused_though_they_come_whole() -> None:
    side = served(limits=Limits(max_streams=1))
    side.give(head(3, REQUEST))
    assert side.events(head(5, REQUEST) + data(5, b"hello", end=True)) == []
    assert side.out() == [rst(5, ErrorCode.REFUSED_STREAM)]


def test_whole_messages_are_given_credit_for() -> None:
    """Else a connection would stand still after its window's worth of them."""
    window, size, count = 100_000, 16_000, 40
    limits = Limits(connection_window=window)
    server, client = served(limits=limits), asked(limits=limits)
    for stream_id in range(3, 2 * count + 3, 2):
        request = head(stream_id, REQUEST) + data(stream_id, bytes(size), end=True)
        assert server.events(request)[-1] == ("data", stream_id, bytes(size), True)
        assert client.connection.request(REQUEST, b"x") == stream_id
        answer = head(stream_id, ANSWER) + data(stream_id, bytes(size)) + head(stream_id, TRAILERS, end=True)
        assert client.events(answer)[-1] == ("trailers", stream_id, [(b"grpc-status", b"0")])
    for side in (server, client):
        updates = [frame for frame in side.out() if frame.kind == frames.WINDOW_UPDATE]
        assert {frame.stream_id for frame in updates} == {0}
        left = window - size * count + sum(int.from_bytes(frame.payload, "big") for frame in updates)
        assert window / 2 < left <= window


def test_an_empty_request_ends_with_its_head() -> None:
    side = asked()
    assert side.connection.request(REQUEST, b"") == 3
    (frame,) = side.out()
    assert (frame.kind, frame.flags) == (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM)


def test_a_stream_that_is_gone_is_not_answered() -> None:
    side = served()
    side.give(head(3, REQUEST) + data(3, b"hello", end=True))
    side.connection.reset(3, ErrorCode.CANCEL)
    assert side.out() == [rst(3, ErrorCode.CANCEL)]
    side.connection.answer(3, ANSWER, b"late", TRAILERS)
    side.connection.data(3, b"late", True)
    assert side.out() == []


def test_an_answer_that_lacks_its_status_is_an_error_though_it_comes_whole() -> None:
    side = asked()
    side.connection.request(REQUEST, b"x")
    side.out()
    block = encode(b"content-type", b"application/grpc")
    answer = head(3, block) + data(3, b"x") + head(3, TRAILERS, end=True)
    assert side.events(answer) == [("reset", 3, ErrorCode.PROTOCOL_ERROR, False)]
