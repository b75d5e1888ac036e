"""What a REST client sees when model servers fail, and what is counted: retries, fallback, ejection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.contract.route_table import Endpoint, RouteTable
from gateway.stats import totals
from gateway.upstream import connecting, rest_pool
from gateway.upstream.policy.retry_budget import RetryBudget
from tests.fakes.gateway import FEEDBACK, PREDICT, SELDON, Gateway, deployment, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import request
from tests.fakes.rest_servers import (
    Peer,
    Server,
    Unaccepting,
    always,
    answer,
    dead,
    resetting,
    silent,
    then,
)

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

OK = always(answer(b"{}"))
BUSY = always(answer(b'{"error": "busy"}', "503 Service Unavailable"))


def draws(*numbers: float) -> Callable[[], float]:
    """These, then 0 for ever. Two endpoints: draws (split, 0, 0) choose the first, (split, 0.9, 0) the second, where
    neither has more in flight."""
    remaining: Iterator[float] = iter(numbers)
    return lambda: next(remaining, 0.0)


# No connection.


def test_a_server_that_is_not_there_is_said_so(start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[dead()]))
    client = gateway.client()
    for target in (PREDICT, SELDON, FEEDBACK):
        got = client.post(target)
        assert (got.status, got.version, got.fields["retry-after"]) == (503, "v1", "1")
        assert got.error.endswith(" version v1: no connection could be made")
    assert gateway.outcomes("v1") == {"unavailable": 1}
    assert gateway.retries("v1") == {"connect": 2}


def test_a_version_without_servers_is_said_so(start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[]))
    got = gateway.client().post(PREDICT)
    assert (got.status, got.error) == (503, "default/m version v1: no server of it is ready")
    assert gateway.outcomes("v1") == {"unavailable": 1}


def test_a_host_that_is_no_name_is_as_one_that_is_not_there(start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[Endpoint(host="a" * 64, rest=1, grpc=1)]))
    assert gateway.client().post(PREDICT).status == 503


def test_a_connection_that_comes_in_the_moment_its_time_is_over(
    servers: Servers, start_gateway: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(make: Callable[[], asyncio.Protocol], host: str, port: int, seconds: float) -> None:
        transport, _ = await asyncio.get_running_loop().create_connection(make, host, port)
        monkeypatch.undo()
        transport.close()  # as asyncio does where its caller is cancelled then
        raise TimeoutError

    monkeypatch.setattr(rest_pool, "connect", late)
    gateway = start_gateway(table(v1=[servers(OK)]))
    assert gateway.client().post(PREDICT).status == 200
    assert gateway.retries("v1") == {"reset": 1}


def test_a_connection_is_kept_whose_caller_was_given_another(
    servers: Servers, start_gateway: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def held(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.server.gate.wait()
            await peer.send(answer(b"{}"))

    async def slowly(make: Callable[[], asyncio.Protocol], host: str, port: int, seconds: float) -> None:
        await connected.wait()
        await connecting.connect(make, host, port, seconds)

    connected = asyncio.Event()
    server = servers(held)
    gateway = start_gateway(table(v1=[server]))
    first = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: server.requests)
    monkeypatch.setattr(rest_pool, "connect", slowly)
    second = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: gateway.held()["attempts"] == 2)
    server.open_gate()
    assert [first.answer().status, second.answer().status] == [200, 200]
    gateway.call(connected.set)
    eventually(lambda: server.connections == 2)
    gateway.take_in()
    assert gateway.endpoints(totals.ENDPOINT_CONNECTIONS) == {f"127.0.0.1:{server.port}": 2}


@pytest.mark.parametrize("target", [PREDICT, FEEDBACK])
def test_a_refused_connection_is_retried_elsewhere(servers: Servers, start_gateway: Start, target: str) -> None:
    gateway = start_gateway(table(v1=[dead(), servers(OK)]), random=draws())
    client = gateway.client()
    assert [client.post(target).status for _ in range(20)] == [200] * 20
    name = "m" if target == PREDICT else "s"
    assert gateway.outcomes("v1", name) == {"success": 20}
    assert gateway.retries("v1", name) == {"connect": 1}  # the first found out, the others knew


def test_a_dead_endpoint_is_left_out_and_comes_back(servers: Servers, start_gateway: Start) -> None:
    gone = dead()
    routes = table(v1=[gone, servers(OK)])
    gateway = start_gateway(routes, random=draws())
    client = gateway.client()
    address = f"127.0.0.1:{gone.rest}"
    assert client.post(PREDICT).status == 200
    up = gateway.endpoints(totals.ENDPOINT_UP)
    assert (up[address], sum(up.values())) == (0, 1)
    assert gateway.endpoints(totals.ENDPOINT_EJECTIONS)[address] == 1
    back = servers(OK, gone.rest)

    def served() -> int:
        assert client.post(PREDICT).status == 200
        return len(back.requests)

    eventually(served)
    assert gateway.endpoints(totals.ENDPOINT_UP)[address] == 1


def test_five_failures_in_a_row_eject_and_the_last_endpoint_is_asked_still(
    servers: Servers, start_gateway: Start
) -> None:
    server = servers(then(*[resetting] * 6, OK))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    assert [client.post(PREDICT).status for _ in range(4)] == [503, 503, 503, 200]
    assert gateway.endpoints(totals.ENDPOINT_EJECTIONS) == {f"127.0.0.1:{server.port}": 1}
    assert gateway.endpoints(totals.ENDPOINT_UP) == {f"127.0.0.1:{server.port}": 1}


def budget(gateway: Gateway, name: str, version: str = "v1") -> RetryBudget:
    def found() -> RetryBudget:
        routes = gateway.forwarder.table
        assert routes is not None
        deployment = routes.by_key["default", name]
        return gateway.forwarder.upstreams.of(deployment, deployment.by_name[version]).budget

    return gateway.call(found)


def test_retries_of_one_deployment_are_at_nobody_elses_expense(start_gateway: Start) -> None:
    gateway = start_gateway(table(1, v1=[dead()], v2=[dead()]))
    before = budget(gateway, "m")
    assert budget(gateway, "m", "v2") is before
    assert budget(gateway, "s") is not before
    gateway.swap(table(2, v1=[dead()]))
    assert budget(gateway, "m") is before


def test_retries_have_a_budget(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(resetting)]))
    retries = budget(gateway, "m")
    gateway.call(lambda: [retries.take(time.monotonic()) for _ in range(100)])
    before = gateway.retries("v1")
    started = time.monotonic()
    client = gateway.client()
    for _ in range(60):
        assert client.post(PREDICT).status == 503
    most = 10 * (time.monotonic() - started) + 0.2 * 60 + 1
    assert before == {}
    assert gateway.retries("v1")["reset"] <= most < 120


def test_an_endpoint_that_is_full_is_not_unhealthy(servers: Servers, start_gateway: Start) -> None:
    server = servers(then(silent, OK))
    gateway = start_gateway(table(v1=[server]), max_endpoint_connections=1)
    waiting = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: server.requests)
    client = gateway.client()
    for _ in range(5):
        got = client.post(PREDICT)
        assert (got.status, got.error) == (
            503,
            "default/m version v1: it has as many requests as one gateway may have there",
        )
    assert gateway.endpoints(totals.ENDPOINT_EJECTIONS) == {f"127.0.0.1:{server.port}": 0}
    waiting.close()
    eventually(lambda: client.post(PREDICT).status, lambda status: status == 200)


# Busy servers.


def test_a_busy_server_leaves_it_to_another(servers: Servers, start_gateway: Start) -> None:
    busy, free = servers(BUSY), servers(OK)
    gateway = start_gateway(table(v1=[busy, free]), random=draws())
    client = gateway.client()
    assert [client.post(PREDICT).status for _ in range(10)] == [200] * 10
    assert gateway.outcomes("v1") == {"success": 10}
    assert gateway.retries("v1") == {"unavailable": len(busy.requests)}
    assert len(free.requests) == 10


def test_a_busy_servers_garbage_is_not_told_to_the_next_attempt(servers: Servers, start_gateway: Start) -> None:
    busy = servers(always(b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nGARBAGE"))
    gateway = start_gateway(table(v1=[busy, servers(OK)]), random=draws())
    assert gateway.client().post(PREDICT).body == b"{}"
    assert len(busy.requests) == 1
    assert gateway.retries("v1") == {"unavailable": 1}


def test_where_all_are_busy_the_servers_own_answer_comes_back(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(BUSY), servers(BUSY)]))
    client = gateway.client()
    got = client.post(PREDICT)
    assert (got.status, got.body, got.version) == (503, b'{"error": "busy"}', "v1")
    assert gateway.outcomes("v1") == {"server_error": 1}
    assert gateway.retries("v1") == {"unavailable": 1}
    assert client.post(FEEDBACK).status == 503
    assert gateway.retries("v1", "s") == {}


# A canary that fails.


@pytest.mark.parametrize("kind", ["dead", "none", "resetting", "busy", "garbage"])
def test_stable_answers_for_a_canary_that_can_not(servers: Servers, start_gateway: Start, kind: str) -> None:
    canaries: dict[str, Callable[[], list[Server | Endpoint]]] = {
        "dead": lambda: [dead()],
        "none": lambda: [],
        "resetting": lambda: [servers(resetting)],
        "busy": lambda: [servers(BUSY)],
        "garbage": lambda: [servers(always(b"garbage"))],
    }
    canary = canaries[kind]()
    gateway = start_gateway(table(v1=[servers(OK), servers(OK)], v2=canary, weight=100))
    client = gateway.client()
    for _ in range(3):
        got = client.post(PREDICT)
        assert (got.status, got.version) == (200, "v1")
    assert gateway.outcomes("v2", assignment="split") == {"unavailable": 3}
    assert gateway.outcomes("v1", assignment="fallback") == {"success": 3}
    assert gateway.outcomes("v1", assignment="split") == {}


@pytest.mark.parametrize("canaries", [1, 3])
def test_a_request_that_kills_servers_kills_two_at_most_and_not_stables_last(
    servers: Servers, start_gateway: Start, canaries: int
) -> None:
    """It may be the request: a model that runs out of memory on it, or crashes in native code."""
    stable, canary = servers(resetting), [servers(resetting) for _ in range(canaries)]
    gateway = start_gateway(table(v1=[stable], v2=canary, weight=100))
    got = gateway.client().post(PREDICT)
    assert (got.status, got.version) == (503, "v2")
    assert got.error.endswith("the connection ended before the answer did")
    assert (sum(server.connections for server in canary), stable.connections) == (2, 0)


def test_it_kills_no_third_where_stable_has_several(servers: Servers, start_gateway: Start) -> None:
    canary, *stable = (servers(resetting) for _ in range(4))
    assert start_gateway(table(v1=stable, v2=[canary], weight=100)).client().post(PREDICT).status == 503
    assert sum(server.connections for server in (canary, *stable)) == 2


@pytest.mark.parametrize("kind", ["dead", "none", "busy"])
def test_stables_last_answers_for_a_canary_that_nothing_has_killed(
    servers: Servers, start_gateway: Start, kind: str
) -> None:
    canaries: dict[str, list[Server | Endpoint]] = {"dead": [dead()], "none": [], "busy": [servers(BUSY)]}
    canary = canaries[kind]
    got = start_gateway(table(v1=[servers(OK)], v2=canary, weight=100)).client().post(PREDICT)
    assert (got.status, got.version) == (200, "v1")


def test_of_two_of_stables_one_that_is_left_out_is_not_ready(servers: Servers, start_gateway: Start) -> None:
    """What is left is stable's last that is ready."""
    answering = servers(OK)
    gateway = start_gateway(table(v1=[dead(), answering], v2=[servers(resetting)], weight=100), random=draws())
    client = gateway.client()
    assert client.post("/v1/models/m/labels/stable:predict").status == 200  # now it is known
    assert (client.post(PREDICT).status, len(answering.requests)) == (503, 1)


