"""Settings, pings, the two sides' limits on streams, GOAWAY, and floods."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.control import FEW_RESETS, FLOOD_BURST, FLOOD_DEAR, FLOOD_PER_SECOND, YOUNG_SECONDS
from gateway.wire.http2.fields import encode
from gateway.wire.http2.frames import ErrorCode
from gateway.wire.http2.receive import PORTION_FRAMES, REQUEST_FRAMES
from tests.fakes.http2_peer import ANSWER, REQUEST, Frame, Side, client, data, head, server

PING = frames.frame(frames.PING, 0, 0, b"12345678")


def test_settings_and_pings_are_acknowledged() -> None:
    side = server()
    side.give(frames.settings((frames.HEADER_TABLE_SIZE, 5), (0xF0F0, 7)), PING)
    assert side.out() == [Frame(frames.SETTINGS, frames.ACK, 0, b""), Frame(frames.PING, frames.ACK, 0, b"12345678")]


def test_a_ping_of_ours_is_answered() -> None:
    side = client()
    side.connection.ping()
    (frame,) = side.out()
    assert frame == Frame(frames.PING, 0, 0, frame.payload)
    assert side.events(frames.frame(frames.PING, frames.ACK, 0, frame.payload)) == [("pong",)]
    assert side.out() == []


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        (frames.ENABLE_PUSH, 2, "PROTOCOL_ERROR"),
        (frames.INITIAL_WINDOW_SIZE, 1 << 31, "FLOW_CONTROL_ERROR"),
        (frames.MAX_FRAME_SIZE, 16_383, "PROTOCOL_ERROR"),
        (frames.MAX_FRAME_SIZE, 1 << 24, "PROTOCOL_ERROR"),
    ],
)
def test_settings_out_of_their_range_close_the_connection(setting: int, value: int, code: str) -> None:
    side = server()
    side.give(frames.settings((setting, value)))
    assert side.connection.reason.startswith(code)


def test_an_upstream_is_taken_to_allow_100_streams_until_it_says() -> None:
    side = client(settings=None)
    for _ in range(100):
        assert side.connection.can_open
        side.connection.open(REQUEST, True)
    assert not side.connection.can_open
    assert not side.connection.exhausted
    assert side.events(frames.settings()) == [("settings",)]
    assert side.connection.can_open
    side.give(frames.settings((frames.MAX_CONCURRENT_STREAMS, 101)))
    side.connection.open(REQUEST, True)
    assert not side.connection.can_open
    side.give(head(1, ANSWER, end=True))
    assert side.connection.can_open
    side.give(frames.settings((frames.MAX_CONCURRENT_STREAMS, 0)))
    assert not side.connection.can_open
    side.give(frames.settings((frames.INITIAL_WINDOW_SIZE, 1)))  # which leaves the limit on streams as it was
    assert not side.connection.can_open


def test_stream_ids_run_out_near_two_to_the_31() -> None:
    side = client()
    side.connection._next_id = (1 << 31) - 3
    assert side.connection.open(REQUEST, True) == (1 << 31) - 3
    assert side.connection.can_open
    assert side.connection.open(REQUEST, True) == (1 << 31) - 1
    assert not side.connection.can_open
    assert side.connection.exhausted
    assert side.events(head((1 << 31) - 1, ANSWER, end=True))[0][:2] == ("headers", (1 << 31) - 1)


def test_a_servers_peer_may_use_the_last_stream_id() -> None:
    side = server()
    assert side.events(head((1 << 31) - 1, end=True))[0][:2] == ("headers", (1 << 31) - 1)


def test_streams_above_our_limit_are_refused() -> None:
    side = server(limits=Limits(max_streams=2))
    side.give(head(1, end=True), head(3, end=True))
    assert side.events(head(5), data(5, b"ignored", end=True)) == []
    assert side.out() == [Frame(frames.RST_STREAM, 0, 5, ErrorCode.REFUSED_STREAM.to_bytes(4, "big"))]
    side.connection.headers(1, ANSWER, True)
    assert side.events(head(7, end=True))[0][:2] == ("headers", 7)


def test_a_refused_stream_is_told_to_be_safe_to_retry() -> None:
    side = client()
    side.connection.open(REQUEST, True)
    side.connection.open(REQUEST, True)
    assert side.events(frames.rst_stream(1, ErrorCode.REFUSED_STREAM), frames.rst_stream(3, ErrorCode.CANCEL)) == [
        ("reset", 1, ErrorCode.REFUSED_STREAM, True),
        ("reset", 3, ErrorCode.CANCEL, False),
    ]


def test_streams_above_an_upstreams_goaway_are_safe_to_retry_and_the_others_go_on() -> None:
    side = client()
    for _ in range(3):
        side.connection.open(REQUEST, True)
    assert side.events(frames.goaway(3, ErrorCode.NO_ERROR)) == [
        ("reset", 5, ErrorCode.REFUSED_STREAM, True),
        ("goaway", 3, ErrorCode.NO_ERROR),
    ]
    assert not side.connection.can_open
    assert side.connection.exhausted
    assert side.events(head(5, ANSWER, end=True), head(1, ANSWER, end=True)) == [
        ("headers", 1, [(b":status", b"200"), (b"content-type", b"application/grpc")], True)
    ]
    assert side.connection.active == 1
    assert side.events(frames.goaway(1, ErrorCode.NO_ERROR))[0] == ("reset", 3, ErrorCode.REFUSED_STREAM, True)


def test_a_handler_may_end_the_other_streams_on_hearing_of_one() -> None:
    side = client()
    for _ in range(3):
        side.connection.open(REQUEST, True)

    def end_the_others(stream_id: int, code: int, refused: bool) -> None:
        side.handler.events.append(("reset", stream_id))
        side.connection.reset(3, ErrorCode.CANCEL)
        side.connection.reset(5, ErrorCode.CANCEL)

    side.handler.on_reset = end_the_others  # type: ignore[method-assign]
    assert side.events(frames.goaway(0, 0)) == [("reset", 1), ("goaway", 0, 0)]


def test_a_clients_goaway_leaves_its_streams_alone() -> None:
    side = server()
    side.give(head(1, end=True))
    assert side.events(frames.goaway(0, ErrorCode.NO_ERROR)) == [("goaway", 0, ErrorCode.NO_ERROR)]
    assert side.connection.active == 1


def test_our_goaway_has_two_phases() -> None:
    side = server()
    side.give(head(1, end=True))
    side.connection.goaway(final=False)
    assert side.out() == [Frame(frames.GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4))]
    assert side.events(head(3, end=True))[0][:2] == ("headers", 3)
    side.connection.goaway(final=True)
    assert side.out() == [Frame(frames.GOAWAY, 0, 0, b"\x00\x00\x00\x03" + bytes(4))]
    assert side.events(head(5), data(5, b"ignored"), head(7, end=True)) == []
    assert side.out() == []
    side.connection.headers(1, ANSWER, True)
    side.connection.headers(3, ANSWER, True)
    assert [frame.stream_id for frame in side.out()] == [1, 3]
    assert side.connection.active == 0


def test_a_connection_error_names_the_last_stream() -> None:
    side = server()
    side.give(head(1), head(3), head(2))
    assert side.out()[-1].payload[:4] == (3).to_bytes(4, "big")


# Floods. What each of them costs, and that no fewer than a burst is let through.


def malformed(number: int) -> bytes:
    return head(2 * number + 3, b"")


FLOODS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "ping": (lambda _: PING, 1),
    "pong": (lambda _: frames.frame(frames.PING, frames.ACK, 0, bytes(8)), 1),
    "settings": (lambda _: frames.settings(), FLOOD_DEAR),
    "settings-ack": (lambda _: frames.frame(frames.SETTINGS, frames.ACK, 0, b""), 1),
    "priority": (lambda _: frames.frame(frames.PRIORITY, 0, 1, bytes(5)), 1),
    "unknown": (lambda _: frames.frame(0xFA, 0, 1, b""), 1),
    "goaway": (lambda _: frames.goaway(0, 0), 1),
    "window-update": (lambda _: frames.window_update(0, 1), 1),
    "window-update-of-a-gone-stream": (lambda _: frames.window_update(1, 1), 1),
    "settings-of-many-entries": (lambda _: frames.settings(*[(0xFA, 0)] * 100), FLOOD_DEAR + 10),
    "malformed": (malformed, FLOOD_DEAR),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_told_to_calm_down(name: str) -> None:
    make, cost = FLOODS[name]
    side = server()
    side.give(head(1), frames.rst_stream(1, ErrorCode.CANCEL))
    side.connection.take()
    burst = (FLOOD_BURST - 4 * FLOOD_DEAR) // cost  # the handshake and the reset have cost some
    side.give(*[make(number) for number in range(burst)])
    assert not side.connection.closed
    side.give(*[make(burst + number) for number in range(4 * FLOOD_DEAR)])
    assert side.connection.reason.startswith("ENHANCE_YOUR_CALM")
    assert side.out()[-1].kind == frames.GOAWAY


@pytest.mark.parametrize("name", FLOODS)
def test_the_same_at_a_pace_is_no_flood(name: str) -> None:
    make, cost = FLOODS[name]
    side = server()
    side.give(head(1), frames.rst_stream(1, ErrorCode.CANCEL))
    for number in range(3 * FLOOD_BURST // cost // 100):
        side.give(*[make(100 * number + n) for n in range(100)], now=number * 100 * cost / FLOOD_PER_SECOND)
        side.connection.take()
    assert not side.connection.closed


def given_up(count: int, *, answered: int = 0, pace: float = 0.1, after: float = 0.0) -> Side:
    """A server whose client has reset each of so many requests, but for `answered` of every 20; seconds."""
    side = server()
    for number in range(count):
        stream_id, now = 2 * number + 1, number * pace
        side.give(head(stream_id, end=True), now=now)
        if number % 20 < answered:
            side.connection.headers(stream_id, ANSWER, True)
        else:
            side.give(frames.rst_stream(stream_id, ErrorCode.CANCEL), now=now + after)
        side.connection.take()
    return side


@pytest.mark.parametrize("pace", [0.1, 60.0])
def test_a_client_that_gives_up_what_it_has_just_asked(pace: float) -> None:
    """At whatever pace: each has a model server begin what nobody waits for (CVE-2023-44487)."""
    assert not given_up(FEW_RESETS, pace=pace).connection.closed
    assert given_up(FEW_RESETS + 1, pace=pace).connection.reason.startswith("ENHANCE_YOUR_CALM")


def test_a_client_that_takes_the_fastest_of_several_answers() -> None:
    assert not given_up(6 * FEW_RESETS, answered=4).connection.closed


def test_a_client_that_has_waited_may_give_up() -> None:
    """As each does whose deadline is there, while a model hangs."""
    assert not given_up(3 * FEW_RESETS, pace=2.0, after=YOUNG_SECONDS).connection.closed


def test_a_turn_takes_some_of_what_is_there_and_the_next_the_rest() -> None:
    side = server()
    requests = 2 * PORTION_FRAMES // REQUEST_FRAMES
    connection = side.connection
    connection.receive(b"".join(head(2 * number + 1, end=True) for number in range(requests)), 0.0)
    assert connection.behind
    assert connection.active == requests / 2
    connection.receive(PING, 0.0)
    assert connection.active == requests
    assert connection.behind
    assert [frame.kind for frame in side.out()] == []
    connection.receive(b"", 0.0)
    assert not connection.behind
    assert [frame.kind for frame in side.out()] == [frames.PING]


def test_a_connection_that_was_ended_has_no_more_to_take() -> None:
    side = server()
    side.connection.receive(PING * 2 * PORTION_FRAMES, 0.0)
    assert side.connection.behind
    side.connection.calm_down("enough")
    side.connection.receive(b"", 0.0)
    assert not side.connection.behind


def test_heads_that_are_too_large_cost_what_they_take_to_follow() -> None:
    """Sooner than by their number alone."""
    side = server()
    large = REQUEST + encode(b"x-large", b"v" * 160_000)
    for number in range(2 * FLOOD_BURST * 64 // len(large)):
        side.give(head(2 * number + 1, large, end=True))
    assert side.connection.reason.startswith("ENHANCE_YOUR_CALM")


def test_a_turn_takes_one_large_head_at_most() -> None:
    side = server()
    large = REQUEST + encode(b"x-large", b"v" * 40_000)
    side.connection.receive(b"".join(head(stream_id, large, end=True) for stream_id in (1, 3, 5)), 0.0)
    assert side.connection.active <= 1
    while side.connection.behind:
        before = side.connection.active
        side.connection.receive(b"", 0.0)
        assert side.connection.active <= before + 1
    assert side.connection.active == 3


def test_what_windows_of_many_streams_cost() -> None:
    """Moved once for each frame of SETTINGS, which is charged by the streams that it moves."""
    side = server(settings=frames.settings((frames.INITIAL_WINDOW_SIZE, 0))[9:])
    side.give(*[head(2 * number + 1, end=True) for number in range(1000)])
    for number in range(1000):
        side.connection.headers(2 * number + 1, ANSWER, False)
        side.connection.data(2 * number + 1, bytes(100), False)
    side.connection.take()
    moves = [frames.settings(*[(frames.INITIAL_WINDOW_SIZE, n % 2)] * 10) for n in range(FLOOD_BURST // 100 + 1)]
    side.give(*moves)
    assert side.connection.reason.startswith("ENHANCE_YOUR_CALM")


def test_a_flood_of_empty_data() -> None:
    side = server()
    assert side.events(head(1), data(1, b"") * (FLOOD_BURST + 2))[1:] == []
    assert side.connection.reason.startswith("ENHANCE_YOUR_CALM")


def test_a_flood_of_streams_that_are_refused() -> None:
    side = server(limits=Limits(max_streams=1))
    side.give(head(1), *[head(stream_id) for stream_id in range(3, 2_100, 2)])
    assert side.connection.reason.startswith("ENHANCE_YOUR_CALM")


def test_a_flood_of_empty_continuations() -> None:
    side = server()
    side.give(
        frames.frame(frames.HEADERS, 0, 1, REQUEST), frames.frame(frames.CONTINUATION, 0, 1, b"") * (FLOOD_BURST + 2)
    )
    assert side.connection.reason.startswith("ENHANCE_YOUR_CALM")


def test_a_head_without_an_end_is_not_gathered() -> None:
    side = server(limits=Limits(max_head_bytes=20_000))
    side.give(frames.frame(frames.HEADERS, 0, 1, encode(b"x-big", b"v" * 16_000)))
    for _ in range(4):
        assert not side.connection.closed
        side.give(frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000)))
    assert side.connection.reason.startswith("ENHANCE_YOUR_CALM")


def test_many_calls_are_no_flood() -> None:
    side: Side = server()
    for stream_id in range(1, 2 * FLOOD_BURST, 2):
        side.give(head(stream_id), data(stream_id, b"m", end=True), frames.window_update(0, 1))
        side.connection.headers(stream_id, ANSWER, True)
        side.connection.take()
        side.handler.take()
    assert not side.connection.closed
