"""Connections that a server closes while a request is on its way to it: that reaches nobody, and is no failure."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic

import pytest

from gateway.contract.route_table import RouteTable
from gateway.refusal import Code
from gateway.upstream import failure
from tests.fakes.gateway import FEEDBACK, Gateway, deployment, table
from tests.fakes.grpc_client import PREDICT, SELDON_FEEDBACK, predict
from tests.fakes.grpc_servers import GrpcServer, ServerCall, answering, dying
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import Peer, Server, always, answer

Servers = Callable[..., Server]
GrpcServers = Callable[..., GrpcServer]
Start = Callable[..., Gateway]
TO_S = {"x-turnout-deployment": "s"}


async def twice(peer: Peer) -> None:
    """Each connection's second request finds it being closed."""
    await peer.request()
    await peer.send(answer(b"{}"))
    await peer.head()


async def dies_at_the_second(peer: Peer) -> None:
    """The second request that comes at all is the server's end."""
    await peer.request()
    await peer.send(answer(b"{}"))
    await peer.request()
    peer.server._server.close()


def of_seldon(server: Server) -> RouteTable:
    """The canary takes half; what it does is evidence."""
    split = deployment("s", {"v1": [server], "v2": [server]}, runtime="seldon", weight=50, salt="s")
    return RouteTable(revision=1, deployments=(split,))


def counting(monkeypatch: pytest.MonkeyPatch, *, idle: float, race: float) -> None:
    monkeypatch.setattr(failure, "CLOSED_SECONDS", idle)
    monkeypatch.setattr(failure, "RESET_SECONDS", idle)
    monkeypatch.setattr(failure, "RACE_SECONDS", race)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection that is used again has been idle, and whatever ends does so at once."""
    counting(monkeypatch, idle=1e-9, race=60.0)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection that is used again has been idle, and whatever ends does so long after the request."""
    counting(monkeypatch, idle=1e-9, race=0.0)


