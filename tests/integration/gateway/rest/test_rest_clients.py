"""Clients that are slow, vanish, or stay; and what a gateway that is told to end does with them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from gateway.stats import counters
from tests.fakes.gateway import PREDICT, Gateway, at_rest, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import Client, request
from tests.fakes.rest_servers import Peer, Script, Server, always, answer, once, silent

Servers = Callable[..., Server]
Start = Callable[..., Gateway]
MIB = 1 << 20


def opened(gateway: Gateway) -> int:
    return gateway.snapshot().worker[counters.OPEN_CONNECTIONS]


def flood(size: int) -> Script:
    """Each request gets `size` bytes (whole MiB); `taken` of the server tells how many the gateway let it send."""

    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(0, size, 65536):
                await peer.send(b"x" * 65536)
                peer.server.taken += 65536

    return script


def test_a_client_that_reads_slowly_slows_the_server(servers: Servers, start_gateway: Start) -> None:
    server = servers(flood(64 * MIB))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client(receive_buffer=65536).send(request("POST", PREDICT, b"{}"))
    taken = at_rest(lambda: server.taken)
    assert 0 < taken < 16 * MIB  # the buffers of the kernel on both sides; none of it piles up here
    assert len(client.answer().body) == 64 * MIB
    assert client.post(PREDICT).status == 200
    assert gateway.outcomes("v1") == {"success": 2}


def test_pipelined_answers_wait_for_a_client_that_does_not_read(servers: Servers, start_gateway: Start) -> None:
    server = servers(flood(8 * MIB))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client(receive_buffer=65536).send(request("POST", PREDICT, b"{}") * 20)
    taken = at_rest(lambda: server.taken)
    assert taken < 32 * MIB
    assert [len(client.answer().body) for _ in range(20)] == [8 * MIB] * 20


def test_a_client_that_does_not_read_holds_up_no_other(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"x" * 100_000)))
    gateway = start_gateway(table(v1=[server]))
    gateway.client(receive_buffer=65536).send(request("POST", PREDICT, b"{}") * 200)
    done = at_rest(lambda: len(server.requests))
    assert done < 200
    other = gateway.client()
    for _ in range(3):
        assert other.post(PREDICT, b"{}", "x-turnout-timeout-ms: 5000").status == 200
    assert server.connections == 1


def test_a_client_that_stops_reading_is_given_up(servers: Servers, start_gateway: Start) -> None:
    server = servers(flood(64 * MIB))
    gateway = start_gateway(table(v1=[server]))
    gateway.client(receive_buffer=65536).send(request("POST", PREDICT, b"{}", "Connection: close"))
    at_rest(lambda: server.taken)
    gateway.sweep(time.monotonic() + 50)
    assert opened(gateway) == 1
    gateway.sweep(time.monotonic() + 61)
    eventually(lambda: opened(gateway), lambda left: left == 0)
    assert gateway.outcomes("v1") == {"cancelled": 1}
    assert not gateway.ejected()


def test_slow_clients_are_no_fault_of_the_server(servers: Servers, start_gateway: Start) -> None:
    server = servers(flood(64 * MIB))
    gateway = start_gateway(table(v1=[server]))
    for _ in range(6):
        client = gateway.client(receive_buffer=65536)
        client.send(request("POST", PREDICT, b"{}", "x-turnout-timeout-ms: 100"))
    eventually(lambda: gateway.outcomes("v1") == {"deadline": 6})
    assert not gateway.ejected()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_vanishes_takes_its_request_along(servers: Servers, start_gateway: Start, how: str) -> None:
    server = servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client().send(request("POST", PREDICT, b"{}") * 3)
    eventually(lambda: server.requests)
    getattr(client, how)()
    eventually(lambda: server.open, lambda open: not open)
    gateway.rests()
    assert gateway.outcomes("v1") == {"cancelled": 1}
    assert len(server.requests) == 1  # what it had pipelined was not begun


def test_a_client_that_vanishes_after_much_pipelining_is_noticed_by_the_deadline(
    servers: Servers, start_gateway: Start
) -> None:
    server = servers(silent)
    gateway = start_gateway(table(v1=[server]), timeout=0.2)
    client = gateway.client().send(request("POST", PREDICT, b"x" * 1000) * 50)
    eventually(lambda: server.requests)
    client.reset()
    eventually(lambda: opened(gateway), lambda left: left == 0)
    gateway.rests()
    assert 1 <= len(server.requests) < 50


def test_a_client_that_ends_its_side_is_taken_to_be_gone(servers: Servers, start_gateway: Start) -> None:
    server = servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client().send(request("POST", PREDICT, b"{}"))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b""
    gateway.rests()


def test_a_client_that_vanishes_while_it_is_answered(servers: Servers, start_gateway: Start) -> None:
    server = servers(flood(64 * MIB))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client(receive_buffer=65536).send(request("POST", PREDICT, b"{}"))
    client.head()
    client.reset()
    eventually(lambda: server.open, lambda open: not open)
    gateway.rests()
    assert gateway.outcomes("v1") == {"cancelled": 1}


def test_pipelined_requests_that_were_not_begun_leave_nothing(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"{}")))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    client.send(request("POST", PREDICT, b"1", "Connection: close") + request("POST", PREDICT, b"2" * 10_000) * 5)
    assert client.answer().status == 200
    assert client.rest() == b""
    gateway.rests()
    assert server.bodies == [b"1"]


def test_a_client_that_closes_after_the_last_answer_is_heard(servers: Servers, start_gateway: Start) -> None:
    server = servers(once(b"HTTP/1.1 200 OK\r\n\r\nto the end"))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    # So many that reading stops, and the first answer is the last: to HTTP/1.0 only the end can tell where it ends.
    client.send(request("POST", PREDICT, b"{}", "Connection: keep-alive", version="1.0") * 100)
    _, fields = client.head()
    assert (fields["connection"], client.rest()) == ("close", b"to the end")
    client.close()
    eventually(lambda: opened(gateway), lambda left: left == 0)


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        (b"P", 11, 0),
        (b"POST /v1/mod", 11, 408),
        (request("POST", PREDICT, b"{}")[:-1], 61, 408),
    ],
)
def test_a_request_must_arrive_in_time(
    servers: Servers, start_gateway: Start, sent: bytes, seconds: float, status: int
) -> None:
    gateway = start_gateway(table(v1=[servers(silent)]))
    client = gateway.client().send(sent)
    eventually(lambda: opened(gateway) == 1)
    gateway.take_in()
    gateway.sweep(time.monotonic() + seconds - 2)
    assert opened(gateway) == 1
    gateway.sweep(time.monotonic() + seconds)
    if status:
        got = client.answer()
        assert (got.status, got.fields["connection"]) == (status, "close")
    assert client.rest() == b""


def test_a_connection_without_a_request_is_closed_at_last(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(always(answer(b"{}")))]))
    fresh, used = gateway.client(), gateway.client()
    used.post(PREDICT)
    eventually(lambda: opened(gateway), lambda number: number == 2)
    gateway.sweep(time.monotonic() + 299)
    assert opened(gateway) == 2
    gateway.sweep(time.monotonic() + 301)
    assert (fresh.rest(), used.rest()) == (b"", b"")


def test_connections_to_servers_are_closed_when_idle(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"{}")))
    gateway = start_gateway(table(v1=[server]), upstream_idle_timeout=30.0)
    client = gateway.client()
    client.post(PREDICT)
    gateway.sweep(time.monotonic() + 29)
    client.post(PREDICT)
    assert server.connections == 1
    gateway.sweep(time.monotonic() + 31)
    eventually(lambda: server.open, lambda open: not open)
    assert client.post(PREDICT).status == 200


def test_a_client_that_never_closes_is_left(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(silent)]))
    client = gateway.client().send(b"garbage\r\n\r\n")
    assert client.answer().status == 400
    assert opened(gateway) == 1  # it may be sending still
    gateway.sweep(time.monotonic() + 3)
    eventually(lambda: opened(gateway), lambda left: left == 0)


# Draining.


def test_what_is_in_flight_is_answered_and_told_to_go(servers: Servers, start_gateway: Start) -> None:
    async def held(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.server.gate.wait()
            await peer.send(answer(b"{}"))

    server = servers(held)
    gateway = start_gateway(table(v1=[server]))
    busy = gateway.client().send(request("POST", PREDICT, b"{}") * 2)
    half = gateway.client().send(request("POST", PREDICT, b"{}")[:-1])
    eventually(lambda: server.requests and opened(gateway) == 2)
    gateway.take_in()
    gateway.drain()
    server.open_gate()
    assert "connection" not in busy.answer().fields  # the second was sent before
    assert busy.answer().fields["connection"] == "close"
    assert half.send(b"}").answer().fields["connection"] == "close"
    assert (busy.rest(), half.rest()) == (b"", b"")
    busy.close()
    half.close()
    eventually(lambda: gateway.drained)


def test_idle_connections_get_a_last_chance(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(always(answer(b"{}")))]))
    clients: list[Client] = [gateway.client() for _ in range(4)]
    for client in clients[:2]:
        client.post(PREDICT)
    eventually(lambda: opened(gateway), lambda number: number == 4)
    gateway.drain()
    for client in clients[::2]:
        got = client.post(PREDICT)
        assert (got.status, got.fields["connection"], client.rest()) == (200, "close", b"")
        client.close()
    eventually(lambda: opened(gateway), lambda number: number == 2)
    gateway.sweep(time.monotonic() + 1.1)
    assert [client.rest() for client in clients[1::2]] == [b"", b""]
    eventually(lambda: gateway.drained)
