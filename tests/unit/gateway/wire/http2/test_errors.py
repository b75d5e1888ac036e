"""Messages and frames that are not what they ought to be."""

from __future__ import annotations

import pytest

from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.fields import encode, encode_all
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.http2_peer import ANSWER, FIELDS, REQUEST, TRAILERS, client, data, head, rst, server

# Messages that are not what they ought to be.

METHOD, SCHEME, PATH = encode(b":method", b"POST"), encode(b":scheme", b"http"), encode(b":path", b"/")


@pytest.mark.parametrize(
    "block",
    [
        b"",
        METHOD + SCHEME,
        METHOD + PATH,
        SCHEME + PATH,
        METHOD + SCHEME + PATH + PATH,
        METHOD + SCHEME + encode(b"te", b"trailers") + PATH,
        REQUEST + encode(b":status", b"200"),
        REQUEST + encode(b"Upper", b"1"),
        REQUEST + encode(b"connection", b"close"),
        REQUEST + encode(b"te", b"gzip"),
        REQUEST + encode(b"x-a", b"a\r\nb"),
        REQUEST + encode(b":protocol", b"websocket"),
        METHOD + SCHEME + encode(b":path", b""),
        encode_all((b":method", b"CONNECT"), (b":authority", b"host:1")),
        REQUEST + encode(b"content-length", b"1") * 2,
    ],
)
def test_a_malformed_request_is_reset_and_not_told(block: bytes) -> None:
    side = server()
    assert side.events(head(1, block), data(1, b"ignored", end=True)) == []
    assert side.out() == [rst(1, ErrorCode.PROTOCOL_ERROR)]
    assert side.events(head(3, end=True)) == [("headers", 3, FIELDS, True)]


@pytest.mark.parametrize(
    "block",
    [
        b"",
        encode(b"grpc-status", b"0"),
        encode(b":status", b"20"),
        encode(b":status", b"101"),
        ANSWER + encode(b":path", b"/"),
        ANSWER + encode(b"Upper", b"1"),
        ANSWER + encode(b"transfer-encoding", b"chunked"),
    ],
)
def test_a_malformed_answer_is_reset_and_told(block: bytes) -> None:
    side = client()
    side.connection.open(REQUEST, True)
    side.out()
    assert side.events(head(1, block)) == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]
    assert side.out() == [rst(1, ErrorCode.PROTOCOL_ERROR)]


def test_an_answers_data_before_its_head_is_malformed() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.events(data(1, b"answer")) == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]


@pytest.mark.parametrize(
    ("block", "end"), [(TRAILERS, False), (encode(b":path", b"/"), True), (encode(b"content-length", b"1"), True)]
)
def test_malformed_trailers(block: bytes, end: bool) -> None:
    side = server()
    assert side.events(head(1), head(1, block, end=end))[1:] == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]


@pytest.mark.parametrize(
    ("length", "parts"),
    [
        (5, [data(1, b"four", end=True)]),
        (5, [data(1, b"more than five")]),
        (5, [data(1, b"four"), data(1, b"four", end=True)]),
        (5, [head(1, TRAILERS, end=True)]),
    ],
)
def test_a_content_length_that_is_not_the_datas_is_malformed(length: int, parts: list[bytes]) -> None:
    block = encode(b"content-length", b"%d" % length)
    side = server()
    assert side.events(head(1, REQUEST + block), *parts)[-1] == ("reset", 1, ErrorCode.PROTOCOL_ERROR, False)
    side = client()
    side.connection.open(REQUEST, True)
    assert side.events(head(1, ANSWER + block), *parts)[-1] == ("reset", 1, ErrorCode.PROTOCOL_ERROR, False)


def test_a_content_length_without_data_is_malformed() -> None:
    block = encode(b"content-length", b"5")
    side = server()
    assert side.events(head(1, REQUEST + block, end=True)) == []
    assert side.out() == [rst(1, ErrorCode.PROTOCOL_ERROR)]
    side = client()
    side.connection.open(REQUEST, True)
    assert side.events(head(1, ANSWER + block, end=True)) == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]


