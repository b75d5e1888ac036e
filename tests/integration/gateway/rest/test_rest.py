"""REST from client to model server and back: how requests and answers are carried, and what is said to bad ones."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable

import httpx
import pytest

from gateway.stats import counters
from tests.fakes.gateway import PREDICT, SELDON, Gateway, table
from tests.fakes.needs import needed
from tests.fakes.rest_client import Answer, request
from tests.fakes.rest_servers import Peer, Script, Server, always, answer

Servers = Callable[..., Server]
Start = Callable[..., Gateway]
MIB = 1 << 20


async def echo(peer: Peer) -> None:
    """Answers with the body that came."""
    while (came := await peer.request()) is not None:
        await peer.send(answer(came.body))


def error(got: Answer) -> str:
    """The message, in TensorFlow Serving's form."""
    assert got.fields["content-type"] == "application/json"
    body = json.loads(got.body)
    assert list(body) == ["error"]
    message: str = body["error"]
    return message


def seldon_error(got: Answer) -> str:
    assert got.fields["content-type"] == "application/json"
    status = json.loads(got.body)["status"]
    assert (status["code"], status["status"]) == (got.status, "FAILURE")
    message: str = status["info"]
    return message


@pytest.fixture
def server(servers: Servers) -> Server:
    return servers(echo)


@pytest.fixture
def gateway(server: Server, start_gateway: Start) -> Gateway:
    return start_gateway(table(v1=[server]))


# What is carried.


def test_the_request_goes_on_as_it_came_and_the_answer_bears_its_version(gateway: Gateway, server: Server) -> None:
    client = gateway.client()
    got = client.post(
        PREDICT, b'{"instances": [1]}', "X-Turnout-Anything: 1", "Traceparent: t", "Connection: x", "X: y"
    )
    assert got == (
        200,
        {"content-type": "application/json", "x-turnout-version": "v1", "content-length": "18"},
        got.body,
    )
    assert got.body == b'{"instances": [1]}'
    came = server.requests[0]
    assert came.line == b"POST /v1/models/m:predict HTTP/1.1"
    assert came.fields == {b"host": b"test", b"traceparent": b"t", b"content-length": b"18"}
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
    assert server.requests[0].fields == {b"host": b"a", b"content-length": b"5"}


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
    client.send(request("HEAD", PREDICT, None) + request("POST", PREDICT, b"next"))
    status, fields = client.head()
    assert (status, int(fields["content-length"]) > 0) == (400, True)
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
    client.send(request("POST", PREDICT, b"{}"))
    status, fields = client.head()
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
    got = start_gateway(table(v1=[server])).client().post(PREDICT)
    assert got.fields == {
        "content-type": "application/json",
        "server": "s",
        "x-turnout-version": "v1",
        "content-length": "2",
    }


# What is said to bad requests. Each case ends with a connection that is in step, or closed.


def test_malformed_json_is_the_model_servers_affair(servers: Servers, start_gateway: Start) -> None:
    response = answer(b'{"error": "JSON Parse error"}', "400 Bad Request")
    gateway = start_gateway(table(v1=[servers(always(response))]))
    got = gateway.client().post(PREDICT, b"{", "Content-Type: text/plain")
    assert (got.status, got.body, got.version) == (400, b'{"error": "JSON Parse error"}', "v1")
    assert gateway.outcomes("v1") == {"client_error": 1}


