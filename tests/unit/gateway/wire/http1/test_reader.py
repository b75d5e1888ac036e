"""HTTP/1.1 as bytes in, events out: what is passed on, and what is refused (RFC 9112, section 11)."""

from __future__ import annotations

import contextlib

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.refusal import Code, Refusal
from gateway.wire.http1.heads import Head, chunk, request_head
from gateway.wire.http1.request_reader import RequestReader
from tests.fakes.http1_reader import LIMIT, NEXT, POST, Recorder, answers, bodies, cut, requests, targets

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


REFUSED = {
    "length and coding": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    "two equal lengths": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "length +5": (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    "length -5": (POST + b"Content-Length: -5\r\n\r\nhello", 400),
    "length 0x5": (POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "length 5 5": (POST + b"Content-Length: 5 5\r\n\r\nhello", 400),
    "empty length": (POST + b"Content-Length: \r\n\r\nhello", 400),
    "length over 64 bits": (POST + b"Content-Length: 18446744073709551617\r\n\r\nhello", 400),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501),
    "gzip, chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked, identity": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "chunked,": (POST + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400),
    "quoted chunked": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "vertical tab before chunked": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "tab after chunked": (POST + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", 501),
    "empty coding": (POST + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n", 400),
    "two codings": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    "two codings, reversed": (
        POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "chunked twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "folded field": (POST + b"X: a\r\n b\r\n\r\n", 400),
    "folded coding": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    "bare LF after a field": (POST + b"X: a\nY: b\r\n\r\n", 400),
    "bare LF after the head": (POST + b"X: a\r\n\n", 400),
    "bare LF after the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "bare CR in a value": (POST + b"X: a\rY: b\r\n\r\n", 400),
    "NUL in a value": (POST + b"X: a\0b\r\n\r\n", 400),
    "control in a value": (POST + b"X: a\x01b\r\n\r\n", 400),
    "NUL in a name": (POST + b"X\0: a\r\n\r\n", 400),
    "space before the colon": (POST + b"Content-Length : 5\r\n\r\nhello", 400),
    "tab before the colon": (POST + b"Content-Length\t: 5\r\n\r\nhello", 400),
    "space before the first field": (b"POST / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "no name": (POST + b": b\r\n\r\n", 400),
    "no colon": (POST + b"Content-Length\r\n\r\n", 400),
    "chunk size 0x5": (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    "chunk size -5": (CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", 400),
    "chunk size with a space": (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", 400),
    "no chunk size": (CHUNKED + b"\r\nhello\r\n0\r\n\r\n", 400),
    "chunk size over 64 bits": (CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n", 400),
    "chunk longer than its size": (CHUNKED + b"4\r\nhello\r\n0\r\n\r\n", 400),
    "chunk shorter than its size": (CHUNKED + b"6\r\nhello\r\n0\r\n\r\n", 400),
    "bare LF after a chunk size": (CHUNKED + b"5\nhello\r\n0\r\n\r\n", 400),
    "bare LF after a chunk": (CHUNKED + b"5\r\nhello\n0\r\n\r\n", 400),
    "bare LF after a chunk extension": (CHUNKED + b"5;a\nhello\r\n0\r\n\r\n", 400),
    "bare CR in a chunk extension": (CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n", 400),
    "length in a trailer": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400),
    "coding in a trailer": (CHUNKED + b"0\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment after an authority": (b"GET http://a#/v1/models/m HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "space in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "byte over 127 in the target": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/0.9 by name": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    "HTTP/2.0 in the form of 1.1": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    "http/1.1": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/2's preface, late": (NEXT + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "bad chunk after an offered upgrade": (
        POST + b"Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
        400,
    ),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "two hosts in HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "unknown method": (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "long head": (POST + b"X: " + b"a" * LIMIT + b"\r\n\r\n", 431),
    "many fields": (POST + b"X: a\r\n" * LIMIT + b"\r\n", 431),
    "long target": (b"GET /" + b"a" * LIMIT + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_however_the_bytes_are_cut(name: str) -> None:
    data, status = REFUSED[name]
    whole = requests([data])
    assert whole.events[-1][:2] == ("refused", status)
    assert sum(event[0] == "end" for event in whole.events) == data.count(NEXT)  # nothing of it is forwarded
    assert requests(cut(data, range(len(data)))).events[-1][:2] == ("refused", status)


@pytest.mark.parametrize("name", REFUSED)
def test_what_follows_a_refused_request_is_not_read(name: str) -> None:
    data, _ = REFUSED[name]
    assert b"/2" not in targets(requests([data.removeprefix(NEXT) + NEXT]))


def test_a_request_is_told_with_what_concerns_only_this_hop_taken_out() -> None:
    head = (
        b"POST /v1/models/m:predict?a=b HTTP/1.1\r\nHost: a:80\r\nContent-Type: application/json\r\n"
        b"Connection: x-a, X-B\r\nX-A: 1\r\nx-b: 2\r\nKeep-Alive: 3\r\nTE: trailers\r\nTrailer: x\r\n"
        b"Proxy-Connection: keep-alive\r\nProxy-Authorization: secret\r\nUpgrade: h2c\r\n"
        b"Expect: 100-continue\r\nX-Empty:\r\nx-c: \xff d \r\n"
        b"X-Turnout-Version:  v1 \r\nx-turnout-anything: 2\r\nContent-Length: 5\r\n\r\nhello"
    )
    recorder = requests([head])
    assert recorder.events == [
        (
            "head",
            b"POST",
            b"/v1/models/m:predict?a=b",
            1,
            5,
            False,
            b"Host: a:80\r\nContent-Type: application/json\r\nX-Empty: \r\nx-c: \xff d \r\n",
            {b"x-turnout-version": b"v1", b"x-turnout-anything": b"2"},
        ),
        ("body", b"hello"),
        ("end", False),
    ]
    assert recorder.heads[0].expect_continue


def test_host_can_not_be_nominated_away() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Host, x\r\nX: 1\r\n\r\n"
    assert requests([data]).heads[0].lines == [b"Host: a\r\n"]


def test_a_nomination_lasts_for_one_request() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nX: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n"
    assert [head.lines for head in requests([data]).heads] == [[b"Host: a\r\n"], [b"Host: a\r\n", b"X: 1\r\n"]]


def test_http_1_0_without_a_host_gets_one() -> None:
    assert requests([b"GET / HTTP/1.0\r\n\r\n"]).heads[0].lines == [b"Host: turnout\r\n"]


@pytest.mark.parametrize(
    ("connection", "version", "close"),
    [
        (b"", b"1.1", False),
        (b"Connection: close\r\n", b"1.1", True),
        (b"Connection: Keep-Alive, Close\r\n", b"1.1", True),
        (b"Connection: keep-alive\r\nConnection: close\r\n", b"1.1", True),
        (b"", b"1.0", True),
        (b"Connection: keep-alive\r\n", b"1.0", False),
    ],
)
def test_whether_the_connection_goes_on(connection: bytes, version: bytes, close: bool) -> None:
    recorder = requests([b"GET /1 HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, connection) + NEXT])
    assert recorder.heads[0].close is close
    assert targets(recorder) == ([b"/1"] if close else [b"/1", b"/2"])
    assert recorder.events[-1][0] == "end"  # what follows is passed over, and is no error


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        (b"/a?b", b"/a?b"),
        (b"//a", b"//a"),
        (b"http://x:80/v1/models/m?q", b"/v1/models/m?q"),
        (b"HTTPS://u@x/a", b"/a"),
        (b"http://x", b"/"),
        (b"http://x?q=/v1/models/m", b"/?q=/v1/models/m"),
        (b"*", b"*"),
        (b"ftp://x/a", b"ftp://x/a"),
    ],
)
def test_the_target_is_in_origin_form_where_it_can_be(sent: bytes, target: bytes) -> None:
    assert targets(requests([b"OPTIONS %b HTTP/1.1\r\nHost: a\r\n\r\n" % sent])) == [target]


def test_the_host_of_an_absolute_target_stands_above_the_field() -> None:
    data = b"GET http://x:80/a HTTP/1.1\r\nHOST: evil\r\nX-A: b\r\n\r\n"
    assert requests([data]).heads[0].lines == [b"X-A: b\r\n", b"Host: x:80\r\n"]


@pytest.mark.parametrize("name", [b"X_Turnout_Version", b"x-turnout_version", b"x_turnout-assignment"])
def test_what_a_server_may_take_for_a_field_of_ours_goes_no_further(name: bytes) -> None:
    head = requests([b"GET /a HTTP/1.1\r\nHost: a\r\n%b: v9\r\n\r\n" % name]).heads[0]
    assert (head.lines, head.own) == ([b"Host: a\r\n"], {})


def test_pipelined_requests_are_told_in_order() -> None:
    data = (
        POST
        + b"Content-Length: 5\r\n\r\nhello"
        + CHUNKED
        + b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n"
        + b"\r\n\r\n"
        + NEXT
    )
    recorder = requests([data])
    assert targets(recorder) == [b"/v1/models/m:predict"] * 2 + [b"/2"]
    assert bodies(recorder) == [b"hello", b"abcde"]
    assert [event[0] for event in recorder.events] == ["head", "body", "end", "head", "body", "end", "head", "end"]


def test_trailers_are_dropped() -> None:
    data = CHUNKED + b"5\r\nhello\r\n0\r\nX-A: b\r\nx-turnout-version: v9\r\nHost: evil\r\n\r\n"
    recorder = requests([data + NEXT])
    assert recorder.heads[0].lines == [b"Host: a\r\n"]
    assert recorder.heads[0].own == {}
    assert targets(recorder)[1:] == [b"/2"]


@pytest.mark.parametrize("coding", [b"CHUNKED", b"chunked  ", b"\tChunked"])
def test_the_coding_is_known_by_its_name_alone(coding: bytes) -> None:
    data = POST + b"Transfer-Encoding: %b\r\n\r\n2\r\nab\r\n0\r\n\r\n" % coding
    assert bodies(requests([data + NEXT])) == [b"ab"]


def head_of(size: int) -> bytes:
    """A request that counts as `size` bytes: its target, and its names and values with four bytes each."""
    return b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (size - 2 - 9 - 5) + b"\r\n\r\n"


@pytest.mark.parametrize("step", [1, 7, 100, 5000])
@pytest.mark.parametrize(("size", "fits"), [(LIMIT, True), (LIMIT + 1, False), (10 * LIMIT, False)])
def test_the_limit_of_the_head_is_exact_however_it_is_cut(size: int, fits: bool, step: int) -> None:
    data = head_of(size)
    events = requests(cut(data, range(0, len(data), step))).events
    assert (events[-1] == ("end", False)) is fits
    assert fits or events[-1][:2] == ("refused", 431)


@pytest.mark.parametrize("split", [1, 5, 50, 500, 1000])
def test_a_body_before_a_head_does_not_count(split: int) -> None:
    head = head_of(LIMIT)
    first = POST + b"Content-Length: 50000\r\n\r\n" + b"x" * 50000
    recorder = requests([first + head[:split], head[split:]])
    assert len(recorder.heads) == 2
    assert recorder.events[-1] == ("end", False)


@pytest.mark.parametrize(
    "start",
    [b"", POST + b"X: ", POST + b"X", b"GET /", b"\r\n" * 4, CHUNKED + b"5;a=", CHUNKED + b"0\r\nX: "],
    ids=["nothing", "value", "name", "target", "empty lines", "chunk extension", "trailer"],
)
def test_what_never_ends_is_refused_before_it_fills_the_memory(start: bytes) -> None:
    filler = b"\r\n" * 50 if start in (b"", b"\r\n" * 4) else b"a" * 100
    events = requests([start] + [filler] * (LIMIT // 100 + 2)).events
    assert events[-1][:2] == ("refused", 431)


def test_empty_lines_between_requests_do_not_add_up() -> None:
    assert len(requests([NEXT, b"\r\n"] * LIMIT).heads) == LIMIT


def test_long_bodies_are_no_long_heads() -> None:
    parts = [POST + b"Content-Length: %d\r\n\r\n" % (300 * LIMIT), *[b"x" * 300] * LIMIT, NEXT]
    assert len(requests(parts).heads) == 2
    parts = [CHUNKED, *[chunk(b"x" * 300)] * LIMIT, b"0\r\n\r\n", NEXT]
    assert len(requests(parts).heads) == 2


def test_a_handler_may_stop_the_reading() -> None:
    class Stopping(Recorder):
        def on_head(self, head: Head) -> None:
            super().on_head(head)
            reader.stop(refusal)

    refusal = Refusal(Code.RESOURCE_EXHAUSTED, "too_large", "no")
    recorder = Stopping()
    reader = RequestReader(recorder, LIMIT)
    with pytest.raises(Refusal) as raised:
        reader.receive(POST + b"Content-Length: 5\r\n\r\nhello" + NEXT)
    assert raised.value is refusal
    assert [event[0] for event in recorder.events] == ["head"]


def test_a_fault_of_the_handlers_is_no_refusal() -> None:
    class Faulty(Recorder):
        def on_head(self, head: Head) -> None:
            raise ZeroDivisionError

    unknown = NEXT.replace(b"\r\n\r\n", b"\r\nX-Fault: 1\r\n\r\n")
    with pytest.raises(httptools.HttpParserCallbackError) as raised:
        RequestReader(Faulty(), LIMIT).receive(unknown)
    assert isinstance(raised.value.__context__, ZeroDivisionError)
    RequestReader(Recorder(), LIMIT).receive(unknown)
    with pytest.raises(ZeroDivisionError):
        RequestReader(Faulty(), LIMIT).receive(unknown)


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (b"", b""),
        (NEXT[:10], b"/2"),
        (NEXT, b"/2"),
        (NEXT + b"garbage", b""),
        (POST + b"X: " + b"a" * LIMIT + b"\r\n\r\n" + NEXT, b"/v1/models/m:predict"),
    ],
)
def test_what_was_being_read_is_known_after_a_refusal(data: bytes, target: bytes) -> None:
    reader = RequestReader(Recorder(), LIMIT)
    with contextlib.suppress(Refusal):
        reader.receive(data)
    assert reader.latest.target == target


# Any cut gives the same events.

GOOD = [
    NEXT,
    b"GET /v1/models/m HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    POST + b"Content-Length: 5\r\nX-Empty:\r\nX: y\r\n\r\nhello",
    POST + b"Content-Length: 0\r\nx-turnout-version: v1\r\n\r\n",
    CHUNKED + b"1\r\na\r\n1f;e=f\r\n" + b"b" * 31 + b"\r\n0\r\nT: r\r\n\r\n",
    b"\r\n" + NEXT,
]
places = st.lists(st.integers(1, 600), max_size=12)


@given(
    st.lists(st.sampled_from([*GOOD, *(data for data, status in REFUSED.values() if status != 431)]), max_size=4),
    places,
)
def test_requests_are_the_same_however_they_are_cut(messages: list[bytes], where: list[int]) -> None:
    data = b"".join(messages)
    assert requests(cut(data, where)).events == requests([data]).events


@given(st.binary(max_size=300), places)
def test_garbage_raises_nothing_but_refusals(data: bytes, where: list[int]) -> None:
    requests(cut(data, where))
    answers(cut(data, where), ended=True)


@given(st.sampled_from(GOOD), st.integers(0, 200), st.binary(min_size=1, max_size=3), places)
def test_damaged_requests_raise_nothing_but_refusals(data: bytes, at: int, damage: bytes, where: list[int]) -> None:
    damaged = data[:at] + damage + data[at + len(damage) :]
    assert requests(cut(damaged, where)).events == requests([damaged]).events


# Written by us, read by us.


@given(st.binary(max_size=100), st.sampled_from([b"GET", b"POST"]), st.booleans())
def test_a_request_that_is_forwarded_is_the_one_that_came(body: bytes, method: bytes, chunks: bool) -> None:
    framing = b"Transfer-Encoding: chunked" if chunks else b"Content-Length: %d" % len(body)
    sent = (chunk(body) if body else b"") + b"0\r\n\r\n" if chunks else body
    came = requests([b"%b /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n%b\r\n\r\n%b" % (method, framing, sent)])
    head = came.heads[0]
    forwarded = requests([request_head(head.method, head.target, head.lines, len(body)) + b"\r\n" + body])
    assert bodies(forwarded) == bodies(came) == ([body] if body else [])
    again = forwarded.heads[0]
    assert (again.method, again.target, again.lines, again.chunked) == (method, b"/a?b", head.lines, False)
    assert again.length == (len(body) if body or method == b"POST" else None)


def test_between_two_messages_a_reader_is_idle() -> None:
    reader = RequestReader(Recorder(), LIMIT)
    assert reader.idle
    reader.receive(CHUNKED)
    assert not reader.idle
    reader.receive(chunk(b"x") + b"0\r\n\r\n")
    assert reader.idle
