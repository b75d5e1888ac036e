"""Model servers that break HTTP/1.1, on raw sockets: what the caller gets, at how many attempts, and that nothing is
taken without end. See `test_rest_broken_answers.py` for connections that end early."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.gateway import PREDICT, Gateway, table
from tests.fakes.rest_client import ConnectionEnded, request
from tests.fakes.rest_servers import Peer, Script, Server, always, answer, once

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

OK = b"HTTP/1.1 200 OK\r\n"
SHORT = b"Content-Length: 2\r\n\r\n{}"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20

GARBAGE = {
    "HTTP/0.9": b'{"predictions": [1]}',
    "TLS": b"\x16\x03\x01\x00\xa5 garbage\r\n\r\n",
    "two equal lengths": OK + b"Content-Length: 2\r\n" + SHORT,
    "two lengths": OK + b"Content-Length: 1\r\n" + SHORT,
    "length below 0": OK + b"Content-Length: -1\r\n\r\n{}",
    "length and chunks": OK + b"Content-Length: 5\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "no size of a chunk": OK + CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "length in a trailer": OK + CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
    "100 with a body": b"HTTP/1.1 100 Continue\r\n" + SHORT + OK + SHORT,
    "status 099": b"HTTP/1.1 099 X\r\n" + SHORT,
    "status 2000": b"HTTP/1.1 2000 X\r\n" + SHORT,
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "folded field": OK + b"X: a\r\n b\r\n" + SHORT,
    "CR in a value": OK + b"X: a\rSet-Cookie: e=1\r\n" + SHORT,
    "NUL in a value": OK + b"X: a\0b\r\n" + SHORT,
    "CR in the reason": b"HTTP/1.1 200 a\rb\r\n" + SHORT,
    "head of 70 KB": OK + b"X: " + b"a" * 70_000 + b"\r\n" + SHORT,
}

TAKEN = {
    "more than its length": (OK + b"Content-Length: 5\r\n\r\n" + b"0123456789", 200, b"01234"),
    "two answers": (answer(b"first") + answer(b"second", "500 No"), 200, b"first"),
    "garbage after it": (answer(b"first") + b"garbage", 200, b"first"),
    "a thousand before it": (b"HTTP/1.1 102 Processing\r\n\r\n" * 1000 + answer(b"late"), 200, b"late"),
    "no content with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 20\r\n\r\n" + b"x" * 20, 204, b""),
    "no status that is known": (b"HTTP/1.1 999 X\r\n" + SHORT, 999, b"{}"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + SHORT, 200, b"{}"),
    "no length": (OK + b"\r\n{}", 200, b"{}"),
    "versions of its own": (OK + b"X-Turnout-Version: v9\r\nx-turnout-assignment: a/b=c\r\n" + SHORT, 200, b"{}"),
}

ENDLESS = {
    "field": (OK + b"X: ", b"a" * 65_536),
    "fields": (OK, b"X: a\r\n" * 10_000),
    "status line": (b"HTTP/1.1 200 ", b"a" * 65_536),
}
"""How a head begins that does not end, and how it goes on."""

ENDLESS_BODIES = {
    "extension of a chunk": (OK + CHUNKED + b"2;", b"a" * 65_536),
    "trailers": (OK + CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: a\r\n" * 10_000),
}


def endless(start: bytes, piece: bytes) -> Script:
    """To each request, for as long as it is taken; the server counts the bytes. Once a head has come, it waits until
    the test has seen that."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        if b"\r\n\r\n" in start:
            await peer.server.gate.wait()
        while peer.server.taken < 100 * MIB:
            await peer.send(piece)
            peer.server.taken += len(piece)

    return script


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_answer_is_asked_for_elsewhere_and_then_told(
    servers: Servers, start_gateway: Start, name: str
) -> None:
    server = servers(once(GARBAGE[name]))
    gateway = start_gateway(table(v1=[server]))
    got = gateway.client().post(PREDICT)
    assert (got.status, got.error) == (503, "default/m version v1: what it sent is not the protocol")
    assert (len(server.requests), gateway.retries("v1")) == (3, {"reset": 2})
    assert gateway.outcomes("v1") == {"unavailable": 1}


@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_answer_is_passed_on_as_far_as_it_is_one(servers: Servers, start_gateway: Start, name: str) -> None:
    sent, status, body = TAKEN[name]
    server = servers(once(sent))
    client = start_gateway(table(v1=[server])).client()
    for number in (1, 2):
        got = client.post(PREDICT)
        assert (got.status, got.body, got.version) == (status, body, "v1")
        assert "x-turnout-assignment" not in got.fields
        assert len(server.requests) == number


@pytest.mark.parametrize("name", ENDLESS)
def test_a_head_without_end_is_given_up(servers: Servers, start_gateway: Start, name: str) -> None:
    server = servers(endless(*ENDLESS[name]))
    got = start_gateway(table(v1=[server])).client().post(PREDICT)
    assert got.error == "default/m version v1: what it sent is not the protocol"
    assert len(server.requests) == 3
    assert server.taken < 50 * MIB


@pytest.mark.parametrize("name", ENDLESS_BODIES)
def test_a_body_without_end_is_broken_off(servers: Servers, start_gateway: Start, name: str) -> None:
    server = servers(endless(*ENDLESS_BODIES[name]))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client().send(request("POST", PREDICT, b"{}"))
    assert client.head()[0] == 200
    server.open_gate()
    with pytest.raises(ConnectionEnded):
        client.body({"transfer-encoding": "chunked"})
    assert len(server.requests) == 1
    assert gateway.outcomes("v1") == {"server_error": 1}
    assert server.taken < 50 * MIB


def test_answers_that_announce_one_without_end_have_the_deadline(servers: Servers, start_gateway: Start) -> None:
    server = servers(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100))
    gateway = start_gateway(table(v1=[server]))
    assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 200").status == 504
    assert gateway.outcomes("v1") == {"deadline": 1}


def test_a_server_that_sends_a_byte_now_and_then_has_the_deadline(servers: Servers, start_gateway: Start) -> None:
    async def drip(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nX: ")
        await peer.reader.read()

    gateway = start_gateway(table(v1=[servers(drip)]))
    assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 100").status == 504


def test_bytes_that_nobody_asked_for_do_not_wait_for_a_request(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"first") + answer(b"more")))
    client = start_gateway(table(v1=[server])).client()
    assert {client.post(PREDICT).body for _ in range(5)} == {b"first"}
