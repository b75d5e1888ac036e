"""How many replicas live, asked at once."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.local import probes
from deployer.local.probes import Life
from deployer.runtimes.base import GrpcCall, Process, RestCall
from tests.fakes.rest_servers import Peer, Script, Server, answer, once, silent


def process(rest: int, grpc: int) -> Process:
    ready = RestCall("GET", "/ready")
    return Process("sleep", (), {}, Path(), {}, {}, rest, grpc, ready, GrpcCall("/a/b", b""), None, None)


def test_each_of_many_lives_that_answers_and_accepts_on_both_ports(servers: Callable[[Script], Server]) -> None:
    server = servers(once(answer(b"", "503 Service Unavailable")))
    with socket.create_server(("127.0.0.1", 0)) as closing:
        closed = closing.getsockname()[1]
    living = [process(server.port, server.port) for _ in range(probes.AT_ONCE)]
    dead = [process(server.port, closed), process(closed, server.port)]
    found = probes.alive([*dead, *living, *dead], 30)
    assert found == [Life.GONE] * 2 + [Life.ANSWERING] * len(living) + [Life.GONE] * 2
    assert {request.line for request in server.requests} == {b"GET /ready HTTP/1.1"}


async def hangs_up(peer: Peer) -> None:
    await peer.request()


@pytest.mark.parametrize("script", [silent, hangs_up])
def test_one_that_accepts_and_does_not_answer_is_silent(servers: Callable[[Script], Server], script: Script) -> None:
    hung, well = servers(script), servers(once(answer(b"{}")))
    asked = [process(hung.port, well.port), process(well.port, hung.port)]
    assert probes.alive(asked, 0.5) == [Life.SILENT, Life.ANSWERING]


def test_one_that_accepts_nothing_is_waited_for_no_longer_than_the_time_given(
    servers: Callable[[Script], Server],
) -> None:
    well = servers(once(answer(b"{}")))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())  # it fills the queue: the next is neither taken nor refused
        port = full.getsockname()[1]
        asked = [process(port, well.port), process(well.port, well.port)]
        assert probes.alive(asked, 0.5) == [Life.GONE, Life.ANSWERING]
