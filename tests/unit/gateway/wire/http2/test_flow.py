"""Flow control, both ways and on both levels."""

from __future__ import annotations

from gateway.wire.http2 import frames
from gateway.wire.http2.connection import LOW_MARK, Limits
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.http2_peer import ANSWER, REQUEST, TRAILERS, Frame, Side, client, data, head, server

WINDOW = 65_535


def window(size: int) -> bytes:
    return frames.settings((frames.INITIAL_WINDOW_SIZE, size))


def sizes(side: Side) -> list[tuple[int, int]]:
    """(stream, bytes) of the DATA that comes out."""
    return [(frame.stream_id, len(frame.payload)) for frame in side.out() if frame.kind == frames.DATA]


def credits(side: Side) -> dict[int, int]:
    """What the WINDOW_UPDATEs that come out give to each stream; 0: the connection."""
    granted: dict[int, int] = {}
    for frame in side.out():
        if frame.kind == frames.WINDOW_UPDATE:
            granted[frame.stream_id] = granted.get(frame.stream_id, 0) + int.from_bytes(frame.payload, "big")
    return granted


# What we send.


def test_no_more_leaves_than_the_streams_window_allows() -> None:
    side = client(settings=window(10)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"a" * 25, True)
    assert sizes(side) == [(1, 10)]
    assert side.connection.buffered(1) == 15
    side.give(frames.window_update(1, 10))
    assert sizes(side) == [(1, 10)]
    side.give(frames.window_update(1, 10))
    assert side.out() == [Frame(frames.DATA, frames.END_STREAM, 1, b"a" * 5)]
    assert side.connection.buffered(1) == 0


def test_no_more_leaves_than_the_connections_window_allows() -> None:
    side = client(settings=window(1 << 20)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"a" * (WINDOW + 5), True)
    assert sum(size for _, size in sizes(side)) == WINDOW
    side.give(frames.window_update(1, 100))
    assert sizes(side) == []
    side.give(frames.window_update(0, 100))
    assert sizes(side) == [(1, 5)]


def test_data_keeps_its_order_and_trailers_wait_for_it() -> None:
    side = server(settings=window(4)[9:])
    side.give(head(1, end=True))
    side.connection.headers(1, ANSWER, False)
    for part in (b"one", b"two", b"three"):
        side.connection.data(1, part, False)
    side.connection.headers(1, TRAILERS, True)
    side.connection.data(1, b"after the end", True)
    assert side.connection.buffered(1) == 7
    side.give(frames.window_update(1, 100))
    out = side.out()
    assert b"".join(frame.payload for frame in out if frame.kind == frames.DATA) == b"onetwothree"
    assert out[-1] == Frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, TRAILERS)
    assert not any(frame.flags & frames.END_STREAM for frame in out[:-1])
    assert side.connection.active == 0


def test_an_end_after_data_that_waits_is_told_with_its_last_byte() -> None:
    side = client(settings=window(2)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"abc", False)
    side.connection.data(1, b"", False)
    side.connection.data(1, b"", True)
    assert sizes(side) == [(1, 2)]
    side.give(frames.window_update(1, 1))
    assert side.out() == [Frame(frames.DATA, frames.END_STREAM, 1, b"c")]


def test_a_grant_is_for_the_streams_that_only_the_connection_holds_back() -> None:
    side = client(settings=window(10)[9:])
    for _ in range(3):
        side.connection.open(REQUEST, False)
    side.give(frames.window_update(1, WINDOW))
    side.connection.data(1, b"a" * WINDOW, False)  # the connection's window is used up
    side.out()
    side.connection.data(3, b"b" * 20, True)
    side.connection.data(5, b"c" * 20, True)
    side.give(window(0))  # the streams' windows are, too
    side.give(frames.window_update(0, 100))
    assert sizes(side) == []
    side.give(frames.window_update(5, 20))
    assert sizes(side) == [(5, 20)]
    side.give(window(20))
    assert sizes(side) == [(3, 20)]


def test_an_end_without_data_needs_no_window() -> None:
    side = client(settings=window(0)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"", True)
    assert side.out()[-1] == Frame(frames.DATA, frames.END_STREAM, 1, b"")


def test_a_window_may_become_negative() -> None:
    side = client(settings=window(100)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"a" * 60, False)
    side.give(window(20))  # 40 were left; 40 - 80 = -40
    side.out()
    side.connection.data(1, b"b" * 10, False)
    side.give(frames.window_update(1, 40))
    assert sizes(side) == []
    side.give(frames.window_update(1, 5))
    assert sizes(side) == [(1, 5)]
    side.give(window(100))
    assert sizes(side) == [(1, 5)]


def test_an_end_without_data_needs_not_even_a_window_that_is_not_negative() -> None:
    side = client(settings=window(100)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"a" * 60, False)
    side.give(window(0))
    side.out()
    side.connection.data(1, b"", True)
    assert side.out() == [Frame(frames.DATA, frames.END_STREAM, 1, b"")]


