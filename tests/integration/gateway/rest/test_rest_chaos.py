"""Clients and servers that misbehave at random, all at once: no answer goes astray, and nothing is left behind."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from gateway.stats import totals
from tests.fakes.gateway import FEEDBACK, PREDICT, SELDON, Gateway, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import Answer, ConnectionEnded, request
from tests.fakes.rest_servers import Peer, Script, Server, answer

Servers = Callable[..., Server]
Start = Callable[..., Gateway]


def server_of(draw: random.Random) -> Script:
    """Mostly echoes; at times it is cut off, garbled, busy, late, chunked, closed or one answer ahead."""

    async def script(peer: Peer) -> None:
        while (came := await peer.request()) is not None:
            body, whole = came.body, answer(came.body)
            kind = draw.random()
            if kind < 0.6:
                await peer.send(whole)
            elif kind < 0.65:
                for byte in whole:
                    await peer.send(bytes((byte,)))
            elif kind < 0.7:
                await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body))
                await peer.send(body + b"\r\n0\r\n\r\n")
            elif kind < 0.74:
                await peer.send(answer(b"busy", "503 Service Unavailable"))
            elif kind < 0.78:
                await peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + body)
                return
            elif kind < 0.82:
                await peer.send(whole)
                return
            elif kind < 0.86:
                await peer.send(whole[: draw.randrange(len(whole))])
                return peer.reset()
            elif kind < 0.9:
                await peer.send(whole[: draw.randrange(len(whole) - len(body))] + b"\x00garbage\r\n")
            elif kind < 0.93:
                await peer.send(whole + answer(b"astray"))
            elif kind < 0.96:
                return peer.reset()
            else:
                await peer.reader.read(1)  # says nothing, until it is given up

    return script


def client(gateway: Gateway, draw: random.Random, number: int, problems: list[str]) -> None:
    """60 connections with some requests each; each has a body of its own, which its answer must repeat."""
    for connection in range(60):
        one = gateway.client()
        sent: list[bytes] = []
        try:
            for index in range(draw.randrange(1, 6)):
                body = b"%d.%d.%d." % (number, connection, index) + b"x" * draw.choice([0, 10, 100, 70_000])
                target = draw.choice([PREDICT, SELDON, FEEDBACK])
                data = request("POST", target, body, f"x-turnout-timeout-ms: {draw.choice([5, 50, 500])}")
                kind = draw.random()
                if kind < 0.05:
                    one.send(data[: draw.randrange(len(data))])
                    break
                one.send(data)
                sent.append(body)
                if kind < 0.1:
                    break
                if kind < 0.7:
                    check(one.answer(), sent.pop(0), problems)
            else:
                for body in sent:
                    check(one.answer(), body, problems)
        except (ConnectionEnded, ConnectionError):
            pass  # an answer that was cut off at the server is cut off here
        one.reset() if draw.random() < 0.5 else one.close()


def check(got: Answer, body: bytes, problems: list[str]) -> None:
    status, fields, content = got
    if not (status == 200 and content == body) and status not in (503, 504):
        problems.append(f"{body[:20]!r} was answered {status} {content[:50]!r}")
    if fields.get("x-turnout-version") not in ("v1", "v2"):
        problems.append(f"{body[:20]!r} was answered by {fields}")


@pytest.mark.parametrize("seed", range(2))
def test_no_answer_goes_astray(servers: Servers, start_gateway: Start, seed: int) -> None:
    made = [servers(server_of(random.Random(seed * 10 + number))) for number in range(4)]
    gateway = start_gateway(table(1, 30, v1=made[:2], v2=made[2:]))
    problems: list[str] = []
    threads = [
        threading.Thread(target=client, args=(gateway, random.Random(100 * seed + number), number, problems))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    revision = 1
    while any(thread.is_alive() for thread in threads):
        revision += 1
        some = made[revision % 2 : 2]
        gateway.swap(table(revision, revision % 100, v1=some, v2=made[2:]))
        threads[0].join(0.05)
        threads[revision % 8].join(0.05)
    assert problems == []
    gateway.rests()
    received = Counter(came.body for server in made for came in server.requests if b"feedback" in came.line)
    assert len(received) > 50
    assert max(received.values()) == 1
    assert gateway.outcomes("v1")["success"] > 50
    gateway.swap(table(revision + 1, v1=[]))
    eventually(lambda: sum(gateway.endpoints(totals.ENDPOINT_CONNECTIONS).values()), lambda left: left == 0)
    eventually(lambda: [peer for server in made for peer in server.open], lambda left: not left)
