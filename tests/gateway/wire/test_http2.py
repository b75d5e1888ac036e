"""Requests and answers: what HTTP/2 allows, and what is told of it."""

from __future__ import annotations

import pytest

from gateway.wire import frames
from gateway.wire.fields import encode, encode_all
from gateway.wire.frames import ErrorCode
from gateway.wire.http2 import Connection, Limits
from tests.gateway.wire.http2_peer import (
    ANSWER,
    REQUEST,
    TRAILERS,
    Frame,
    Recorder,
    client,
    data,
    frames_of,
    head,
    server,
)

FIELDS = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b"te", b"trailers")]
ANSWER_FIELDS = [(b":status", b"200"), (b"content-type", b"application/grpc")]


def rst(stream_id: int, code: int) -> Frame:
    return Frame(frames.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


# Beginning.


def test_a_server_begins_with_settings_and_a_larger_connection_window() -> None:
    connection = Connection(Recorder(), client=False, limits=Limits(10_000, 7, 100_000, 200_000))
    connection.start()
    settings, update = frames_of(connection.take())
    assert dict(frames.read_settings(settings.payload)) == {
        frames.HEADER_TABLE_SIZE: 0,
        frames.INITIAL_WINDOW_SIZE: 100_000,
        frames.MAX_HEADER_LIST_SIZE: 10_000,
        frames.MAX_CONCURRENT_STREAMS: 7,
    }
    assert update == Frame(frames.WINDOW_UPDATE, 0, 0, (200_000 - 65_535).to_bytes(4, "big"))


def test_a_client_begins_with_the_preface_and_refuses_push() -> None:
    connection = Connection(Recorder(), client=True)
    connection.start()
    out = connection.take()
    assert out.startswith(frames.PREFACE)
    settings = frames_of(out[len(frames.PREFACE) :])[0]
    assert dict(frames.read_settings(settings.payload))[frames.ENABLE_PUSH] == 0


def test_a_window_below_the_protocols_default_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="65535"):
        Connection(Recorder(), client=True, limits=Limits(stream_window=65_534))


def test_what_is_no_preface_closes_the_connection() -> None:
    side = server(settings=None)
    other = Connection(side.handler, client=False)
    other.receive(b"PRI * HTTP/2.0\r\n\r\nGET", 0)
    assert other.closed
    assert "preface" in other.reason


@pytest.mark.parametrize("first", [frames.frame(frames.PING, 0, 0, bytes(8)), frames.frame(frames.SETTINGS, 1, 0, b"")])
def test_the_first_frame_is_settings(first: bytes) -> None:
    side = server(settings=None)
    side.give(first)
    assert side.connection.reason.startswith("PROTOCOL_ERROR")


# A call, from both sides.


def test_a_call_as_the_server_sees_it() -> None:
    side = server()
    assert side.told(head(1), data(1, b"mess"), data(1, b"age", end=True)) == [
        ("headers", 1, FIELDS, False),
        ("data", 1, b"mess", False),
        ("data", 1, b"age", True),
    ]
    side.connection.headers(1, ANSWER, False)
    side.connection.data(1, b"answer", False)
    side.connection.headers(1, TRAILERS, True)
    assert side.out() == [
        Frame(frames.HEADERS, frames.END_HEADERS, 1, b"\x20" + ANSWER),
        Frame(frames.DATA, 0, 1, b"answer"),
        Frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, TRAILERS),
    ]
    assert side.connection.active == 0


def test_a_call_as_the_client_sees_it() -> None:
    side = client()
    assert side.connection.open(REQUEST, False) == 1
    side.connection.data(1, b"message", True)
    assert side.out() == [
        Frame(frames.HEADERS, frames.END_HEADERS, 1, b"\x20" + REQUEST),
        Frame(frames.DATA, frames.END_STREAM, 1, b"message"),
    ]
    assert side.told(head(1, ANSWER), data(1, b"answer"), head(1, TRAILERS, end=True)) == [
        ("headers", 1, ANSWER_FIELDS, False),
        ("data", 1, b"answer", False),
        ("trailers", 1, [(b"grpc-status", b"0")]),
    ]
    assert side.connection.active == 0
    assert side.connection.open(REQUEST, True) == 3
    assert side.out() == [Frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 3, REQUEST)]


