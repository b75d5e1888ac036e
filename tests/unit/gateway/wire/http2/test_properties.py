"""What holds for any bytes, cut anywhere, and for any conversation of two connections."""

from __future__ import annotations

import hpack
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn

from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Connection, Limits
from gateway.wire.http2.fields import Fields, encode, encode_all
from tests.fakes.http2_conversation import run
from tests.fakes.http2_peer import ANSWER, REQUEST, TRAILERS, Recorder, client, data, head, server

BLOCKS = st.one_of(
    st.sampled_from([REQUEST, ANSWER, TRAILERS, b"", b"\x20" + REQUEST, ANSWER + TRAILERS, encode(b":status", b"100")]),
    st.sampled_from([b"content-length", b"x-a", b"Bad"]).map(lambda name: REQUEST + encode(name, b"5")),
    st.lists(st.tuples(st.sampled_from([b"x-a", b"te"]), st.binary(max_size=20)), max_size=3).map(
        lambda pairs: hpack.Encoder().encode([(b":method", b"GET"), *pairs])
    ),
    st.binary(max_size=30),
)
IDS = st.one_of(st.integers(0, 9), st.integers(0, (1 << 32) - 1))
NUMBERS = st.one_of(st.integers(0, 100), st.integers(0, (1 << 32) - 1))


@st.composite
def any_frame(draw: DrawFn) -> bytes:
    """A frame, often one that means something."""
    kind = draw(st.integers(0, 10))
    flags = draw(st.one_of(st.sampled_from([0, 1, 4, 5]), st.integers(0, 255)))
    number = draw(NUMBERS).to_bytes(4, "big")
    meant = {
        frames.HEADERS: BLOCKS,
        frames.CONTINUATION: BLOCKS,
        frames.SETTINGS: st.lists(
            st.builds(lambda name, value: frames.settings((name, value))[9:], st.integers(0, 7), NUMBERS), max_size=3
        ).map(b"".join),
        frames.WINDOW_UPDATE: st.just(number),
        frames.RST_STREAM: st.just(number),
        frames.GOAWAY: st.just(number + number),
        frames.PING: st.just(bytes(8)),
        frames.PRIORITY: st.just(number + b"\x05"),
    }.get(kind, st.binary(max_size=30))
    payload = draw(st.one_of(meant, meant, meant, st.binary(max_size=30)))
    stream_id = draw(st.one_of(st.sampled_from([0, 0, 1, 1, 1, 3, 5]), IDS))
    return frames.frame(kind, flags, stream_id, payload)


TRAFFIC = st.lists(any_frame(), max_size=20).map(b"".join)
CUTS = st.lists(st.integers(1, 40), max_size=60)


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(stream[:size])
        stream = stream[size:]
    return [*parts, stream]


@given(TRAFFIC, st.booleans(), st.booleans())
@settings(max_examples=300)
def test_no_traffic_makes_it_raise(traffic: bytes, is_client: bool, polite: bool) -> None:
    greeting = b"" if is_client else frames.PREFACE
    if polite:
        greeting += frames.settings() + frames.frame(frames.SETTINGS, frames.ACK, 0, b"")
    run([greeting + traffic], is_client=is_client)


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=300)
def test_no_garbage_makes_it_raise(garbage: bytes, is_client: bool) -> None:
    run([garbage], is_client=is_client)
    run([(b"" if is_client else frames.PREFACE) + frames.settings() + garbage], is_client=is_client)


@given(TRAFFIC, CUTS, st.booleans())
@settings(max_examples=300)
def test_the_same_comes_of_the_same_bytes_however_they_are_cut(
    traffic: bytes, sizes: list[int], is_client: bool
) -> None:
    stream = (b"" if is_client else frames.PREFACE) + frames.settings() + traffic
    whole = run([stream], is_client=is_client)
    assert run(cut(stream, sizes), is_client=is_client) == whole


