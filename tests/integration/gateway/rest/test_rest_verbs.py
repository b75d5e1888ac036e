"""Verbs beside GET and POST, slashes too many, and pages of other origins: as the servers themselves would answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.contract.route_table import RouteTable
from tests.fakes.gateway import PREDICT, SELDON, Gateway, deployment, table
from tests.fakes.rest_client import Answer, request
from tests.fakes.rest_servers import Peer, Server, always, answer

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

PAGE = "https://app.example.com"
ASKS = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,x-user")


async def heads(peer: Peer) -> None:
    """Answers HEAD as servers do: the head of what GET would get."""
    while (came := await peer.request()) is not None:
        whole = answer(b"some body")
        await peer.send(whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if came.line.startswith(b"HEAD") else whole)


@pytest.mark.parametrize("target", [PREDICT, SELDON, "/v1/models/m"])
def test_head_is_the_servers_to_answer(servers: Servers, start_gateway: Start, target: str) -> None:
    server = servers(heads)
    client = start_gateway(table(v1=[server])).client()
    for _ in range(2):  # the second time all heads are known
        client.send(request("HEAD", target, None))
        status, fields = client.head()
        assert (status, fields["content-length"], fields["x-turnout-version"]) == (200, "9", "v1")
        assert client.get("/v1/models/m").body == b"some body"
    assert [came.line.split(b" ")[0] for came in server.requests] == [b"HEAD", b"GET"] * 2


def test_head_of_an_answer_that_would_be_chunked(servers: Servers, start_gateway: Start) -> None:
    head = b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nTransfer-Encoding: chunked\r\n\r\n"
    client = start_gateway(table(v1=[servers(always(head))])).client()
    status, fields = client.send(request("HEAD", PREDICT, None)).head()
    assert (status, fields["allow"]) == (405, "GET")
    assert client.send(request("HEAD", PREDICT, None)).head()[0] == 405


def test_options_are_the_servers_to_answer(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"", "200 OK", "Allow: OPTIONS, HEAD, GET, POST", "Access-Control-Allow-Origin: *")))
    client = start_gateway(table(v1=[server])).client()
    got = client.send(request("OPTIONS", SELDON, None, f"Origin: {PAGE}", *ASKS)).answer()
    assert (got.status, got.fields["allow"]) == (200, "OPTIONS, HEAD, GET, POST")
    assert got.fields["access-control-allow-origin"] == "*"
    assert server.requests[0].line == b"OPTIONS /api/v1.0/predictions HTTP/1.1"


def test_what_is_no_prediction_is_no_evidence(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"", "500 Internal Server Error")))
    split = deployment("m", {"v1": [server], "v2": [server]}, weight=50, salt="s")
    gateway = start_gateway(RouteTable(revision=1, deployments=(split,)))
    for verb in ("HEAD", "OPTIONS"):
        assert gateway.client().send(request(verb, PREDICT, None)).head()[0] == 500
    assert gateway.evidence() == {}


@pytest.mark.parametrize(
    ("target", "allow"),
    [(SELDON, "GET, POST, HEAD, OPTIONS"), ("/v2/models/m/infer", "POST, HEAD, OPTIONS")],
)
def test_405_says_what_is_allowed(gateway: Gateway, target: str, allow: str) -> None:
    got = gateway.client().send(request("DELETE", target, None)).answer()
    assert (got.status, got.fields["allow"]) == (405, allow)


def test_a_balancer_may_ask_for_the_gateways_health_by_head(gateway: Gateway) -> None:
    client = gateway.client()
    for target in ("/v2/health/ready", "/v2/health/live/"):
        assert client.send(request("HEAD", target, None)).head()[0] == 200
        assert client.get(target).status == 200


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        (f"/{SELDON}", "/api/v1.0/predictions"),
        (SELDON.replace("/api", "//api"), "/api/v1.0/predictions"),
        ("//seldon/default/m/v1/models/m:predict", "/v1/models/m:predict"),
    ],
)
def test_a_slash_too_many_where_it_can_mean_but_one_thing(
    server: Server, gateway: Gateway, target: str, forwarded: str
) -> None:
    assert gateway.client().post(target).status == 200
    assert server.requests[0].line == f"POST {forwarded} HTTP/1.1".encode()


@pytest.mark.parametrize(
    "target",
    [
        "/seldon/s//api/v1.0/predictions",  # the namespace s, or the deployment?
        "/seldon//s/api/v1.0/predictions",
        "/seldon/default//s/api/v1.0/predictions",
        "//v1/models/m:predict",
        "//v2/models/m/infer",
    ],
)
def test_a_slash_too_many_elsewhere(gateway: Gateway, target: str) -> None:
    assert gateway.client().post(target).status == 404


# Pages.


def asked(gateway: Gateway, verb: str, origin: str, *fields: str, target: str = PREDICT) -> Answer:
    body = b"{}" if verb == "POST" else None
    return gateway.client().send(request(verb, target, body, f"Origin: {origin}", *fields)).answer()


def cors(got: Answer) -> dict[str, str]:
    """What a browser goes by."""
    names = ("vary", "access-control-")
    return {name: value for name, value in got.fields.items() if name.startswith(names)}


@pytest.fixture
def page(servers: Servers, start_gateway: Start) -> tuple[Gateway, Server]:
    """A deployment that lets a page ask, before a server that would let all."""
    server = servers(always(answer(b"{}", "200 OK", "Access-Control-Allow-Origin: *", "X-More: 1")))
    deployments = (
        deployment("m", {"v1": [server]}, cors=[PAGE, "http://localhost:3000"], max_message_bytes=10),
        deployment("open", {"v1": [server]}, cors=["*"]),
    )
    return start_gateway(RouteTable(revision=1, deployments=deployments), max_message_bytes=100), server


SHOWN = {
    "access-control-allow-origin": PAGE,
    "access-control-expose-headers": "x-turnout-version, x-turnout-assignment, x-request-id, retry-after",
    "vary": "Origin",
}


def test_a_preflight_is_answered(page: tuple[Gateway, Server]) -> None:
    gateway, server = page
    got = asked(gateway, "OPTIONS", PAGE, *ASKS)
    assert (got.status, got.body) == (204, b"")
    assert cors(got) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
        "access-control-allow-headers": "content-type,x-user",
        "access-control-max-age": "600",
        "vary": "Origin",
    }
    assert server.requests == []


def test_answers_and_refusals_are_shown_to_the_page(page: tuple[Gateway, Server]) -> None:
    gateway, _ = page
    for _ in range(2):
        got = asked(gateway, "POST", PAGE)
        assert (got.status, got.fields["x-more"], cors(got)) == (200, "1", SHOWN)
    refused = {
        404: gateway.client().post(PREDICT, b"{}", f"Origin: {PAGE}", "x-turnout-version: v9"),
        413: gateway.client().post(PREDICT, b"x" * 11, f"Origin: {PAGE}"),
    }
    assert {status: (got.status, cors(got)) for status, got in refused.items()} == {
        status: (status, SHOWN) for status in refused
    }
    early = gateway.client().post(PREDICT, b"x" * 101, f"Origin: {PAGE}")  # before it is whole
    assert (early.status, cors(early)) == (413, SHOWN)


@pytest.mark.parametrize("origin", ["https://other.example.com", f"{PAGE}.evil.example", PAGE.upper(), "null", ""])
def test_other_origins_get_nothing(page: tuple[Gateway, Server], origin: str) -> None:
    gateway, server = page
    for got in (asked(gateway, "OPTIONS", origin, *ASKS), asked(gateway, "POST", origin)):
        assert got.status in (200, 204)
        assert cors(got) == {"vary": "Origin"}
    assert len(server.requests) == 1


def test_all_origins(page: tuple[Gateway, Server]) -> None:
    got = asked(page[0], "POST", "https://other.example.com", target="/v1/models/open:predict")
    assert cors(got) == SHOWN | {"access-control-allow-origin": "*"}


def test_an_answer_without_an_origin_is_not_that_of_a_page(page: tuple[Gateway, Server]) -> None:
    gateway, _ = page
    assert cors(asked(gateway, "POST", PAGE)) == SHOWN
    own = {"access-control-allow-origin": "*"}  # the server's word
    for _ in range(2):
        assert cors(gateway.client().post(PREDICT)) == own | {"vary": "Origin"}
    assert cors(gateway.client().post(PREDICT, b"{}", "x-turnout-version: v9")) == {"vary": "Origin"}
