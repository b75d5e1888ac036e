"""Whether many replicas live, asked at once."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from deployer.local import probes
from deployer.runtimes.base import GrpcCall, Process, RestCall


def process(rest: int, grpc: int) -> Process:
    ready = RestCall("GET", "/")
    return Process("sleep", (), {}, Path(), {}, {}, rest, grpc, ready, GrpcCall("/a/b", b""), None, None)


def test_each_of_many_lives_that_accepts_on_both_ports() -> None:
    with ExitStack() as stack:

        def port() -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            return int(listener.getsockname()[1])

        with socket.create_server(("127.0.0.1", 0)) as closing:
            closed = closing.getsockname()[1]
        living = [process(port(), port()) for _ in range(probes.AT_ONCE)]
        dead = [process(port(), closed), process(closed, port())]
        assert probes.alive([*dead, *living, *dead], 30) == [False] * 2 + [True] * len(living) + [False] * 2


def test_one_that_hangs_is_waited_for_no_longer_than_the_time_given() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())  # it fills the queue: the next is neither taken nor refused
        with socket.create_server(("127.0.0.1", 0)) as other:
            ports = full.getsockname()[1], other.getsockname()[1]
            hanging, living = process(ports[0], ports[1]), process(ports[1], ports[1])
            assert probes.alive([hanging, living], 0.1) == [False, True]
