"""What is said to bad REST requests. Each case ends with a connection that is in step, or closed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.fakes.gateway import PREDICT, SELDON, Gateway, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import Answer, request
from tests.fakes.rest_servers import Server, always, answer, echo

Servers = Callable[..., Server]
Start = Callable[..., Gateway]
MIB = 1 << 20


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


def test_malformed_json_is_the_model_servers_affair(servers: Servers, start_gateway: Start) -> None:
    response = answer(b'{"error": "JSON Parse error"}', "400 Bad Request")
    gateway = start_gateway(table(v1=[servers(always(response))]))
    got = gateway.client().post(PREDICT, b"{", "Content-Type: text/plain")
    assert (got.status, got.body, got.version) == (400, b'{"error": "JSON Parse error"}', "v1")
    assert gateway.outcomes("v1") == {"client_error": 1}


@pytest.mark.parametrize(
    ("target", "fields", "status", "message", "reason"),
    [
        ("/v1/models/x:predict", (), 404, "no deployment x", "unknown_deployment"),
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
        ("/v1/models/s:predict", (), 501, "speaks Seldon's protocols", "other_protocol"),
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
        ("POST", "/v2/models/m/infer", 501, "speaks TensorFlow Serving's protocols", "other_protocol"),
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
    assert read(got) == "the message head is over 65536 bytes or 100 fields"
    assert client.rest() == b""


def test_a_budget_for_what_is_being_gathered(server: Server, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[server]), gather_budget_bytes=20_000)
    first = gateway.client().send(request("POST", PREDICT, b"x" * 8000)[:-10])
    eventually(lambda: gateway.forwarder.budget.held, lambda held: held > 7990)
    got = gateway.client().send(request("POST", PREDICT, b"x" * 8000)).answer()
    assert (got.status, got.fields["retry-after"]) == (429, "1")
    assert re.search(r"holds \d{3} bytes of requests and answers and the gateway 8\d{3}, as much as they", error(got))
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
