"""Bodies that go on as they come, since they are long."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from time import monotonic

import pytest

from gateway.call import LEAST_PACE, STREAMED_BYTES
from tests.fakes.gateway import PREDICT, SELDON, Gateway, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import Client, ConnectionEnded
from tests.fakes.rest_servers import Peer, Server, answer, echo, resetting, then

StartGateway = Callable[..., Gateway]
Servers = Callable[..., Server]

LONG = 8 * STREAMED_BYTES
BODY = bytes(range(256)) * (LONG // 256)
FIRST = 2 * STREAMED_BYTES


def begin(client: Client, path: str = PREDICT, size: int = LONG, *fields: str) -> None:
    lines = (f"POST {path} HTTP/1.1", "Host: t", f"Content-Length: {size}", *fields, "", "")
    client.send("\r\n".join(lines).encode())


async def counting(peer: Peer) -> None:
    """Counts what comes of a body, and answers with its digest."""
    while (head := await peer.head()) is not None:
        digest, left = hashlib.sha256(), int(head[1][b"content-length"])
        while left:
            data = await peer.reader.read(min(left, 1 << 16))
            if not data:
                return
            digest.update(data)
            left -= len(data)
            peer.server.taken += len(data)
        await peer.send(answer(digest.hexdigest().encode()))


async def refusing(peer: Peer) -> None:
    """Answers before the body is there, and reads no more of it."""
    await peer.head()
    await peer.send(answer(b"{}", "413 Payload Too Large"))
    await peer.server.gate.wait()


async def unreading(peer: Peer) -> None:
    """Takes nothing of the body until the gate is open."""
    await peer.head()
    peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await peer.server.gate.wait()
    peer.reader._transport.resume_reading()  # type: ignore[attr-defined]
    await peer.send(answer(hashlib.sha256(await peer.reader.readexactly(LONG)).hexdigest().encode()))


def test_it_goes_on_before_it_is_whole(start_gateway: StartGateway, servers: Servers) -> None:
    server = servers(counting)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    begin(client)
    client.send(BODY[:FIRST])
    eventually(lambda: server.taken, lambda taken: taken == FIRST)
    assert gateway.forwarder.budget.held < FIRST  # one MiB, which bounds how many go on so
    client.send(BODY[FIRST:])
    assert client.answer().body.decode() == hashlib.sha256(BODY).hexdigest()
    assert client.post(PREDICT, b"short").body.decode() == hashlib.sha256(b"short").hexdigest()  # the next
    assert gateway.outcomes("v1") == {"success": 2}


def test_one_that_is_announced_by_chunks_is_gathered(start_gateway: StartGateway, servers: Servers) -> None:
    server = servers(echo)
    client = start_gateway(table(v1=[server])).client()
    client.send(b"POST %b HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" % PREDICT.encode())
    client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (FIRST, BODY[:FIRST]))
    assert client.answer().body == BODY[:FIRST]


def test_a_server_that_takes_nothing_stops_the_client(start_gateway: StartGateway, servers: Servers) -> None:
    server = servers(unreading)
    gateway = start_gateway(table(v1=[server]), timeout=4.0)  # nobody notices that the client goes before
    client = gateway.client()
    client.socket.settimeout(1)
    size = 64 * STREAMED_BYTES
    begin(client, size=size)
    with pytest.raises(TimeoutError):
        client.send(bytes(size))
    assert gateway.forwarder.budget.held <= FIRST


def test_what_was_held_back_goes_on(start_gateway: StartGateway, servers: Servers) -> None:
    server = servers(unreading)
    client = start_gateway(table(v1=[server])).client()
    begin(client)
    client.send(BODY[:FIRST])
    server.open_gate()
    client.send(BODY[FIRST:])
    assert client.answer().body.decode() == hashlib.sha256(BODY).hexdigest()


def test_an_answer_before_its_end_is_the_last(start_gateway: StartGateway, servers: Servers) -> None:
    server = servers(refusing)
    client = start_gateway(table(v1=[server])).client()
    begin(client)
    client.send(BODY[:FIRST])
    answered = client.answer()
    assert (answered.status, answered.fields["connection"]) == (413, "close")
    client.send(BODY[FIRST:])  # is dropped
    assert client.rest() == b""
    server.open_gate()


def test_a_refusal_before_its_end_is_the_last(start_gateway: StartGateway, servers: Servers) -> None:
    gateway = start_gateway(table(v1=[servers(echo)]))
    client = gateway.client()
    begin(client, "/v1/models/nobody:predict")
    client.send(BODY)
    answered = client.answer()
    assert (answered.status, answered.fields["connection"]) == (404, "close")
    assert client.rest() == b""


def test_a_client_who_goes_before_its_end(start_gateway: StartGateway, servers: Servers) -> None:
    server = servers(counting)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    begin(client)
    client.send(BODY[:FIRST])
    eventually(lambda: server.taken, lambda taken: taken == FIRST)
    client.socket.close()
    client._file.close()
    eventually(lambda: gateway.outcomes("v1"), lambda ended: ended == {"cancelled": 1})
    eventually(lambda: not server.open)


def test_a_client_who_is_long_in_sending_is_not_the_servers_fault(
    start_gateway: StartGateway, servers: Servers
) -> None:
    server = servers(counting)
    gateway = start_gateway(table(v1=[server]), timeout=0.5)
    client = gateway.client()
    begin(client)
    client.send(BODY[:FIRST])
    answered = client.answer()
    assert (answered.status, answered.error) == (408, "the request did not arrive in time")
    assert gateway.outcomes("v1") == {"client_error": 1}


def test_it_comes_at_a_pace(start_gateway: StartGateway, servers: Servers) -> None:
    """Else a byte now and then would keep a connection to a server for ever."""
    server = servers(counting)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    begin(client)
    client.send(BODY[:FIRST])
    eventually(lambda: server.taken, lambda taken: taken == FIRST)
    now = monotonic() + gateway.forwarder.settings.timeout
    gateway.sweep(now + STREAMED_BYTES / LEAST_PACE / 2)
    client.send(BODY[FIRST : FIRST + 1])
    eventually(lambda: server.taken, lambda taken: taken == FIRST + 1)
    gateway.sweep(now + STREAMED_BYTES / LEAST_PACE * 2)
    answered = client.answer()
    assert (answered.status, answered.error) == (408, "the request did not arrive in time")
    assert gateway.outcomes("v1") == {"client_error": 1}


def test_a_server_that_could_not_be_reached_costs_it_nothing(start_gateway: StartGateway, servers: Servers) -> None:
    dead, alive = servers(echo), servers(counting)
    dead.close()
    gateway = start_gateway(table(v1=[dead, alive]))
    for _ in range(8):
        client = gateway.client()
        begin(client)
        client.send(BODY)
        assert client.answer().body.decode() == hashlib.sha256(BODY).hexdigest()


def test_a_server_that_dies_over_it_gets_it_no_second_time(start_gateway: StartGateway, servers: Servers) -> None:
    server = servers(then(_dying, counting))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    begin(client)
    client.send(BODY[:FIRST])
    assert client.answer().status == 503
    assert server.connections == 1


async def _dying(peer: Peer) -> None:
    await peer.head()
    await peer.reader.readexactly(STREAMED_BYTES)
    peer.reset()


def test_one_that_follows_another_request_waits_for_its_turn(start_gateway: StartGateway, servers: Servers) -> None:
    server = servers(counting)
    client = start_gateway(table(v1=[server])).client()
    begin(client, PREDICT, 5)
    client.send(b"first")
    begin(client)
    client.send(BODY)
    assert [client.answer().body.decode() for _ in range(2)] == [
        hashlib.sha256(body).hexdigest() for body in (b"first", BODY)
    ]


def test_expectations_are_met_before_it_comes(start_gateway: StartGateway, servers: Servers) -> None:
    client = start_gateway(table(v1=[servers(counting)])).client()
    begin(client, PREDICT, LONG, "Expect: 100-continue")
    assert client.head() == (100, {})
    client.send(BODY)
    assert client.answer().body.decode() == hashlib.sha256(BODY).hexdigest()


def test_who_is_slow_in_sending_keeps_no_server_from_others(start_gateway: StartGateway, servers: Servers) -> None:
    """Seldon's has one thread."""
    server = servers(counting)
    client = start_gateway(table(v1=[server])).client()
    begin(client, SELDON)
    client.send(BODY[:FIRST])
    other = start_gateway(table(v1=[server])).client()
    assert other.post(SELDON).status == 200
    assert server.taken == 2  # of the other's
    client.send(BODY[FIRST:])
    assert client.answer().body.decode() == hashlib.sha256(BODY).hexdigest()


def test_what_resets_every_connection_is_told_so(start_gateway: StartGateway, servers: Servers) -> None:
    client = start_gateway(table(v1=[servers(resetting)])).client()
    begin(client, size=FIRST)
    client.send(BODY[:FIRST])
    try:
        assert client.answer().status == 503
    except ConnectionEnded as ended:
        raise AssertionError from ended
