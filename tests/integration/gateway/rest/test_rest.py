"""REST from client to model server and back: how requests and answers are carried."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable

import httpx
import pytest

from gateway.stats import counters
from tests.fakes.gateway import PREDICT, SELDON, Gateway, table
from tests.fakes.needs import needed
from tests.fakes.rest_client import request
from tests.fakes.rest_servers import Peer, Script, Server, always, answer

Servers = Callable[..., Server]
Start = Callable[..., Gateway]
MIB = 1 << 20


# What is carried.


def test_the_request_goes_on_as_it_came_and_the_answer_bears_its_version(gateway: Gateway, server: Server) -> None:
    client = gateway.client()
    got = client.post(
        PREDICT, b'{"instances": [1]}', "X-Turnout-Anything: 1", "X-Request-ID: r", "Connection: x", "X: y"
    )
    assert got == (
        200,
        {"content-type": "application/json", "x-turnout-version": "v1", "content-length": "18", "x-request-id": "r"},
        got.body,
    )
    assert got.body == b'{"instances": [1]}'
    came = server.requests[0]
    assert came.line == b"POST /v1/models/m:predict HTTP/1.1"
    assert came.fields == {b"host": b"test", b"x-request-id": b"r", b"content-length": b"18"}
    assert gateway.outcomes("v1", assignment="split") == {"success": 1}


def test_seldons_prefix_is_taken_off(gateway: Gateway, server: Server) -> None:
    assert gateway.client().post(SELDON + "?json=1").version == "v1"
    assert server.requests[0].line == b"POST /api/v1.0/predictions?json=1 HTTP/1.1"


def test_connections_are_kept_on_both_sides(gateway: Gateway, server: Server) -> None:
    client = gateway.client()
    for _ in range(5):
        assert client.post(PREDICT).status == 200
    assert server.connections == 1
    assert gateway.snapshot().worker[counters.ACCEPTED] == 1


def test_pipelined_requests_are_answered_in_order(gateway: Gateway, server: Server) -> None:
    client = gateway.client()
    asked = [request("POST", PREDICT, b"%d" % number) for number in range(200)]
    asked[50] = request("GET", "/v1/models/nobody", None)
    client.send(b"".join(asked))
    got = [client.answer() for _ in asked]
    assert [one.status for one in got] == [200] * 50 + [404] + [200] * 149
    assert [one.body for one in got if one.status == 200] == [b"%d" % number for number in range(200) if number != 50]
    assert server.bodies == [one.body for one in got if one.status == 200]


def test_a_chunked_request_is_sent_on_with_its_length(gateway: Gateway, server: Server) -> None:
    client = gateway.client()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert client.send(head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n").answer().body == b"abcde"
    assert set(server.requests[0].fields) == {b"host", b"content-length", b"x-request-id"}
    assert server.requests[0].fields[b"content-length"] == b"5"


def test_a_body_is_asked_for_where_the_client_waits(gateway: Gateway, server: Server) -> None:
    client = gateway.client()
    client.send(request("POST", PREDICT, None, "Expect: 100-continue", "Content-Length: 2"))
    assert client.head() == (100, {})
    assert client.send(b"{}").answer().body == b"{}"
    assert b"expect" not in server.requests[0].fields


def test_no_body_is_asked_for_that_would_be_refused(server: Server, start_gateway: Start) -> None:
    client = start_gateway(table(v1=[server]), max_message_bytes=10).client()
    got = client.send(request("POST", PREDICT, None, "Expect: 100-continue", "Content-Length: 11")).answer()
    assert got.status == 413


@pytest.mark.parametrize("keep", [True, False])
def test_http_1_0(gateway: Gateway, server: Server, keep: bool) -> None:
    client = gateway.client()
    fields = ("Connection: keep-alive",) if keep else ()
    got = client.send(request("POST", PREDICT, b"{}", *fields, version="1.0")).answer()
    assert (got.status, got.body) == (200, b"{}")
    assert got.fields["connection"] == ("keep-alive" if keep else "close")
    if keep:
        assert client.send(request("POST", PREDICT, b"[]", version="1.0")).answer().body == b"[]"
    assert client.rest() == b""
    assert server.requests[0].line.endswith(b"HTTP/1.1")


def test_the_client_may_end_the_connection(gateway: Gateway) -> None:
    client = gateway.client()
    first = request("POST", PREDICT, b"1", "Connection: close")
    got = client.send(first + request("POST", PREDICT, b"2")).answer()
    assert (got.body, got.fields["connection"]) == (b"1", "close")
    assert client.rest() == b""


def test_head_gets_no_body_and_the_connection_stays_in_step(gateway: Gateway) -> None:
    client = gateway.client()
    client.send(request("HEAD", "/nowhere", None) + request("POST", PREDICT, b"next"))
    status, fields = client.head()
    assert (status, int(fields["content-length"]) > 0) == (404, True)
    assert client.answer().body == b"next"


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: a/b\r\n\r\n"


def stepwise(*parts: bytes, close: bool = False) -> Script:
    """Each request gets the parts, each after the one before has gone out and the gate was opened."""

    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            for part in parts[:-1]:
                await peer.send(part)
            await peer.server.gate.wait()
            await peer.send(parts[-1])
            if close:
                return

    return script


def test_an_answer_in_chunks_is_passed_on_as_it_comes(servers: Servers, start_gateway: Start) -> None:
    server = servers(stepwise(CHUNKS + b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\nX: y\r\n\r\n"))
    client = start_gateway(table(v1=[server])).client()
    status, fields = client.send(request("POST", PREDICT, b"{}")).head()
    del fields["x-request-id"]
    assert (status, fields) == (200, {"content-type": "a/b", "x-turnout-version": "v1", "transfer-encoding": "chunked"})
    assert client.chunk() == b"abc"
    server.open_gate()
    assert (client.chunk(), client.chunk()) == (b"de", b"")
    assert client.post(PREDICT).body == b"abcde"
    assert server.connections == 1


def test_an_answer_in_chunks_to_http_1_0_ends_with_the_connection(servers: Servers, start_gateway: Start) -> None:
    server = servers(stepwise(CHUNKS + b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"))
    client = start_gateway(table(v1=[server])).client()
    client.send(request("POST", PREDICT, b"{}", "Connection: keep-alive", version="1.0"))
    _, fields = client.head()
    del fields["x-request-id"]
    assert fields == {"content-type": "a/b", "x-turnout-version": "v1", "connection": "close"}
    server.open_gate()
    assert client.rest() == b"abcde"


def test_a_chunked_answer_that_is_there_at_once_gets_a_length(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(CHUNKS + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
    got = start_gateway(table(v1=[server])).client().post(PREDICT)
    assert (got.body, got.fields["content-length"]) == (b"abcde", "5")


def test_an_answer_that_ends_with_its_connection(servers: Servers, start_gateway: Start) -> None:
    server = servers(stepwise(b"HTTP/1.1 200 OK\r\n\r\nabc", b"de", close=True))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    client.send(request("POST", PREDICT, b"{}")).head()
    assert client.chunk() == b"abc"
    server.open_gate()
    assert (client.chunk(), client.chunk()) == (b"de", b"")
    assert client.post(PREDICT).body == b"abcde"
    assert server.connections == 2
    assert gateway.outcomes("v1") == {"success": 2}


@pytest.mark.parametrize(
    ("sent", "length"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "5"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", None),
    ],
)
def test_answers_without_a_body(servers: Servers, start_gateway: Start, sent: bytes, length: str | None) -> None:
    server = servers(always(sent))
    client = start_gateway(table(v1=[server])).client()
    for _ in range(2):
        got = client.get("/v1/models/m")
        assert (got.status, got.fields.get("content-length"), got.version) == (int(sent[9:12]), length, "v1")


def test_informational_answers_are_passed_over(servers: Servers, start_gateway: Start) -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    server = servers(always(hints + answer(b"{}")))
    client = start_gateway(table(v1=[server])).client()
    assert [client.post(PREDICT).body for _ in range(3)] == [b"{}"] * 3
    assert server.connections == 1


def test_a_servers_own_fields_about_the_hop_stay_there(servers: Servers, start_gateway: Start) -> None:
    mine = ("Connection: keep-alive, x", "Keep-Alive: 5", "X: y", "x-turnout-version: v9", "Server: s")
    server = servers(always(answer(b"{}", "200 Fine", *mine)))
    got = start_gateway(table(v1=[server])).client().post(PREDICT, b"{}", "x-request-id: r")
    assert got.fields == {
        "x-request-id": "r",
        "content-type": "application/json",
        "server": "s",
        "x-turnout-version": "v1",
        "content-length": "2",
    }


# Real clients.


def test_httpx_with_large_and_compressed_bodies(gateway: Gateway, server: Server) -> None:
    host, port = gateway.address
    with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
        large = b"x" * (30 * MIB)
        assert client.post(PREDICT, content=large).content == large
        compressed = gzip.compress(b'{"instances": [1]}')
        got = client.post(PREDICT, content=compressed, headers={"content-encoding": "gzip"})
        assert got.content == compressed
        assert client.post(PREDICT, content=iter([b"a", b"b" * 100_000])).content == b"a" + b"b" * 100_000
    assert server.requests[1].fields[b"content-encoding"] == b"gzip"
    assert gateway.snapshot().worker[counters.ACCEPTED] == 1


def test_httpx_hears_why_a_large_body_is_refused(server: Server, start_gateway: Start) -> None:
    host, port = start_gateway(table(v1=[server]), max_message_bytes=MIB).address
    got = httpx.post(f"http://{host}:{port}{PREDICT}", content=b"x" * (30 * MIB), trust_env=False)
    assert got.status_code == 413


def test_curl(gateway: Gateway) -> None:
    needed("curl", "apt-get install curl (Debian, Ubuntu)")
    host, port = gateway.address
    url = f"http://{host}:{port}"
    command = ["curl", "-sS", "--noproxy", "*", "-D", "-", "-H", "Expect: 100-continue", "-d", "x" * 2_000_000]
    command = [*command[:-1], "@-", f"{url}{PREDICT}", "--next", "-sS", "--noproxy", "*", f"{url}/v1/models/nobody"]
    ran = subprocess.run(command, input=b"x" * 2_000_000, capture_output=True, timeout=60, check=True)
    assert ran.stdout.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b"x-turnout-version: v1\r\n" in ran.stdout
    assert b"x" * 2_000_000 in ran.stdout
    assert ran.stdout.endswith(b'no deployment nobody"}')
    assert gateway.snapshot().worker[counters.ACCEPTED] == 1


def test_curl_that_offers_http2(gateway: Gateway) -> None:
    needed("curl", "apt-get install curl (Debian, Ubuntu)")
    host, port = gateway.address
    command = ["curl", "-sS", "--noproxy", "*", "--http2", "-w", " %{http_code} %{http_version}", "-d", "hello"]
    ran = subprocess.run([*command, f"http://{host}:{port}{PREDICT}"], capture_output=True, timeout=60, check=True)
    assert ran.stdout == b"hello 200 1.1"


def test_a_body_in_very_small_pieces_arrives_whole(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"{}")))
    gateway = start_gateway(table(v1=[server]))
    body = bytes(range(256)) * 20
    pieces = b"".join(b"1\r\n%b\r\n" % body[i : i + 1] for i in range(3000)) + b"%x\r\n%b\r\n0\r\n\r\n" % (
        2120,
        body[3000:],
    )
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert gateway.client().send(head + pieces).answer().status == 200
    assert server.requests[0].body == body