def test_a_content_length_that_is_right() -> None:
    side = server()
    block = encode(b"content-length", b"7")
    assert side.events(head(1, REQUEST + block), data(1, b"mess"), data(1, b"age", end=True))[-1][0] == "data"
    assert side.events(head(3, REQUEST + encode(b"content-length", b"0"), end=True))[-1][0] == "headers"
    assert side.out() == []


def test_an_oversized_head_is_told_and_the_connection_survives() -> None:
    side = server(limits=Limits(max_head_bytes=1_000))
    assert side.events(head(1, REQUEST + encode(b"x-big", b"v" * 1_000)), data(1, b"ignored")) == [("oversize", 1)]
    side.connection.headers(1, ANSWER, True)
    assert side.out()[1:] == [rst(1, ErrorCode.NO_ERROR)]
    assert side.events(data(1, b"ignored", end=True), head(3, end=True)) == [("headers", 3, FIELDS, True)]


def test_of_an_oversized_request_nothing_more_is_told() -> None:
    side = server(limits=Limits(max_head_bytes=1_000))
    big = REQUEST + encode(b"x-big", b"v" * 1_000)
    side.events(head(1, big), head(3, big), head(5, big))
    assert side.events(data(1, b"x", end=True), head(3, TRAILERS, end=True), frames.rst_stream(5, 8)) == []
    side.connection.headers(1, ANSWER, True)
    assert side.connection.active == 1


def test_an_oversized_answer_is_reset() -> None:
    side = client(limits=Limits(max_head_bytes=1_000))
    side.connection.open(REQUEST, True)
    assert side.events(head(1, ANSWER + encode(b"x-big", b"v" * 1_000))) == [
        ("reset", 1, ErrorCode.PROTOCOL_ERROR, False)
    ]
    assert not side.connection.closed


def test_a_block_that_can_not_be_decoded_closes_the_connection() -> None:
    side = server()
    side.give(head(1, b"\xff\xff\xff"))
    assert side.connection.reason.startswith("COMPRESSION_ERROR")


# Streams and their numbers.


@pytest.mark.parametrize(
    "frame",
    [
        head(2),
        head(0),
        data(1, b""),
        data(0, b""),
        data(2, b""),
        frames.rst_stream(1, 0),
        frames.rst_stream(0, 0),
        frames.window_update(1, 1),
        frames.frame(frames.CONTINUATION, 0, 1, b""),
        frames.frame(frames.PUSH_PROMISE, frames.END_HEADERS, 1, bytes(4) + REQUEST),
        frames.frame(frames.PRIORITY, 0, 0, bytes(5)),
        frames.frame(frames.PING, 0, 1, bytes(8)),
        frames.frame(frames.GOAWAY, 0, 1, bytes(8)),
        frames.frame(frames.SETTINGS, 0, 1, b""),
        frames.frame(frames.PRIORITY, 0, 1, b"\x00\x00\x00\x01\x00"),
        frames.frame(frames.DATA, frames.PADDED, 1, b""),
        frames.frame(frames.HEADERS, frames.PADDED | frames.END_HEADERS, 1, b"\x05abcd"),
    ],
)
def test_a_frame_where_it_may_not_stand_closes_the_connection(frame: bytes) -> None:
    side = server()
    assert side.events(frame) == []
    assert side.connection.reason.startswith("PROTOCOL_ERROR")
    goaway = side.out()[-1]
    assert goaway.kind == frames.GOAWAY
    assert goaway.payload[4:8] == ErrorCode.PROTOCOL_ERROR.to_bytes(4, "big")