def test_a_change_of_settings_moves_open_streams_and_sets_new_ones() -> None:
    side = client(settings=window(0)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"a" * 10, False)
    side.give(window(7))
    assert sizes(side) == [(1, 7)]
    side.connection.open(REQUEST, False)
    side.connection.data(3, b"b" * 10, False)
    assert sizes(side) == [(3, 7)]


def test_a_stream_with_a_window_of_zero_stalls_no_neighbour() -> None:
    side = client(settings=window(5)[9:])
    for _ in range(3):
        stream_id = side.connection.open(REQUEST, False)
        side.connection.data(stream_id, b"a" * 10, True)
    assert sizes(side) == [(1, 5), (3, 5), (5, 5)]
    side.give(frames.window_update(3, 5), frames.window_update(5, 5), frames.window_update(0, 1))
    assert sizes(side) == [(3, 5), (5, 5)]
    assert side.connection.buffered(1) == 5


def test_streams_share_the_connections_window() -> None:
    side = client(settings=window(1 << 20)[9:])
    for _ in range(3):
        stream_id = side.connection.open(REQUEST, False)
        side.connection.data(stream_id, b"a" * 200_000, True)
    side.out()
    for _ in range(6):
        side.give(frames.window_update(0, 16_384))
    sent = [stream_id for stream_id, _ in sizes(side)]
    assert sorted(sent) == [1, 1, 3, 3, 5, 5]
    side.give(frames.window_update(0, 3 * 16_384))
    assert sorted(stream_id for stream_id, _ in sizes(side)) == [1, 3, 5]


def test_the_handler_is_told_when_a_long_queue_is_short_again() -> None:
    side = client(settings=window(0)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"a" * (LOW_MARK + 10), False)
    assert side.events(frames.window_update(1, 9)) == []
    assert side.events(frames.window_update(1, 1)) == [("writable", 1)]
    assert side.events(frames.window_update(1, 1)) == []


def test_the_handler_may_send_on_hearing_that_the_queue_is_short() -> None:
    side = client(settings=window(0)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"a" * (LOW_MARK + 10), False)
    side.handler.on_writable = lambda stream_id: side.connection.data(stream_id, b"b" * 10, True)  # type: ignore[method-assign]
    side.give(frames.window_update(0, 1 << 20), frames.window_update(1, 1 << 20))
    out = side.out()
    assert b"".join(frame.payload for frame in out if frame.kind == frames.DATA) == b"a" * (LOW_MARK + 10) + b"b" * 10
    assert out[-1].flags == frames.END_STREAM


def test_nothing_is_told_of_a_queue_that_was_never_long() -> None:
    side = client(settings=window(0)[9:])
    side.connection.open(REQUEST, False)
    side.connection.data(1, b"a" * 100, False)
    assert side.events(frames.window_update(1, 1000)) == []


def test_what_is_queued_goes_with_its_stream() -> None:
    side = client(settings=window(0)[9:])
    for _ in range(2):
        side.connection.data(side.connection.open(REQUEST, False), b"a" * 10, True)
    side.out()
    side.connection.reset(1, ErrorCode.CANCEL)
    side.give(frames.rst_stream(3, ErrorCode.CANCEL))
    side.give(frames.window_update(0, 10), window(100))
    assert sizes(side) == []
    assert not side.connection._blocked


def test_an_update_of_zero_is_an_error_of_its_level() -> None:
    side = server()
    assert side.events(head(1), frames.window_update(1, 0))[1:] == [("reset", 1, ErrorCode.PROTOCOL_ERROR, False)]
    side.give(frames.window_update(0, 0))
    assert side.connection.reason.startswith("PROTOCOL_ERROR")


def test_a_window_above_two_to_the_31_is_an_error_of_its_level() -> None:
    side = server()
    most = (1 << 31) - 1
    assert side.events(head(1), frames.window_update(1, most - WINDOW))[1:] == []
    assert side.events(frames.window_update(1, 1)) == [("reset", 1, ErrorCode.FLOW_CONTROL_ERROR, False)]
    side.give(frames.window_update(0, most - WINDOW))
    assert not side.connection.closed
    side.give(frames.window_update(0, 1))
    assert side.connection.reason.startswith("FLOW_CONTROL_ERROR")


def test_settings_that_make_a_window_too_large_close_the_connection() -> None:
    side = server()
    side.give(head(1), frames.window_update(1, (1 << 31) - 1 - WINDOW), window(WINDOW + 1))
    assert side.connection.reason.startswith("FLOW_CONTROL_ERROR")


# What we receive.

TIGHT = Limits(stream_window=WINDOW, connection_window=2 * WINDOW)


def fill(stream_id: int, size: int) -> list[bytes]:
    return [data(stream_id, bytes(min(16_384, size - start))) for start in range(0, size, 16_384)]


def test_data_beyond_a_streams_window_resets_it() -> None:
    side = server(limits=TIGHT, greedy=False)
    assert side.events(head(1), *fill(1, WINDOW), data(1, b"x"))[-1] == (
        "reset",
        1,
        ErrorCode.FLOW_CONTROL_ERROR,
        False,
    )
    assert not side.connection.closed


