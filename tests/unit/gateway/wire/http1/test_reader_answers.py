"""Model servers' HTTP/1.1 as bytes in, events out: where an answer ends, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.http1.answer_reader import AnswerReader
from tests.fakes.http1_reader import LIMIT, Recorder, answers, bodies, cut

OK = b"HTTP/1.1 200 OK\r\n"
places = st.lists(st.integers(1, 600), max_size=12)

ANSWERS = {
    "length": (OK + b"Content-Length: 2\r\n\r\nok", [b"ok"]),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nX: y\r\n\r\n", [b"ok"]),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", [b"ok"]),
    "100 before": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", [b"ok"]),
    "hints before": (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 3 + OK + b"Content-Length: 2\r\n\r\nok", [b"ok"]),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", []),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", []),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_ends_where_it_says(name: str) -> None:
    data, expected = ANSWERS[name]
    for parts in ([data], cut(data, range(len(data)))):
        recorder = answers(parts)
        assert bodies(recorder) == expected
        assert len(recorder.heads) == 1
        assert recorder.events[-1] == ("end", False)


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (OK + b"\r\nok", True),
        (OK + b"\r\n", True),
        (OK + b"Content-Length: 3\r\n\r\nok", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", False),
        (OK + b"X: y", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"", False),
    ],
)
def test_the_end_of_the_connection_ends_only_what_it_may(data: bytes, whole: bool) -> None:
    recorder = answers([data], ended=True)
    assert recorder.events[-1] == ("whole", whole)
    assert (("end", True) in recorder.events) is whole


@pytest.mark.parametrize(
    ("data", "close"),
    [
        (OK + b"Content-Length: 0\r\n\r\n", False),
        (OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
def test_whether_a_model_servers_connection_goes_on(data: bytes, close: bool) -> None:
    recorder = Recorder()
    reader = AnswerReader(recorder, LIMIT)
    reader.receive(data)
    assert reader.closing is close


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nx",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nabc" + OK,
        b"HTTP/1.1 150 What\r\nContent-Length: 3\r\n\r\nabc" + OK,
        b"HTTP/1.1 150 What\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 a\rb\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nok",
        OK + b"X: a\r\n b\r\n\r\n",
        OK + b"X: " + b"a" * LIMIT + b"\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\t\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 " + b"a" * (LIMIT + 1) + b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    for parts in ([data], cut(data, range(len(data)))):
        recorder = answers(parts)
        assert recorder.events[-1][0] == "refused"
        assert recorder.heads == []


def test_a_model_server_can_not_say_which_version_it_is() -> None:
    head = answers(
        [OK + b"X-Turnout-Version: v7\r\nConnection: x\r\nX: y\r\nServer: z\r\nContent-Length: 0\r\n\r\n"]
    ).heads[0]
    assert head.lines == [b"Server: z\r\n"]


@given(st.lists(st.sampled_from([data for data, _ in ANSWERS.values()]), max_size=4), places)
def test_answers_are_the_same_however_they_are_cut(messages: list[bytes], where: list[int]) -> None:
    data = b"".join(messages)
    assert answers(cut(data, where)).events == answers([data]).events


@pytest.mark.parametrize(
    "end",
    [
        b"Content-Length: 5\r\n\r\n",
        b"Content-Length: 5\r\n\r\nhello",  # which it must not send
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"\r\n",
        b"Content-Length: 0\r\n\r\n",
    ],
)
def test_an_answer_to_head_ends_with_its_head(end: bytes) -> None:
    for parts in ([OK + end], cut(OK + end, range(len(OK + end)))):
        recorder = Recorder()
        reader = AnswerReader(recorder, LIMIT)
        for known in (b"", OK + b"Content-Length: 5\r\n\r\nhello"):  # one that came before to another verb
            if known:
                AnswerReader(Recorder(), LIMIT).receive(known)
        reader.bodiless = True
        for part in parts:
            reader.receive(part)
        assert bodies(recorder) == []
        assert [event for event in recorder.events if event[0] == "end"] == [("end", True)]
        assert reader.closing


def test_trailers_without_end_are_refused() -> None:
    start = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    recorder = answers([start, *[b"X: a\r\n" * 20] * (LIMIT // 100)])
    assert recorder.events[-1] == ("refused", "head_too_large")


def test_an_answer_to_head_is_not_taken_for_one_to_another_verb() -> None:
    message = OK + b"X-Head: 1\r\nContent-Length: 5\r\n\r\nhello"
    to_head = AnswerReader(Recorder(), LIMIT)
    to_head.bodiless = True
    to_head.receive(message + message)
    assert answers([message]).events[-1] == ("end", False), "the connection goes on"


def test_an_informational_answer_to_head_does_not_end_it() -> None:
    recorder = Recorder()
    reader = AnswerReader(recorder, LIMIT)
    reader.bodiless = True
    reader.receive(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert recorder.events == []
    reader.receive(OK + b"Content-Length: 5\r\n\r\n")
    assert [event[0] for event in recorder.events] == ["head", "end"]


def test_the_servers_request_id_is_not_the_callers() -> None:
    recorder = answers([OK + b"X-Request-Id: of-the-server\r\nA: b\r\nContent-Length: 0\r\n\r\n"])
    assert recorder.heads[0].lines == [b"A: b\r\n"]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_that_never_has_a_body_is_read_alike_again(status: bytes) -> None:
    message = b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\n"
    first = answers([message]).events
    assert first[-1][0] == "end"
    assert answers([message]).events == first


def test_nothing_follows_the_last_answer_though_its_head_is_known() -> None:
    """Found by a fuzzer: an answer of HTTP/1.0 ends its connection, whether it is the first of its kind or not."""
    last = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
    for data in (last, last + last, last + last):
        events = answers(cut(data, [len(last)])).events
        assert events == answers([data]).events
        assert events.count(("end", True)) == 1
