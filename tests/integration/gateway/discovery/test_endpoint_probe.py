"""Which endpoints of a saved table are asked for what, and which answers leave one out."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.contract.route_table import Deployment, Endpoint, ProtocolFamily, RouteTable, Version
from gateway.discovery.endpoint_probe import verified
from tests.fakes.rest_servers import Peer, Server, always, answer, resetting, unused_port


def table(runtime: ProtocolFamily, *endpoints: Endpoint, **version: Any) -> RouteTable:
    made = Version(name="v1", endpoints=endpoints, **version)
    deployment = Deployment(namespace="ns", name="m?", runtime=runtime, stable="v1", versions=(made,))
    return RouteTable(revision=7, deployments=(deployment,))


@pytest.mark.parametrize(
    ("runtime", "version", "path"),
    [
        ("tfserving", {"servable": 3}, b"/v1/models/m%3F/versions/3/metadata"),
        ("tfserving", {}, b"/v1/models/m%3F/metadata"),
        ("seldon", {}, b"/health/status"),
        ("oip", {}, b"/v2/models/m%3F/ready"),
    ],
)
def test_each_runtime_is_asked_in_its_way(
    servers: Callable[..., Server], runtime: ProtocolFamily, version: dict[str, Any], path: bytes
) -> None:
    server = servers(always(answer(b"{}")))
    saved = table(runtime, server.endpoint, **version)
    assert asyncio.run(verified(saved)) == (saved, ())
    (request,) = server.requests
    assert request.line == b"GET " + path + b" HTTP/1.1"


async def garbage(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"SSH-2.0-OpenSSH_9.2\r\n")


def test_what_answers_for_something_else_is_left_out_and_what_says_nothing_stays(
    servers: Callable[..., Server],
) -> None:
    right = servers(always(answer(b"{}"))).endpoint
    other = servers(always(answer(b"{}", "404 Not Found"))).endpoint
    loading = servers(always(answer(b"{}", "503 Service Unavailable"))).endpoint
    no_http = servers(garbage).endpoint
    resets = servers(resetting).endpoint
    port = unused_port()
    nowhere = Endpoint(host="127.0.0.1", rest=port, grpc=port)
    found, left_out = asyncio.run(verified(table("tfserving", right, other, loading, no_http, resets, nowhere)))
    assert found == table("tfserving", right, loading, resets, nowhere)
    assert left_out == tuple(sorted(f"ns/m? v1 127.0.0.1:{one.rest}" for one in (other, no_http)))


def test_nothing_saved_is_nothing_asked() -> None:
    assert asyncio.run(verified(RouteTable(revision=1))) == (RouteTable(revision=1), ())