def test_only_our_first_block_says_that_our_table_is_off() -> None:
    side = client()
    for _ in range(3):
        side.connection.open(REQUEST, True)
    assert [frame.payload[:1] == b"\x20" for frame in side.out()] == [True, False, False]


def test_request_trailers_end_the_request() -> None:
    side = server()
    assert side.told(head(1), head(1, encode(b"x-sum", b"1"), end=True))[1:] == [("trailers", 1, [(b"x-sum", b"1")])]


def test_trailers_only_is_a_head_that_ends_the_stream() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.told(head(1, ANSWER + TRAILERS, end=True)) == [
        ("headers", 1, [*ANSWER_FIELDS, (b"grpc-status", b"0")], True)
    ]
    assert side.connection.active == 0


def test_informational_answers_are_skipped() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.told(head(1, encode(b":status", b"103")), head(1, ANSWER, end=True)) == [
        ("headers", 1, ANSWER_FIELDS, True)
    ]


def test_an_informational_answer_can_not_end_the_stream() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.told(head(1, encode(b":status", b"103"), end=True)) == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]


def test_an_early_answer_is_followed_by_a_reset_with_no_error() -> None:
    side = server()
    side.told(head(1), data(1, b"some"))
    side.connection.headers(1, ANSWER + TRAILERS, True)
    assert side.out()[1:] == [rst(1, ErrorCode.NO_ERROR)]
    assert side.told(data(1, b"more"), data(1, b"last", end=True)) == []
    assert side.out() == []
    assert not side.connection.closed


def test_a_client_answered_early_stops_sending_and_hears_of_no_reset() -> None:
    side = client()
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"m" * 100_000, True)
    side.out()
    assert side.told(head(1, ANSWER, end=True), frames.rst_stream(1, ErrorCode.NO_ERROR)) == [
        ("headers", 1, ANSWER_FIELDS, True)
    ]
    assert side.out() == [rst(1, ErrorCode.CANCEL)]
    assert side.connection.active == 0
    side.give(frames.window_update(0, 100_000))
    assert side.out() == []


def test_a_reset_after_no_answer_is_told_even_with_no_error() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.told(frames.rst_stream(1, 0)) == [("reset", 1, 0, False)]


def test_what_is_sent_on_a_stream_that_is_gone_is_dropped() -> None:
    side = server()
    side.told(head(1), frames.rst_stream(1, ErrorCode.CANCEL))
    assert side.handler.take() == []
    connection = side.connection
    connection.headers(1, ANSWER, False)
    connection.data(1, b"answer", True)
    connection.reset(1, ErrorCode.CANCEL)
    connection.consumed(1, 100)
    assert connection.buffered(1) == 0
    assert side.out() == []


def test_nothing_follows_our_end_of_a_stream() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    side.out()
    side.connection.data(1, b"late", True)
    side.connection.headers(1, TRAILERS, True)
    assert side.out() == []


def test_a_reset_of_ours_is_told_to_nobody_here() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    side.out()
    side.connection.reset(1, ErrorCode.CANCEL)
    assert side.out() == [rst(1, ErrorCode.CANCEL)]
    assert side.told(head(1, ANSWER), data(1, b"answer"), head(1, TRAILERS, end=True)) == []
    assert side.out() == []


# Frames in all their forms.


def test_padding_and_priority_are_taken_off() -> None:
    side = server()
    flags = frames.PADDED | frames.HAS_PRIORITY | frames.END_HEADERS
    padded = frames.frame(frames.HEADERS, flags, 1, b"\x03" + bytes(4) + b"\x10" + REQUEST + bytes(3))
    assert side.told(padded, frames.frame(frames.DATA, frames.PADDED | 1, 1, b"\x05message" + bytes(5))) == [
        ("headers", 1, FIELDS, False),
        ("data", 1, b"message", True),
    ]