def test_a_call_may_be_cut_at_every_place() -> None:
    requests = b"".join(
        (
            frames.settings((frames.INITIAL_WINDOW_SIZE, 10)),
            frames.frame(frames.SETTINGS, frames.ACK, 0, b""),
            head(1, b"\x20" + REQUEST),
            frames.frame(frames.HEADERS, 0, 3, REQUEST[:7]),
            frames.frame(frames.CONTINUATION, frames.END_HEADERS, 3, REQUEST[7:]),
            data(1, b"message", end=True),
            frames.frame(frames.DATA, frames.PADDED, 3, b"\x02some" + bytes(2)),
            head(3, encode(b"x-sum", b"1"), end=True),
            frames.window_update(1, 1000),
            frames.rst_stream(3, 8),
        )
    )
    stream = frames.PREFACE + requests
    whole = run([stream], is_client=False, replying=False)
    assert [event[:2] for event in whole[0]] == [
        ("settings",),
        ("headers", 1),
        ("headers", 3),
        ("data", 1),
        ("data", 3),
        ("trailers", 3),
        ("reset", 3),
    ]
    for place in range(len(stream)):
        assert run([stream[:place], stream[place:]], is_client=False, replying=False) == whole
    assert run([stream[place : place + 1] for place in range(len(stream))], is_client=False, replying=False) == whole


class Echo(Recorder):
    """A server that answers each request with its own message, part by part."""

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        self.connection.headers(stream_id, ANSWER, False)
        if end_stream:
            self.connection.headers(stream_id, TRAILERS, True)

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        self.connection.data(stream_id, data, False)
        if end_stream:
            self.connection.headers(stream_id, TRAILERS, True)
        return True


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_two_connections_understand_each_other(choose: DataObject) -> None:
    """Whatever is sent in whatever pieces arrives whole, in order, within the windows, and is answered."""
    tight = Limits(stream_window=65_535, connection_window=65_535 * 2)
    caller, echo = Recorder(), Echo()
    up = caller.connection = Connection(caller, client=True, limits=tight)
    down = echo.connection = Connection(echo, client=False, limits=tight)
    up.start()
    down.start()
    sent: dict[int, list[bytes]] = {}
    ended: set[int] = set()
    pipes: dict[Connection, bytes] = {up: b"", down: b""}  # by the receiving side

    def move(limit: int) -> bool:
        moved = False
        for source, target in ((up, down), (down, up)):
            pipes[target] += source.take()
            part, pipes[target] = pipes[target][:limit], pipes[target][limit:]
            if part:
                target.receive(part, 0.0)
                while target.behind:
                    target.receive(b"", 0.0)
                moved = True
        return moved

    for _ in range(choose.draw(st.integers(0, 25))):
        open_ones = [stream_id for stream_id in sent if stream_id not in ended]
        if not open_ones or choose.draw(st.booleans()):
            block = encode_all(
                *[(f.encode(), v) for f, v in [(":method", b"POST"), (":scheme", b"http"), (":path", b"/")]]
            )
            block += encode(b"x-pad", b"v" * choose.draw(st.sampled_from([0, 10, 300, 20_000])))
            stream_id = up.open(block, False)
            sent[stream_id] = []
        else:
            stream_id = choose.draw(st.sampled_from(open_ones))
            part = bytes([len(sent[stream_id])]) * choose.draw(st.sampled_from([0, 1, 100, 16_384, 16_385, 100_000]))
            sent[stream_id].append(part)
            end = choose.draw(st.booleans())
            up.data(stream_id, part, end)
            if end:
                ended.add(stream_id)
        if choose.draw(st.booleans()):
            move(choose.draw(st.sampled_from([1, 9, 1_000, 100_000])))
    for stream_id in sent.keys() - ended:
        up.data(stream_id, b"", True)
    while move(50_000):
        pass
    assert (up.reason, down.reason) == ("", "")
    assert up.active == down.active == 0
    for stream_id, parts in sent.items():
        own = [event for event in caller.events if event[1:2] == (stream_id,) and event[0] != "writable"]
        assert own[0][0] == "headers"
        assert own[-1] == ("trailers", stream_id, [(b"grpc-status", b"0")])
        assert b"".join(event[2] for event in own[1:-1]) == b"".join(parts)  # type: ignore[misc]


def test_both_sides_come_to_the_fast_way() -> None:
    up, down = client(), server()
    down.give(head(1, b"\x20" + REQUEST, end=True))
    up.connection.open(REQUEST, True)
    up.give(head(1, b"\x20" + ANSWER, end=True))
    assert up.connection._decoder._table is None
    assert down.connection._decoder._table is None
