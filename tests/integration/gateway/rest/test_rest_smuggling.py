"""Where one request ends and the next begins: what a server gets of bytes that another proxy might cut elsewhere. Each
payload comes on one connection, with what is to be smuggled in it; what has no answer reaches no server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.gateway import Gateway, table
from tests.fakes.rest_client import request
from tests.fakes.rest_servers import Server

POST = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /v1/models/m HTTP/1.1\r\nHost: a\r\n"
SMUGGLED = b"GET /v1/models/m/metadata HTTP/1.1\r\nHost: smuggled\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
H2C = b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n"

REFUSED = {
    "length and coding": (POST + b"Content-Length: %d\r\n" % (5 + len(SMUGGLED)) + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "coding and length": (POST + CHUNKED + b"Content-Length: 4\r\n\r\n" + CHUNK, 400),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "identity": (POST + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 501),
    "chunked, then identity": (POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    "coding before a space": (POST + b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "folded coding": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    "coding after a bare LF": (POST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "bare LF throughout": (b"POST /v1/models/m:predict HTTP/1.1\nHost: a\nContent-Length: 8\n\nab\r\n\r\ncd", 400),
    "bare CR": (b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\rContent-Length: 2\r\n\r\n{}", 400),
    "DEL in a value": (POST + b"X: a\x7fb\r\nContent-Length: 2\r\n\r\n{}", 400),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400),
    "length over 64 bits": (POST + b"Content-Length: 18446744073709551618\r\n\r\n{}", 400),
    "quoted line end in an extension": (POST + CHUNKED + b'\r\n2;a="\r\n{}\r\n0\r\n\r\n', 400),
    "bare LF in an extension": (POST + CHUNKED + b"\r\n2;\nxx\r\n{}\r\n0\r\n\r\n", 400),
    "data beyond its chunk": (POST + CHUNKED + b"\r\n2\r\n{}xx\r\n0\r\n\r\n", 400),
    "last chunk with bare LF": (POST + CHUNKED + b"\r\n2\r\n{}\r\n0\n\n", 400),
    "length in a trailer": (POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nContent-Length: 50\r\n\r\n", 400),
    "two hosts": (POST + b"Host: b\r\nContent-Length: 2\r\n\r\n{}", 400),
    "authority as target": (b"POST evil:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 400),
    "tab in the request line": (b"GET\t/v1/models/m\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "two versions in the request line": (b"GET /v1/models/m HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "NUL in the target": (b"GET /v1/models/m?\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "space before the method": (b" " + GET + b"\r\n", 400),
    "coding in HTTP/1.0": (POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "CONNECT": (b"CONNECT evil:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
}
"""The payload, before what is smuggled, and the status of its answer, after which the connection ends."""

TAKEN: dict[str, tuple[bytes, list[tuple[bytes, bytes]]]] = {
    "tab before the coding": (POST + b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", [(b"POST", b"")]),
    "coding with an underscore": (
        POST + b"Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        [(b"POST", b"{}")],
    ),
    "spaces around a length": (POST + b"Content-Length:  2  \r\n\r\n{}", [(b"POST", b"{}")]),
    "zeros before a length": (POST + b"Content-Length: 0000000002\r\n\r\n{}", [(b"POST", b"{}")]),
    "GET with a body": (GET + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, [(b"GET", SMUGGLED)]),
    "GET in chunks": (GET + CHUNKED + b"\r\n" + CHUNK, [(b"GET", SMUGGLED)]),
    "POST without a length": (POST + b"\r\n" + SMUGGLED, [(b"POST", b""), (b"GET", b"")]),
    "another expectation": (
        POST + b"Expect: y 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        [(b"POST", SMUGGLED)],
    ),
    "extensions of chunks": (POST + CHUNKED + b"\r\n2;a=b\r\n{}\r\n0;x\r\n\r\n", [(b"POST", b"{}")]),
    "zeros as last chunk": (POST + CHUNKED + b"\r\n2\r\n{}\r\n000\r\n\r\n", [(b"POST", b"{}")]),
    "empty lines before": (b"\r\n\r\n\r\n" + GET + b"\r\n", [(b"GET", b"")]),
    "an offered upgrade": (GET + H2C + b"\r\n" + SMUGGLED, [(b"GET", b""), (b"GET", b"")]),
    "an offered upgrade with a body": (
        POST + H2C + b"Content-Length: 2\r\n\r\n{}" + SMUGGLED,
        [(b"POST", b"{}"), (b"GET", b"")],
    ),
    "nominated length": (
        POST + b"Connection: keep-alive, Content-Length, Host\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        [(b"POST", SMUGGLED)],
    ),
}
"""The payload, and what reaches the server of it: methods and bodies."""

ELSEWHERE = {
    b"GET /v1/models/..%2f..%2fadmin": 404,
    b"GET /v1/models/m/../../secret": 400,
    b"POST /v1/models/m/labels/..%2f..%2f:predict": 400,
    b"GET /seldon/default/m/../v1/models/m": 404,
    b"GET //v1/models/m": 404,
    b"POST ftp://evil/v1/models/m:predict": 404,
    b"OPTIONS *": 404,
    b"TRACE /v1/models/m": 400,
}
"""Targets of no model's, with the status of the answer; the connection goes on."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_request_reaches_nobody(gateway: Gateway, server: Server, name: str) -> None:
    payload, status = REFUSED[name]
    client = gateway.client().send(payload + SMUGGLED)
    got = client.answer()
    assert (got.status, got.fields["connection"]) == (status, "close")
    assert client.rest() == b""
    assert server.requests == []