@pytest.mark.parametrize("sizes", [(0, 0), (1, 1), (5, 0), (0, 9), (20, 1)])
def test_a_head_comes_in_continuations(sizes: tuple[int, int]) -> None:
    one, two = sizes[0], sum(sizes)
    side = server()
    assert side.told(
        frames.frame(frames.HEADERS, frames.END_STREAM, 1, REQUEST[:one]),
        frames.frame(frames.CONTINUATION, 0, 1, REQUEST[one:two]),
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, REQUEST[two:]),
    ) == [("headers", 1, FIELDS, True)]


@pytest.mark.parametrize(
    "second",
    [
        frames.frame(frames.PING, 0, 0, bytes(8)),
        frames.frame(0xFA, 0, 0, b""),
        data(1, b""),
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, 3, b""),
    ],
    ids=["ping", "unknown", "data", "another-stream"],
)
def test_nothing_comes_between_headers_and_continuation(second: bytes) -> None:
    side = server()
    side.give(frames.frame(frames.HEADERS, 0, 1, REQUEST), second)
    assert side.connection.reason.startswith("PROTOCOL_ERROR")


def test_priority_and_unknown_frames_are_ignored() -> None:
    side = server()
    assert side.told(frames.frame(frames.PRIORITY, 0, 9, bytes(5)), frames.frame(0xFA, 0xFF, 5, b"?")) == []
    assert side.out() == []
    assert not side.connection.closed


def test_frames_of_at_most_16_384_bytes_leave_us() -> None:
    side = client(settings=frames.settings((frames.INITIAL_WINDOW_SIZE, 1 << 20), (frames.MAX_FRAME_SIZE, 1 << 20))[9:])
    side.give(frames.window_update(0, 1 << 20))
    side.connection.open(REQUEST + encode(b"x-big", b"v" * 40_000), False)
    side.connection.data(1, b"m" * 40_000, True)
    out = side.out()  # which checks each frame's size
    assert [(frame.kind, frame.flags) for frame in out] == [
        (frames.HEADERS, 0),
        (frames.CONTINUATION, 0),
        (frames.CONTINUATION, frames.END_HEADERS),
        (frames.DATA, 0),
        (frames.DATA, 0),
        (frames.DATA, frames.END_STREAM),
    ]
    peer = server(limits=Limits(max_head_bytes=100_000))
    peer.give(*[frames.frame(*frame) for frame in out])
    assert [event[0] for event in peer.handler.events] == ["headers", "data", "data", "data"]


def test_a_frame_above_16_384_bytes_is_an_error_before_it_is_all_here() -> None:
    side = server()
    side.give(frames.write_head(16_385 << 8 | frames.DATA, 0, 1))
    assert side.connection.reason.startswith("FRAME_SIZE_ERROR")


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
    assert side.told(head(1, block), data(1, b"ignored", end=True)) == []
    assert side.out() == [rst(1, ErrorCode.PROTOCOL_ERROR)]
    assert side.told(head(3, end=True)) == [("headers", 3, FIELDS, True)]


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
    assert side.told(head(1, block)) == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]
    assert side.out() == [rst(1, ErrorCode.PROTOCOL_ERROR)]


def test_an_answers_data_before_its_head_is_malformed() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.told(data(1, b"answer")) == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]


@pytest.mark.parametrize(
    ("block", "end"), [(TRAILERS, False), (encode(b":path", b"/"), True), (encode(b"content-length", b"1"), True)]
)
def test_malformed_trailers(block: bytes, end: bool) -> None:
    side = server()
    assert side.told(head(1), head(1, block, end=end))[1:] == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]


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
    assert side.told(head(1, REQUEST + block), *parts)[-1] == ("reset", 1, ErrorCode.PROTOCOL_ERROR, False)
    side = client()
    side.connection.open(REQUEST, True)
    assert side.told(head(1, ANSWER + block), *parts)[-1] == ("reset", 1, ErrorCode.PROTOCOL_ERROR, False)