@pytest.mark.parametrize(
    ("target", "fields", "status", "message", "reason"),
    [
        ("/v1/models/x:predict", (), 404, "no deployment x; known: s, m", "unknown_deployment"),
        (
            "/v1/models/m/versions/7:predict",
            (),
            404,
            "Could not find version 7 of model m; known: 1",
            "unknown_version",
        ),
        ("/v1/models/m/labels/beta:predict", (), 400, "Unrecognized servable version label: beta", "unknown_label"),
        ("/v1/models/m/labels/canary:predict", (), 400, "canary of default/m; it has no canary now", "unknown_label"),
        (
            PREDICT,
            ("x-turnout-version: v7",),
            404,
            "Could not find version v7 of model m; known: v1",
            "unknown_version",
        ),
        (PREDICT, ("x-turnout-deployment: other",), 400, "they must agree", "contradiction"),
        (PREDICT, ("x-turnout-timeout-ms: soon",), 400, "x-turnout-timeout-ms: 'soon' is not", "malformed_header"),
        ("/v1/models/s:predict", (), 501, "speaks Seldon's dialects", "other_dialect"),
        ("/v1/models/m", (), 400, "Malformed request: POST /v1/models/m", "malformed_request"),
        ("/v1/models/:predict", (), 400, "Malformed request: POST", "malformed_request"),
    ],
)
def test_what_tensorflow_serving_would_refuse(
    gateway: Gateway, server: Server, target: str, fields: tuple[str, ...], status: int, message: str, reason: str
) -> None:
    client = gateway.client()
    got = client.post(target, b"{}", *fields)
    assert got.status == status
    assert message in error(got)
    assert gateway.refusals() == {("tfserving-rest", reason): 1}
    assert client.post(PREDICT).status == 200
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("method", "target", "status", "message", "reason"),
    [
        ("POST", "/seldon/default/x/api/v1.0/predictions", 404, "no deployment default/x", "unknown_deployment"),
        ("POST", "/seldon/other/s/api/v1.0/predictions", 404, "no deployment other/s", "unknown_deployment"),
        ("PUT", SELDON, 405, "takes GET or POST, not PUT", "wrong_method"),
        ("POST", "/seldon/default/s/api/v1.0/nothing", 404, "No such path", "unknown_path"),
        ("POST", "/api/v1.0/predictions", 400, "names no deployment", "no_deployment"),
    ],
)
def test_what_seldon_would_refuse(
    gateway: Gateway, method: str, target: str, status: int, message: str, reason: str
) -> None:
    client = gateway.client()
    got = client.send(request(method, target, b"{}")).answer()
    assert got.status == status
    assert message in seldon_error(got)
    assert gateway.refusals() == {("seldon-rest", reason): 1}
    assert client.post(SELDON).status == 200


@pytest.mark.parametrize(
    ("method", "target", "status", "message", "reason"),
    [
        ("POST", "/v2/models/x/infer", 404, "no deployment x", "unknown_deployment"),
        ("POST", "/v2/models/m/infer", 501, "speaks TensorFlow Serving's dialects", "other_dialect"),
        ("GET", "/v2/models/m/infer", 405, "takes POST, not GET", "wrong_method"),
        ("GET", "/v2", 400, "names no deployment: send it to /v2/models/<deployment>/", "no_deployment"),
        ("POST", "/v2/repository/models/m/load", 403, "set in the ModelDeployment", "forbidden_method"),
    ],
)
def test_what_the_open_inference_protocol_would_refuse(
    gateway: Gateway, method: str, target: str, status: int, message: str, reason: str
) -> None:
    got = gateway.client().send(request(method, target, b"{}")).answer()
    assert got.status == status
    assert message in error(got)
    assert gateway.refusals() == {("oip-rest", reason): 1}


@pytest.mark.parametrize("question", ["live", "ready"])
def test_open_inference_health(gateway: Gateway, server: Server, question: str) -> None:
    client = gateway.client()
    got = client.get(f"/v2/health/{question}")
    assert got == (200, {"content-type": "application/json", "content-length": str(len(got.body))}, got.body)
    assert json.loads(got.body) == {question: True}
    assert client.post(PREDICT).status == 200
    assert client.send(request("GET", f"/v2/health/{question}", None, "x-turnout-deployment: m")).answer().status == 501
    assert len(server.requests) == 1


def test_a_path_of_no_api(gateway: Gateway) -> None:
    got = gateway.client().get("/favicon.ico")
    assert got.status == 404
    assert "No API has the path /favicon.ico" in error(got)
    assert gateway.refusals() == {("unknown", "unknown_path"): 1}


