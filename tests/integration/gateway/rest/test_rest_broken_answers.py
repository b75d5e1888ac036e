"""What a REST client sees when connections to model servers end early, and of answers that are none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.stats import totals
from tests.fakes.gateway import FEEDBACK, PREDICT, SELDON, Gateway, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import ConnectionEnded, request
from tests.fakes.rest_servers import Peer, Script, Server, always, answer, once, resetting, then

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

OK = always(answer(b"{}"))


def cut_after(data: bytes, reset: bool = False) -> Script:
    """Every connection's first request gets `data`, and then the connection ends."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(data)
        if reset:
            peer.reset()

    return script


# Connections that end.


def test_a_reused_connection_that_was_reset_is_retried(servers: Servers, start_gateway: Start) -> None:
    async def first(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"1"))
        await peer.request()
        peer.reset()

    server = servers(then(first, OK))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    assert (client.post(PREDICT).status, client.post(PREDICT).status) == (200, 200)
    assert gateway.outcomes("v1") == {"success": 2}
    assert gateway.retries("v1") == {"reset": 1}
    assert len(server.requests) == 3


def test_feedback_that_a_server_may_have_seen_is_never_sent_again(servers: Servers, start_gateway: Start) -> None:
    stable, canary = servers(OK), servers(resetting)
    gateway = start_gateway(table(v1=[stable], v2=[canary], weight=100))
    got = gateway.client().post(FEEDBACK)
    assert (got.status, got.version) == (503, "v2")
    assert got.error == "default/s version v2: the connection ended before the answer did"
    assert (len(canary.requests), len(stable.requests)) == (1, 0)
    assert gateway.outcomes("v2", "s") == {"unavailable": 1}
    assert gateway.retries("v2", "s") == {}


def test_a_connection_that_the_server_has_closed_is_not_used(servers: Servers, start_gateway: Start) -> None:
    server = servers(once(answer(b"{}")))  # which does not say that it will close
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    for number in range(5):
        assert client.post(FEEDBACK).status == 200
        eventually(lambda: sum(gateway.endpoints(totals.ENDPOINT_CONNECTIONS).values()), lambda left: left == 0)
        assert len(server.requests) == number + 1


def test_a_server_that_never_answers_whole_is_given_up(servers: Servers, start_gateway: Start) -> None:
    server = servers(resetting)
    gateway = start_gateway(table(v1=[server]))
    got = gateway.client().post(PREDICT)
    assert (got.status, got.error) == (503, "default/m version v1: the connection ended before the answer did")
    assert len(server.requests) == 2
    assert gateway.retries("v1") == {"reset": 1}


@pytest.mark.parametrize(
    ("half", "reset"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", True),
        (b"HTTP/1.1 200 OK\r\n\r\nhalf", True),  # without the reset, it would be whole
    ],
)
def test_half_an_answer_is_never_passed_off_as_a_whole_one(
    servers: Servers, start_gateway: Start, half: bytes, reset: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(half)
        await peer.server.gate.wait()
        if reset:
            peer.reset()

    server = servers(script)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client().send(request("POST", PREDICT, b"{}"))
    status, fields = client.head()
    assert status == 200
    server.open_gate()
    with pytest.raises(ConnectionEnded):
        client.body(fields)
    assert gateway.outcomes("v1") == {"server_error": 1}
    assert len(server.requests) == 1


# Answers that are none.


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"\x00" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nGARBAGE",
    ],
)
def test_garbage_is_an_error_in_the_callers_protocol(servers: Servers, start_gateway: Start, garbage: bytes) -> None:
    gateway = start_gateway(table(v1=[servers(always(garbage))]))
    client = gateway.client()
    for target in (PREDICT, SELDON):
        got = client.post(target)
        assert (got.status, got.version) == (503, "v1")
        assert got.error.endswith("version v1: what it sent is not the protocol")
    assert gateway.outcomes("v1") == {"unavailable": 1}


def test_nothing_of_a_damaged_answer_gets_into_the_next_ones(servers: Servers, start_gateway: Start) -> None:
    damaged = b"HTTP/1.1 200 OK\r\nX-Damaged: yes\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nGARBAGE"

    async def slow(peer: Peer) -> None:
        while await peer.request() is not None:
            whole = answer(b"whole")
            await peer.send(whole[:9])
            await peer.server.gate.wait()
            await peer.send(whole[9:])

    server = servers(then(cut_after(damaged), slow))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: len(server.requests) == 2)
    server.open_gate()
    got = client.answer()
    assert (got.status, got.body, "x-damaged" in got.fields) == (200, b"whole", False)
    assert gateway.retries("v1") == {"reset": 1}


@pytest.mark.parametrize("more", [answer(b"second"), b"GARBAGE\r\n\r\n"])
def test_an_answer_too_many_is_never_another_requests(servers: Servers, start_gateway: Start, more: bytes) -> None:
    server = servers(always(answer(b"first") + more))
    client = start_gateway(table(v1=[server])).client()
    assert [client.post(PREDICT).body for _ in range(3)] == [b"first"] * 3
    assert server.connections == 3


def test_an_answer_that_nobody_asked_for(servers: Servers, start_gateway: Start) -> None:
    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(answer(b"asked"))
            await peer.server.gate.wait()
            peer.server.gate.clear()
            await peer.send(answer(b"unasked"))

    server = servers(script)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    for _ in range(3):
        assert client.post(PREDICT).body == b"asked"
        server.open_gate()
        eventually(lambda: sum(gateway.endpoints(totals.ENDPOINT_CONNECTIONS).values()), lambda left: left == 0)


def test_an_answer_before_the_request_was_taken_does_not_hold_up_the_next(
    servers: Servers, start_gateway: Start
) -> None:
    async def early(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(b"early", "413 Too Large"))
        await peer.server.gate.wait()  # and reads no further

    server = servers(then(early, OK))
    client = start_gateway(table(v1=[server])).client()
    assert client.post(SELDON, b"x" * (20 << 20)).body == b"early"  # whose bodies are held until they are whole
    assert client.post(SELDON).body == b"{}"
    server.open_gate()