@pytest.mark.parametrize(
    "frame",
    [
        frames.frame(frames.RST_STREAM, 0, 1, bytes(3)),
        frames.frame(frames.WINDOW_UPDATE, 0, 0, bytes(5)),
        frames.frame(frames.PING, 0, 0, bytes(7)),
        frames.frame(frames.SETTINGS, 0, 0, bytes(5)),
        frames.frame(frames.SETTINGS, frames.ACK, 0, bytes(6)),
        frames.frame(frames.GOAWAY, 0, 0, bytes(7)),
        frames.frame(frames.PRIORITY, 0, 1, bytes(4)),
    ],
)
def test_a_frame_of_the_wrong_size_closes_the_connection(frame: bytes) -> None:
    side = server()
    side.give(frame)
    assert side.connection.reason.startswith("FRAME_SIZE_ERROR")


def test_nothing_is_received_after_a_connection_error() -> None:
    side = server()
    assert side.events(head(1), head(2), head(3)) == [("headers", 1, FIELDS, False)]
    assert side.events(head(5)) == []
    assert side.connection.active == 0


def test_a_server_push_is_refused() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    side.give(frames.frame(frames.PUSH_PROMISE, frames.END_HEADERS, 1, b"\x00\x00\x00\x02" + REQUEST))
    assert side.connection.reason.startswith("PROTOCOL_ERROR: PUSH_PROMISE")
    side = client()
    side.give(frames.settings((frames.ENABLE_PUSH, 1)))
    assert side.connection.reason.startswith("PROTOCOL_ERROR: ENABLE_PUSH")


def test_an_answer_on_a_stream_that_was_not_opened_closes_the_connection() -> None:
    side = client()
    side.give(head(1, ANSWER))
    assert side.connection.reason.startswith("PROTOCOL_ERROR")


def test_frames_on_streams_that_are_over() -> None:
    side = server()
    side.events(
        head(1), frames.rst_stream(1, 8), head(3, end=True), head(5, end=True), head(7), frames.rst_stream(7, 8)
    )
    side.connection.headers(3, ANSWER, True)
    side.out()
    assert side.events(data(1, b"x")) == []  # after its own reset
    assert side.out() == [rst(1, ErrorCode.STREAM_CLOSED)]
    assert side.events(data(5, b"x")) == [
        ("reset", 5, ErrorCode.STREAM_CLOSED, False)
    ]  # after its end, still open here
    assert side.out() == [rst(5, ErrorCode.STREAM_CLOSED)]
    assert side.events(data(3, b"x"), data(3, b"x")) == []  # after both ends
    assert side.out() == [rst(3, ErrorCode.STREAM_CLOSED)]
    side.give(head(7, TRAILERS, end=True))
    assert side.out() == [rst(7, ErrorCode.STREAM_CLOSED)]
    side.give(frames.window_update(1, 5), frames.rst_stream(3, 0), frames.frame(frames.PRIORITY, 0, 1, bytes(5)))
    assert not side.connection.closed


def test_headers_on_a_stream_that_has_ended_close_the_connection() -> None:
    side = server()
    side.events(head(1, end=True))
    side.connection.headers(1, ANSWER, True)
    side.give(head(1, end=True))
    assert side.connection.reason.startswith("STREAM_CLOSED")


def test_headers_on_a_stream_that_was_passed_over_close_the_connection() -> None:
    side = server()
    side.give(head(5), head(3))
    assert side.connection.reason.startswith("PROTOCOL_ERROR")


def test_of_streams_that_are_over_only_so_much_is_remembered() -> None:
    side = server(limits=Limits(max_streams=10))
    for stream_id in range(1, 20_001, 2):
        side.give(head(stream_id, end=True))
        side.connection.headers(stream_id, ANSWER, True)
    assert len(side.connection._gone) + len(side.connection._gone_before) <= 4_000
    assert side.events(data(1, b"x")) == []
    assert side.out()[-1] == rst(1, ErrorCode.STREAM_CLOSED)
    assert not side.connection.closed