def test_a_pinned_canary_is_not_replaced(servers: Servers, start_gateway: Start) -> None:
    stable = servers(OK)
    gateway = start_gateway(table(v1=[stable], v2=[dead()], weight=100))
    got = gateway.client().post(PREDICT, b"{}", "x-turnout-version: v2")
    assert (got.status, got.version, stable.requests) == (503, "v2", [])
    assert gateway.outcomes("v2", assignment="pin") == {"unavailable": 1}


def test_a_canarys_own_errors_are_its_answers(servers: Servers, start_gateway: Start) -> None:
    broken = servers(always(answer(b"{}", "500 Internal Server Error")))
    gateway = start_gateway(table(v1=[servers(OK)], v2=[broken], weight=100))
    got = gateway.client().post(PREDICT)
    assert (got.status, got.version) == (500, "v2")
    assert gateway.outcomes("v2") == {"server_error": 1}


# Tables that change.


def test_an_endpoint_that_left_finishes_what_it_has(servers: Servers, start_gateway: Start) -> None:
    async def held(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.server.gate.wait()
            await peer.send(answer(b"old"))

    old, new = servers(held), servers(always(answer(b"new")))
    gateway = start_gateway(table(1, v1=[old]))
    waiting = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: old.requests)
    gateway.swap(table(2, v1=[new]))
    assert gateway.client().post(PREDICT).body == b"new"
    old.open_gate()
    assert waiting.answer().body == b"old"
    eventually(lambda: old.open, lambda open: not open)