@pytest.fixture
def in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection has been idle."""
    counting(monkeypatch, idle=math.inf, race=60.0)


@pytest.mark.usefixtures("idle")
def test_a_request_goes_again_over_a_new_connection(servers: Servers, start_gateway: Start) -> None:
    server = servers(twice)
    gateway = start_gateway(of_seldon(server))
    client = gateway.client()
    assert [client.post(FEEDBACK).status for _ in range(20)] == [200] * 20, "feedback too, which is never repeated"
    assert len(server.requests) == 20
    assert sum(row[0] for row in gateway.evidence().values()) == 20
    assert sum(row[1] for row in gateway.evidence().values()) == 0
    assert gateway.retries("v1", "s") == gateway.retries("v2", "s") == {}
    assert not gateway.ejected()


@pytest.mark.usefixtures("in_use")
def test_one_that_was_in_use_may_have_ended_over_the_request(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(twice)]))
    client = gateway.client()
    assert [client.post(FEEDBACK).status for _ in range(2)] == [200, 503]


def test_one_that_is_reset_soon_after_its_last_answer_may_have_ended_over_the_request(
    servers: Servers, start_gateway: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reset_at_the_second(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"{}"))
        await peer.request()
        peer.reset()

    counting(monkeypatch, idle=1e-9, race=60.0)
    monkeypatch.setattr(failure, "RESET_SECONDS", math.inf)
    server = servers(reset_at_the_second)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    assert [client.post(FEEDBACK).status for _ in range(2)] == [200, 503]
    assert len(server.requests) == 2


@pytest.mark.usefixtures("late")
def test_one_that_ends_long_after_the_request_was_at_work_on_it(servers: Servers, start_gateway: Start) -> None:
    async def killed_at_the_second(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"{}"))
        await peer.request()

    server = servers(killed_at_the_second)
    gateway = start_gateway(of_seldon(server), random=lambda: 0.9)
    client = gateway.client()
    assert [client.post(FEEDBACK).status for _ in range(2)] == [200, 503]
    assert len(server.requests) == 2, "feedback has reached one server, and reaches no second"
    assert sum(row[1] for row in gateway.evidence().values()) == 1


@pytest.mark.usefixtures("late")
def test_a_call_that_ends_long_after_its_start_was_worked_on(grpc_servers: GrpcServers, start_gateway: Start) -> None:
    server = grpc_servers(answering())
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    assert client.call(SELDON_FEEDBACK, b"", TO_S).code == Code.OK
    server.script = dying
    assert client.call(SELDON_FEEDBACK, b"", TO_S).code == Code.UNAVAILABLE
    assert len(server.calls) == 2


@pytest.mark.usefixtures("idle")
def test_what_finds_no_room_to_go_again_may_have_been_seen(grpc_servers: GrpcServers, start_gateway: Start) -> None:
    """As a request that nothing was sent of it would be tried once more."""
    server = grpc_servers(answering())
    gateway = start_gateway(table(v1=[server]), max_endpoint_waiting=1)
    client = gateway.grpc_client()
    assert client.call(SELDON_FEEDBACK, b"", TO_S).code == Code.OK

    def both(call: ServerCall) -> None:
        if len(server.calls) == 3:
            server.script = answering()
            call.peer.die()

    server.script = both
    streams = [client.start(SELDON_FEEDBACK, b"", TO_S) for _ in range(2)]
    assert [client.answer(stream).code for stream in streams] == [Code.OK, Code.UNAVAILABLE]
    assert len(server.calls) == 4


@pytest.mark.usefixtures("idle")
def test_a_server_that_is_gone_then_has_died(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(of_seldon(servers(dies_at_the_second)), random=lambda: 0.9)
    client = gateway.client()
    assert client.post(FEEDBACK).status == 200
    got = client.post(FEEDBACK)
    assert (got.status, got.error) == (503, "default/s version v1: the connection ended before the answer did")
    assert sum(row[1] for row in gateway.evidence().values()) == 1


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("begun", [answer(b"{}")[:10], b"HTTP/1.1 102 Processing\r\n\r\n"])
def test_an_answer_that_has_begun_is_no_race(servers: Servers, start_gateway: Start, begun: bytes) -> None:
    async def halves(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"{}"))
        await peer.request()
        await peer.send(begun)

    gateway = start_gateway(table(v1=[servers(halves)]))
    client = gateway.client()
    assert [client.post(FEEDBACK).status for _ in range(2)] == [200, 503]


def test_a_connection_that_a_server_may_be_closing_is_not_used(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"{}")))
    gateway = start_gateway(table(v1=[server]), upstream_idle_timeout=0.0)
    client = gateway.client()
    assert [client.post(FEEDBACK).status for _ in range(3)] == [200] * 3
    assert server.connections == 3


@pytest.mark.usefixtures("idle")
def test_a_call_goes_again_over_a_new_connection(grpc_servers: GrpcServers, start_gateway: Start) -> None:
    server = grpc_servers(answering(b"well"))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    assert client.call(PREDICT, predict()).message == b"well"
    before = server.connections

    def once(call: object) -> None:
        server.script = answering(b"anew")
        dying(call)  # type: ignore[arg-type]

    server.script = once
    assert client.call(PREDICT, predict()).message == b"anew"
    assert server.connections == before + 1
    assert gateway.retries("v1") == {}
    server.script = dying  # over and over: then it is no race
    assert client.call(PREDICT, predict()).code == Code.UNAVAILABLE


def test_gateways_close_idle_connections_before_servers_do(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"{}")))
    gateway = start_gateway(table(v1=[server]))
    assert gateway.client().post(FEEDBACK).status == 200
    gateway.sweep(monotonic() + 1)
    assert server.open
    gateway.sweep(monotonic() + 1.9)  # gunicorn's 2 s
    eventually(lambda: server.open, lambda open: not open)
