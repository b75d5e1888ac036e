"""The attacks of `make attack`, each for a moment: no request of an honest client beside fails, what is held stays
bounded, and the attacker's connection ends as one that broke the rules, or has its errors."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import NamedTuple

import pytest

from gateway.contract.route_table import RouteTable
from gateway.refusal import Code
from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.fields import encode
from gateway.wire.http2.frames import ErrorCode
from loadtests.attack import peer
from loadtests.attack.peer import BLOCK, Http2Peer, Peer, exchange
from tests.fakes.gateway import PREDICT as REST_PREDICT
from tests.fakes.gateway import At, Gateway, deployment
from tests.fakes.grpc_client import PREDICT, predict
from tests.fakes.grpc_servers import GrpcServer, answering
from tests.fakes.grpc_servers import silent as grpc_silent
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import Server, echo, silent

BUDGET = 4_000_000
CALM = "ENHANCE_YOUR_CALM"

Send = Callable[[Peer], bytes]


class Attack(NamedTuple):
    first: bytes
    again: bytes
    """What follows for as long as the connection lasts; nothing where it is empty."""
    ending: str
    """How the gateway ends the connection; "" where it does not."""
    made: Send | None = None
    """The same, made anew each time."""
    http1: bool = False
    settings: tuple[tuple[int, int], ...] = ()
    acknowledge: bool = True


def resets(one: Peer) -> bytes:
    first, one.next_id = one.next_id, one.next_id + 200
    return b"".join(
        peer.call(stream_id, "m") + frames.rst_stream(stream_id, ErrorCode.CANCEL)
        for stream_id in range(first, one.next_id, 2)
    )


def inflating() -> bytes:
    tensor = b"\x12\x80\x80\x80\x08" + bytes(1 << 24)
    deflater = zlib.compressobj(9, zlib.DEFLATED, 31)
    small = deflater.compress(peer.message("m")[5:] + tensor) + deflater.flush()
    body = b"\x01" + len(small).to_bytes(4, "big") + small
    block = BLOCK + encode(b"grpc-encoding", b"gzip")
    return b"".join(peer.head(stream_id, block) + peer.data(stream_id, body) for stream_id in range(1, 21, 2))


def large_heads(count: int) -> bytes:
    lines = [b"X-%d: %b" % (number, b"v" * 600) for number in range(90)]
    return b"".join(
        peer.http1("/v1/models/silent:predict", b"{}", b"X-N: %d" % number, *lines) for number in range(count)
    )


def waiting_newest_last(one: Peer) -> bytes:
    """Calls that wait for a stream at a server that gives few, and then resets of them, the newest first."""
    first, one.next_id = one.next_id, one.next_id + 600
    ids = range(first, one.next_id, 2)
    calls = b"".join(peer.call(stream_id, "queued") for stream_id in ids)
    return calls + b"".join(frames.rst_stream(stream_id, ErrorCode.CANCEL) for stream_id in reversed(ids))


MOVES = frames.settings(*[(frames.INITIAL_WINDOW_SIZE, frames.DEFAULT_WINDOW - number % 2) for number in range(2730)])
ATTACKS = {
    "heads of many fields": Attack(peer.head(1, BLOCK + b"\x90" * 1000), b"", "COMPRESSION_ERROR", acknowledge=False),
    "settings": Attack(b"".join(peer.head(2 * number + 1) for number in range(1000)), MOVES, CALM),
    "a window moved by a byte": Attack(peer.call(1, "m"), frames.window_update(1, 1) * 1000, CALM),
    "pings": Attack(b"", frames.frame(frames.PING, 0, 0, bytes(8)) * 1000, CALM),
    "frames of no known type": Attack(b"", frames.frame(0x20, 0, 0, b"") * 1000, CALM),
    "empty data": Attack(peer.head(1), frames.frame(frames.DATA, 0, 1, b"") * 1000, CALM),
    "rapid resets": Attack(b"", b"", CALM, made=resets),
    "answers that are not let come": Attack(
        b"".join(peer.call(2 * number + 1, "big") for number in range(100)),
        b"",
        CALM,
        settings=((frames.INITIAL_WINDOW_SIZE, 0),),
    ),
    "messages that inflate": Attack(inflating(), b"", ""),
    "heads that wait": Attack(
        b"".join(
            peer.head(stream_id, BLOCK + b"".join(encode(b"x-%d" % n, b"v" * 600) for n in range(90)))
            for stream_id in range(1, 200, 2)
        ),
        b"",
        "",
    ),
    "pipelined heads": Attack(large_heads(36), b"", "", http1=True),
    "pipelined requests": Attack(peer.http1("/v1/models/m:predict") * 3000, b"", "", http1=True),
    "pipelined requests, each new": Attack(
        b"".join(peer.http1("/v1/models/m:predict", b"{}", b"X-Trace: %d" % number) for number in range(2000)),
        b"",
        "",
        http1=True,
    ),
    "pipelined requests for nothing": Attack(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3000, b"", "", http1=True),
    "calls that wait for a stream": Attack(b"", b"", CALM, made=waiting_newest_last),
    "models that are not there": Attack(peer.http1("/v1/models/mm:predict") * 500, b"", "", http1=True),
}


@pytest.fixture
def gateway(
    start_gateway: Callable[..., Gateway], servers: Callable[..., Server], grpc_servers: Callable[..., GrpcServer]
) -> Gateway:
    small, large, rest = grpc_servers(answering(b"well")), grpc_servers(answering(bytes(100_000))), servers(echo)
    at = small.endpoint.model_copy(update={"rest": rest.port})
    queued = grpc_servers(grpc_silent, limits=Limits(max_streams=10))
    models: dict[str, At] = {"m": at, "big": large, "silent": servers(silent), "queued": queued}
    routes = RouteTable(revision=1, deployments=tuple(deployment(name, {"v1": [one]}) for name, one in models.items()))
    return start_gateway(routes, gather_budget_bytes=BUDGET, idle_timeout=1000.0)


@pytest.mark.parametrize("name", ATTACKS)
def test_nobody_else_is_harmed(gateway: Gateway, name: str) -> None:
    attack = ATTACKS[name]
    port = gateway.address[1]
    attacker: Peer = Peer(port) if attack.http1 else Http2Peer(port, *attack.settings, acknowledge=attack.acknowledge)
    attacker.give(attack.first)
    more = attack.made or ((lambda _: attack.again) if attack.again else None)
    over = threading.Event()

    def run() -> None:
        exchange([attacker], 60 if attack.ending else 1, more)
        over.set()

    thread = threading.Thread(target=run)
    thread.start()
    rest, grpc = gateway.client(), gateway.grpc_client()
    ended = False
    while not ended:
        ended = over.is_set()  # once more after its end
        assert rest.post(REST_PREDICT).status == 200
        assert grpc.call(PREDICT, predict()).code == Code.OK
        assert gateway.forwarder.budget.held <= BUDGET
    thread.join()
    assert attacker.ending == attack.ending
    attacker.close()
    rest.close()
    grpc.close()
    eventually(lambda: gateway.forwarder.budget.held, lambda held: held == 0)