def test_data_beyond_the_connections_window_closes_it() -> None:
    side = server(limits=TIGHT, greedy=False)
    side.give(head(1), *fill(1, WINDOW), head(3), *fill(3, WINDOW))
    assert not side.connection.closed
    side.give(head(5), data(5, b"x"))
    assert side.connection.reason.startswith("FLOW_CONTROL_ERROR")


def test_credit_comes_with_consumption_on_both_levels() -> None:
    side = server(limits=TIGHT, greedy=False)
    side.give(head(1), *fill(1, WINDOW))
    assert credits(side) == {}
    side.connection.consumed(1, 10_000)
    assert credits(side) == {}  # not worth a frame yet
    side.connection.consumed(1, 30_000)
    assert credits(side) == {1: 40_000}
    side.connection.consumed(1, WINDOW - 40_000)
    assert credits(side) == {0: WINDOW}
    side.give(*fill(1, 40_000))
    assert not side.connection.closed


def test_no_more_is_credited_than_came() -> None:
    side = server(limits=TIGHT, greedy=False)
    side.give(head(1), *fill(1, 40_000))
    side.connection.consumed(1, 1 << 20)
    assert credits(side) == {1: 40_000}
    side.connection.consumed(1, 1 << 20)
    assert credits(side) == {}


def test_a_reader_that_keeps_up_never_lets_the_peer_stop() -> None:
    side = server(limits=TIGHT)
    left = {0: 2 * WINDOW, 1: WINDOW}
    side.give(head(1))
    for _ in range(100):
        size = min(10_000, *left.values())
        assert size > 0
        side.give(data(1, bytes(size)))
        granted = credits(side)
        left = {level: left[level] - size + granted.get(level, 0) for level in left}
    assert not side.connection.closed


def test_padding_is_credited() -> None:
    side = server(limits=TIGHT)
    side.give(head(1))
    padded = frames.frame(frames.DATA, frames.PADDED, 1, b"\xff" + bytes(255))
    granted: dict[int, int] = {}
    for _ in range(2_000):
        side.give(padded, now=1e9)
        for level, credit in credits(side).items():
            granted[level] = granted.get(level, 0) + credit
    assert not side.connection.closed
    assert granted[0] > 256 * 2_000 - 2 * WINDOW
    assert granted[1] > 256 * 2_000 - WINDOW


def test_data_of_a_stream_that_was_reset_here_is_credited() -> None:
    side = server(limits=TIGHT, greedy=False)
    granted = 0
    for stream_id in range(1, 41, 2):
        side.give(head(stream_id), *fill(stream_id, 20_000))
        side.connection.reset(stream_id, ErrorCode.CANCEL)
        side.give(*fill(stream_id, 20_000))
        granted += credits(side).get(0, 0)
    assert not side.connection.closed
    assert 20 * 40_000 - WINDOW < granted <= 20 * 40_000


def test_what_was_unconsumed_of_a_stream_that_the_peer_reset_is_credited() -> None:
    side = server(limits=TIGHT, greedy=False)
    side.give(head(1), *fill(1, WINDOW), frames.rst_stream(1, ErrorCode.CANCEL))
    assert credits(side) == {0: WINDOW}
    side.connection.consumed(1, WINDOW)  # the handler's own later word changes nothing
    assert credits(side) == {}


def test_data_of_a_refused_stream_and_of_an_oversized_request_is_credited() -> None:
    side = server(limits=Limits(150, 1, WINDOW, 2 * WINDOW))
    side.give(head(1))
    assert side.handler.take() == [("oversize", 1)]
    granted = {0: 0, 1: 0}
    for stream_id in range(3, 43, 2):
        side.give(*fill(1, 20_000), head(stream_id), *fill(stream_id, 20_000))
        update = credits(side)
        granted = {level: granted[level] + update.get(level, 0) for level in granted}
    assert not side.connection.closed
    assert 20 * 40_000 - WINDOW < granted[0] <= 20 * 40_000
    assert 20 * 20_000 - WINDOW < granted[1] <= 20 * 20_000


def test_a_stream_that_has_ended_still_holds_what_is_not_consumed() -> None:
    side = client(limits=TIGHT, greedy=False)
    for _ in range(2):
        side.connection.open(REQUEST, True)
    side.give(head(1, ANSWER), *fill(1, WINDOW - 1), data(1, b"x", end=True))
    side.give(head(3, ANSWER), *fill(3, 40_000))
    assert side.connection.active == 1
    side.out()
    side.connection.consumed(1, 30_000)
    assert credits(side) == {}
    side.connection.consumed(1, 40_000)  # a little more than there was
    assert credits(side) == {0: WINDOW}
    side.connection.consumed(1, 1)
    assert not side.connection._late


def test_an_answer_before_the_requests_end_holds_what_is_not_consumed() -> None:
    side = client(limits=TIGHT, greedy=False)
    side.connection.open(REQUEST, False)
    side.give(head(1, ANSWER), *fill(1, WINDOW), head(1, TRAILERS, end=True))
    side.out()
    side.connection.consumed(1, WINDOW)
    assert credits(side) == {0: WINDOW}