def test_a_content_length_without_data_is_malformed() -> None:
    block = encode(b"content-length", b"5")
    side = server()
    assert side.told(head(1, REQUEST + block, end=True)) == []
    assert side.out() == [rst(1, ErrorCode.PROTOCOL_ERROR)]
    side = client()
    side.connection.open(REQUEST, True)
    assert side.told(head(1, ANSWER + block, end=True)) == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]


def test_a_content_length_that_is_right() -> None:
    side = server()
    block = encode(b"content-length", b"7")
    assert side.told(head(1, REQUEST + block), data(1, b"mess"), data(1, b"age", end=True))[-1][0] == "data"
    assert side.told(head(3, REQUEST + encode(b"content-length", b"0"), end=True))[-1][0] == "headers"
    assert side.out() == []


def test_an_oversized_head_is_told_and_the_connection_survives() -> None:
    side = server(limits=Limits(max_head_bytes=1_000))
    assert side.told(head(1, REQUEST + encode(b"x-big", b"v" * 1_000)), data(1, b"ignored")) == [("oversize", 1)]
    side.connection.headers(1, ANSWER, True)
    assert side.out()[1:] == [rst(1, ErrorCode.NO_ERROR)]
    assert side.told(data(1, b"ignored", end=True), head(3, end=True)) == [("headers", 3, FIELDS, True)]


def test_of_an_oversized_request_nothing_more_is_told() -> None:
    side = server(limits=Limits(max_head_bytes=1_000))
    big = REQUEST + encode(b"x-big", b"v" * 1_000)
    side.told(head(1, big), head(3, big), head(5, big))
    assert side.told(data(1, b"x", end=True), head(3, TRAILERS, end=True), frames.rst_stream(5, 8)) == []
    side.connection.headers(1, ANSWER, True)
    assert side.connection.active == 1


def test_an_oversized_answer_is_reset() -> None:
    side = client(limits=Limits(max_head_bytes=1_000))
    side.connection.open(REQUEST, True)
    assert side.told(head(1, ANSWER + encode(b"x-big", b"v" * 1_000))) == [
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
    assert side.told(frame) == []
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
    assert side.told(head(1), head(2), head(3)) == [("headers", 1, FIELDS, False)]
    assert side.told(head(5)) == []
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
    side.told(head(1), frames.rst_stream(1, 8), head(3, end=True), head(5, end=True), head(7), frames.rst_stream(7, 8))
    side.connection.headers(3, ANSWER, True)
    side.out()
    assert side.told(data(1, b"x")) == []  # after its own reset
    assert side.out() == [rst(1, ErrorCode.STREAM_CLOSED)]
    assert side.told(data(5, b"x")) == [("reset", 5, ErrorCode.STREAM_CLOSED, False)]  # after its end, still open here
    assert side.out() == [rst(5, ErrorCode.STREAM_CLOSED)]
    assert side.told(data(3, b"x"), data(3, b"x")) == []  # after both ends
    assert side.out() == [rst(3, ErrorCode.STREAM_CLOSED)]
    side.give(head(7, TRAILERS, end=True))
    assert side.out() == [rst(7, ErrorCode.STREAM_CLOSED)]
    side.give(frames.window_update(1, 5), frames.rst_stream(3, 0), frames.frame(frames.PRIORITY, 0, 1, bytes(5)))
    assert not side.connection.closed


def test_headers_on_a_stream_that_has_ended_close_the_connection() -> None:
    side = server()
    side.told(head(1, end=True))
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
    assert side.told(data(1, b"x")) == []
    assert side.out()[-1] == rst(1, ErrorCode.STREAM_CLOSED)
    assert not side.connection.closed
