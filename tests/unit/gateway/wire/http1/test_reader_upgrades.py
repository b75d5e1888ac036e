"""Upgrades that clients offer, and that are not taken up (RFC 9110, 7.8)."""

from __future__ import annotations

from tests.fakes.http1_reader import NEXT, POST, bodies, cut, requests, targets


def test_an_upgrade_is_not_taken_up_and_the_next_request_is_read() -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
    data = b"GET /1 HTTP/1.1\r\nHost: a\r\n" + upgrade + b"\r\n"
    for parts in ([data + NEXT], cut(data + NEXT, range(400))):
        recorder = requests(parts)
        assert targets(recorder) == [b"/1", b"/2"]
        assert recorder.heads[0].lines == [b"Host: a\r\n"]


def test_an_upgrade_that_is_offered_with_a_body_is_not_taken_up_either() -> None:
    """As Java's HttpClient and `curl --http2` offer it with each POST."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
    sized = POST + upgrade + b"Content-Length: 5\r\n\r\nhello"
    chunked = POST + upgrade + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    empty = POST + upgrade + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    data = sized + chunked + sized + empty + NEXT
    for parts in ([data], cut(data, range(len(data)))):
        recorder = requests(parts)
        assert bodies(recorder) == [b"hello", b"abc", b"hello"]
        assert targets(recorder)[-1] == b"/2"
        assert all(head.lines == [b"Host: a\r\n"] for head in recorder.heads[:4])


def test_an_upgrade_that_the_connection_does_not_name_is_none() -> None:
    data = POST + b"Upgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"
    recorder = requests([data + NEXT])
    assert bodies(recorder) == [b"hello"]
    assert targets(recorder)[1:] == [b"/2"]