@pytest.mark.parametrize("name", TAKEN)
def test_a_request_is_cut_as_the_server_cuts_it(gateway: Gateway, server: Server, name: str) -> None:
    payload, expected = TAKEN[name]
    client = gateway.client().send(payload + request("POST", "/v1/models/m:predict", b"last"))
    assert [client.answer().body for _ in expected] == [body for _, body in expected]
    assert client.answer().body == b"last", "the connection is in step"
    came = [(each.line.split(b" ")[0], each.body) for each in server.requests]
    assert came == [*expected, (b"POST", b"last")]
    fields = {b"host", b"content-length", b"x-request-id", b"transfer_encoding", b"content-type"}
    assert all(each.fields.keys() <= fields for each in server.requests)


def test_paths_lead_to_models_alone(gateway: Gateway, server: Server) -> None:
    client = gateway.client()
    lines = [b"%b HTTP/1.1\r\nHost: a\r\n\r\n" % line for line in ELSEWHERE]
    assert [client.send(line).answer().status for line in lines] == list(ELSEWHERE.values())
    assert server.requests == []


def test_after_a_refusal_the_next_request_is_answered_and_after_garbage_none(gateway: Gateway, server: Server) -> None:
    client = gateway.client().send(b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n" + GET + b"\r\nBAD\r\n\r\n" + SMUGGLED)
    assert [client.answer().status for _ in range(3)] == [404, 200, 400]
    assert client.rest() == b""
    assert len(server.requests) == 1


def test_after_the_last_request_nothing_is_read(gateway: Gateway, server: Server) -> None:
    client = gateway.client().send(GET + b"Connection: close\r\n\r\n" + SMUGGLED)
    assert client.answer().status == 200
    assert client.rest() == b""
    assert len(server.requests) == 1


def test_names_of_ours_from_outside_go_no_further(start_gateway: Callable[..., Gateway], server: Server) -> None:
    gateway = start_gateway(table(v1=[server]))
    ours = ("X-Turnout-Assignment: default/m=v1", "x-turnout-evil: 1", "X_Turnout_Assignment: default/m=v9")
    assert gateway.client().post("/v1/models/m:predict", b"{}", *ours).version == "v1"
    assert [name for name in server.requests[0].fields if b"turnout" in name] == [b"x-turnout-assignment"]
    assert server.requests[0].fields[b"x-turnout-assignment"] == b"default/m=v1"