def test_a_retry_goes_by_the_table_in_force(servers: Servers, start_gateway: Start) -> None:
    async def dying(peer: Peer) -> None:
        await peer.request()
        await peer.server.gate.wait()
        peer.reset()

    old, new = servers(dying), servers(OK)
    gateway = start_gateway(table(1, v1=[old]))
    waiting = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: old.requests)
    gateway.swap(table(2, v1=[new]))
    old.open_gate()
    assert waiting.answer().status == 200
    assert len(new.requests) == 1


@pytest.mark.parametrize("versions", [["v1", "v2"], ["v1"]])
def test_stable_answers_for_a_canary_that_is_none_any_more(
    servers: Servers, start_gateway: Start, versions: list[str]
) -> None:
    canary, old, new, other = servers(silent), servers(OK), servers(OK), servers(OK)
    gateway = start_gateway(table(1, v1=[old], v2=[canary], weight=100))
    waiting = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: canary.requests)
    left: dict[str, list[Server | Endpoint]] = {"v1": [new, other], "v2": [dead()]}
    after = deployment("m", {name: left[name] for name in versions}, canary=None)
    gateway.swap(RouteTable(revision=2, deployments=(after,)))
    canary.close()
    got = waiting.answer()
    assert (got.status, got.version) == (200, "v1")
    assert (len(old.requests), len(new.requests) + len(other.requests)) == (0, 1)


def test_a_call_that_waits_for_a_connection_outlives_its_endpoint(start_gateway: Start) -> None:
    with Unaccepting() as server:
        gateway = start_gateway(table(1, v1=[server.endpoint]), connect_timeout=20)
        client = gateway.client().send(request("POST", PREDICT, b"{}"))
        eventually(lambda: gateway.held()["attempts"] == 1)
        gateway.swap(table(2, v1=[]))
        with server.accept() as connection:
            assert connection.recv(65536).startswith(b"POST ")
            connection.sendall(answer(b"{}"))
            assert client.answer().status == 200
            assert connection.recv(1) == b""  # it is not kept