def test_without_a_table(start_gateway: Start) -> None:
    gateway = start_gateway(None)
    got = gateway.client().post(PREDICT)
    assert (got.status, got.fields["retry-after"]) == (503, "1")
    assert "no route table yet" in error(got)


def test_a_pin_gets_its_version(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(echo)], v2=[servers(echo)]))
    client = gateway.client()
    for target in ("/versions/2", "/labels/canary"):
        assert client.post(f"/v1/models/m{target}:predict").version == "v2"
    assert client.post(PREDICT, b"{}", "x-turnout-version: v2").version == "v2"
    assert client.post(SELDON, b"{}", "x-turnout-version:  v2 ").version == "v2"
    assert client.post("/api/v1.0/predictions", b"{}", "x-turnout-deployment: default/s").version == "v1"
    assert gateway.outcomes("v2", assignment="pin") == {"success": 3}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("target", "read"), [(PREDICT, error), (SELDON, seldon_error)])
def test_a_body_that_is_too_large(
    server: Server, start_gateway: Start, chunked: bool, target: str, read: Callable[[Answer], str]
) -> None:
    gateway = start_gateway(table(v1=[server]), max_message_bytes=1000)
    assert gateway.client().post(target, b"x" * 1000).status == 200
    client = gateway.client()
    if chunked:
        client.send(request("POST", target, None, "Transfer-Encoding: chunked"))
        client.send(b"1f4\r\n" + b"x" * 500 + b"\r\n1f5\r\n" + b"x" * 501 + b"\r\n0\r\n\r\n" + b"y" * MIB)
    else:
        client.send(request("POST", target, b"x" * 1001 + b"y" * MIB))
    got = client.answer()
    assert (got.status, got.fields["connection"]) == (413, "close")
    assert read(got) == "the body is over 1000 bytes"
    assert client.rest() == b""
    (((_, reason), count),) = gateway.refusals().items()
    assert (reason, count) == ("too_large", 1)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("target", "read"), [(PREDICT, error), (SELDON, seldon_error)])
def test_a_head_that_is_too_large(gateway: Gateway, target: str, read: Callable[[Answer], str]) -> None:
    client = gateway.client()
    got = client.send(request("POST", target, None, "X: " + "x" * 65536)).answer()
    assert (got.status, got.fields["connection"]) == (431, "close")
    assert read(got) == "the message head is over 65536 bytes"
    assert client.rest() == b""


def test_a_budget_for_what_is_being_gathered(server: Server, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[server]), gather_budget_bytes=1000)
    first = gateway.client().send(request("POST", PREDICT, b"x" * 700)[:-10])
    got = gateway.client().send(request("POST", PREDICT, b"x" * 400)).answer()
    assert (got.status, got.fields["retry-after"]) == (429, "1")
    assert "holding 690 bytes of requests, as much as it may" in error(got)
    assert first.send(b"x" * 10).answer().status == 200
    assert gateway.client().post(PREDICT, b"x" * 400).status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /v1/models/m HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nNO\r\n\r\n", 400),
        (
            b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_what_is_no_http(gateway: Gateway, server: Server, sent: bytes, status: int) -> None:
    client = gateway.client()
    client.send(request("POST", PREDICT, b"first") + sent + request("POST", PREDICT, b"smuggled"))
    assert client.answer().body == b"first"
    got = client.answer()
    assert (got.status, got.fields["connection"]) == (status, "close")
    assert error(got)
    assert client.rest() == b""
    assert server.bodies == [b"first"]


@pytest.mark.parametrize(
    "start", [b"P", b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"]
)
def test_a_request_that_is_cut_off_leaves_nothing(gateway: Gateway, server: Server, start: bytes) -> None:
    for end in ("close", "reset"):
        client = gateway.client().send(start)
        getattr(client, end)()
    assert gateway.client().post(PREDICT).status == 200
    assert len(server.requests) == 1


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
    assert ran.stdout.endswith(b'no deployment nobody; known: s, m"}')
    assert gateway.snapshot().worker[counters.ACCEPTED] == 1


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
