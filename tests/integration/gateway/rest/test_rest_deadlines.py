"""What becomes of requests whose time is over, and of those that wait for a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.contract.route_table import RouteTable
from tests.fakes.gateway import PREDICT, SELDON, Gateway, deployment, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import ConnectionEnded, request
from tests.fakes.rest_servers import Peer, Server, Unaccepting, always, answer, dead, silent

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

OK = always(answer(b"{}"))


@pytest.mark.parametrize("target", [PREDICT, SELDON])
def test_a_late_answer_is_an_error_in_the_callers_protocol(servers: Servers, start_gateway: Start, target: str) -> None:
    server = servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    got = client.post(target, b"{}", "x-turnout-timeout-ms: 50")
    assert (got.status, got.version) == (504, "v1")
    assert got.error.endswith("version v1: no whole answer within the deadline")
    assert gateway.outcomes("v1") | gateway.outcomes("v1", "s") == {"deadline": 1}
    eventually(lambda: server.open, lambda open: not open)  # the server is told, by the end of the connection
    assert client.get("/v1/models/nobody").status == 404


def limited(server: Server, **limits: Any) -> RouteTable:
    """The model `m` with limits of its own."""
    return RouteTable(revision=1, deployments=(deployment("m", {"v1": [server]}, **limits),))


async def late(peer: Peer) -> None:
    """Answers once the gate is open."""
    while await peer.request() is not None:
        await peer.server.gate.wait()
        await peer.send(answer(b"late"))


def test_the_default_deadline(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(silent)]), timeout=0.1)
    assert gateway.client().post(PREDICT).status == 504


def test_a_deployment_may_have_a_deadline_of_its_own(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(limited(servers(silent), timeout=0.1))
    assert gateway.client().post(PREDICT).status == 504
    server = servers(late)
    gateway = start_gateway(limited(server, timeout=30.0), timeout=0.05)
    client = gateway.client().send(request("POST", PREDICT, b"{}"))
    assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 100").status == 504
    server.open_gate()
    assert client.answer().body == b"late"


def test_a_caller_may_wait_longer_than_the_default(servers: Servers, start_gateway: Start) -> None:
    server = servers(late)
    gateway = start_gateway(limited(server, timeout=0.05), timeout=0.05)
    client = gateway.client().send(request("POST", PREDICT, b"{}", "x-turnout-timeout-ms: 99999999"))
    assert gateway.client().post(PREDICT).status == 504
    server.open_gate()
    assert client.answer().body == b"late"


@pytest.mark.parametrize("asked", [(), ("x-turnout-timeout-ms: 99999999",)])
def test_nobody_waits_longer_than_the_operator_lets_them(
    servers: Servers, start_gateway: Start, asked: tuple[str, ...]
) -> None:
    gateway = start_gateway(limited(servers(silent), timeout=50.0), max_timeout=0.1)
    assert gateway.client().post(PREDICT, b"{}", *asked).status == 504


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def flowing(peer: Peer) -> None:
    """Six pieces in more than the deadline."""
    while await peer.request() is not None:
        await peer.send(CHUNKED)
        for _ in range(6):
            await asyncio.sleep(0.5)
            await peer.send(b"1\r\n.\r\n")
        await peer.send(b"0\r\n\r\n")


def test_a_stream_that_flows_is_not_cut(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(limited(servers(flowing), timeout=2.0))
    assert gateway.client().post(PREDICT).body == b"......"
    with pytest.raises(ConnectionEnded):  # this caller waits for the whole of it, and no longer
        gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 2000")
    assert gateway.outcomes("v1") == {"success": 1, "deadline": 1}


def test_a_stream_that_falls_silent_is_cut(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(limited(servers(always(CHUNKED + b"1\r\n.\r\n")), timeout=0.2))
    with pytest.raises(ConnectionEnded):
        gateway.client().post(PREDICT)
    assert gateway.outcomes("v1") == {"deadline": 1}


def test_a_deployment_may_take_less_than_the_gateway(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(limited(servers(OK), max_message_bytes=10))
    client = gateway.client()
    assert client.post(PREDICT, b"x" * 10).status == 200
    got = client.post(PREDICT, b"x" * 11)
    assert (got.status, got.error) == (413, "default/m takes at most 10 bytes a request")
    assert client.post(PREDICT).status == 200
    assert gateway.refusals() == {("tfserving-rest", "too_large"): 1}


def test_deadlines_eject_a_server_that_had_time_and_no_other(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(silent)]))
    for _ in range(6):
        assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 20").status == 504
    assert not gateway.ejected()
    patient = [gateway.client().send(request("POST", PREDICT, b"{}", "x-turnout-timeout-ms: 1100")) for _ in range(5)]
    assert [client.answer().status for client in patient] == [504] * 5
    assert gateway.ejected()


def test_no_time_at_all(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(OK)]))
    assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 0").status == 504


def test_a_late_rest_of_an_answer_ends_the_connection(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))]))
    with pytest.raises(ConnectionEnded):
        gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 2000")
    assert gateway.outcomes("v1") == {"deadline": 1}


def test_the_deadline_comes_while_a_retry_waits(start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[dead()]), random=lambda: 0.999999)
    for _ in range(5):
        got = gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 20")
        assert got.status == 504
    assert gateway.outcomes("v1") == {"deadline": 5}


def test_the_deadline_comes_while_a_connection_is_awaited(start_gateway: Start) -> None:
    with Unaccepting() as server:
        gateway = start_gateway(table(v1=[server.endpoint]), connect_timeout=0.2)
        client = gateway.client()
        assert client.post(PREDICT, b"{}", "x-turnout-timeout-ms: 30").status == 504
        vanishing = gateway.client().send(request("POST", PREDICT, b"{}"))
        eventually(lambda: gateway.held()["attempts"] == 1)
        vanishing.close()
        gateway.rests()
        assert client.post(PREDICT).status == 503
    assert gateway.outcomes("v1") == {"deadline": 1, "cancelled": 1, "unavailable": 1}


def test_a_connection_made_for_a_caller_who_has_gone_is_closed(start_gateway: Start) -> None:
    with Unaccepting() as server:
        gateway = start_gateway(table(v1=[server.endpoint]), connect_timeout=20)
        assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 30").status == 504
        with server.accept() as connection:
            assert connection.recv(1) == b""
