"""Calls as both sides see them, and their frames in all forms."""

from __future__ import annotations

import pytest

from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Connection, Limits
from gateway.wire.http2.fields import encode
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.http2_peer import (
    ANSWER,
    FIELDS,
    REQUEST,
    TRAILERS,
    Frame,
    Recorder,
    client,
    data,
    frames_of,
    head,
    rst,
    server,
)

ANSWER_FIELDS = [(b":status", b"200"), (b"content-type", b"application/grpc")]


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
    assert side.events(head(1), data(1, b"mess"), data(1, b"age", end=True)) == [
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
    assert side.events(head(1, ANSWER), data(1, b"answer"), head(1, TRAILERS, end=True)) == [
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
    assert side.events(head(1), head(1, encode(b"x-sum", b"1"), end=True))[1:] == [("trailers", 1, [(b"x-sum", b"1")])]


def test_trailers_only_is_a_head_that_ends_the_stream() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.events(head(1, ANSWER + TRAILERS, end=True)) == [
        ("headers", 1, [*ANSWER_FIELDS, (b"grpc-status", b"0")], True)
    ]
    assert side.connection.active == 0


def test_informational_answers_are_skipped() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.events(head(1, encode(b":status", b"103")), head(1, ANSWER, end=True)) == [
        ("headers", 1, ANSWER_FIELDS, True)
    ]


def test_an_informational_answer_can_not_end_the_stream() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.events(head(1, encode(b":status", b"103"), end=True)) == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]


def test_an_early_answer_is_followed_by_a_reset_with_no_error() -> None:
    side = server()
    side.events(head(1), data(1, b"some"))
    side.connection.headers(1, ANSWER + TRAILERS, True)
    assert side.out()[1:] == [rst(1, ErrorCode.NO_ERROR)]
    assert side.events(data(1, b"more"), data(1, b"last", end=True)) == []
    assert side.out() == []
    assert not side.connection.closed


def test_a_client_answered_early_stops_sending_and_hears_of_no_reset() -> None:
    side = client()
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"m" * 100_000, True)
    side.out()
    assert side.events(head(1, ANSWER, end=True), frames.rst_stream(1, ErrorCode.NO_ERROR)) == [
        ("headers", 1, ANSWER_FIELDS, True)
    ]
    assert side.out() == [rst(1, ErrorCode.CANCEL)]
    assert side.connection.active == 0
    side.give(frames.window_update(0, 100_000))
    assert side.out() == []


def test_a_reset_after_no_answer_is_told_even_with_no_error() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    assert side.events(frames.rst_stream(1, 0)) == [("reset", 1, 0, False)]


def test_what_is_sent_on_a_stream_that_is_gone_is_dropped() -> None:
    side = server()
    side.events(head(1), frames.rst_stream(1, ErrorCode.CANCEL))
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
    assert side.events(head(1, ANSWER), data(1, b"answer"), head(1, TRAILERS, end=True)) == []
    assert side.out() == []


# Frames in all their forms.


def test_padding_and_priority_are_taken_off() -> None:
    side = server()
    flags = frames.PADDED | frames.HAS_PRIORITY | frames.END_HEADERS
    padded = frames.frame(frames.HEADERS, flags, 1, b"\x03" + bytes(4) + b"\x10" + REQUEST + bytes(3))
    assert side.events(padded, frames.frame(frames.DATA, frames.PADDED | 1, 1, b"\x05message" + bytes(5))) == [
        ("headers", 1, FIELDS, False),
        ("data", 1, b"message", True),
    ]


@pytest.mark.parametrize("sizes", [(0, 0), (1, 1), (5, 0), (0, 9), (20, 1)])
def test_a_head_comes_in_continuations(sizes: tuple[int, int]) -> None:
    one, two = sizes[0], sum(sizes)
    side = server()
    assert side.events(
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
    assert side.events(frames.frame(frames.PRIORITY, 0, 9, bytes(5)), frames.frame(0xFA, 0xFF, 5, b"?")) == []
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
