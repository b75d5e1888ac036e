"""Frames of HTTP/2 that are cheap to send and dear to heed."""

from __future__ import annotations

from gateway.wire.http2 import frames
from gateway.wire.http2.frames import MAX_WINDOW, ErrorCode
from loadtests.attack.peer import Http2Peer, Peer, call, endings, exchange, head
from loadtests.attack.stage import Stage


def settings(stage: Stage) -> str:
    peer = Http2Peer(stage.port)
    peer.give(b"".join(head(2 * number + 1) for number in range(1000)))
    exchange([peer], 1)
    moves = [(frames.INITIAL_WINDOW_SIZE, frames.DEFAULT_WINDOW - number % 2) for number in range(2730)]
    peer.give(frames.settings(*moves) * 16)
    exchange([peer], 5)
    return endings([peer])


def window_bytes(stage: Stage) -> str:
    """All streams may send, the connection may not: it is granted one byte, again and again."""
    peer = Http2Peer(stage.port, (frames.INITIAL_WINDOW_SIZE, MAX_WINDOW))
    peer.give(b"".join(call(2 * number + 1, "big") for number in range(500)))
    exchange([peer], 2)
    peer.give(frames.window_update(0, 1) * 20_000)
    exchange([peer], 5)
    return endings([peer])


def window_flood(stage: Stage) -> str:
    peers = [Http2Peer(stage.port) for _ in range(4)]
    for peer in peers:
        peer.give(call(1, "small"))
    exchange(peers, 0.5)
    updates = frames.window_update(1, 1) * 5000
    exchange(peers, 10, lambda _: updates)
    return endings(peers)


def rapid_reset(stage: Stage) -> str:
    return _rapid_reset(stage.port)


def control(stage: Stage) -> str:
    """The same past the gateway: what the attacker's work alone does to the honest client."""
    return _rapid_reset(stage.servers["slow"].grpc)


def _rapid_reset(port: int) -> str:
    """Each connection that is ended is made again."""
    ended: list[Peer] = []
    peers: list[Peer] = [Http2Peer(port) for _ in range(10)]
    for _ in range(20):
        exchange(peers, 0.5, lambda peer: _resets(peer, 200))
        ended += [peer for peer in peers if peer.ending]
        peers = [Http2Peer(port) if peer.ending else peer for peer in peers]
    return endings(ended or peers)


def paced_reset(stage: Stage) -> str:
    peers: list[Peer] = [Http2Peer(stage.port) for _ in range(10)]
    for _ in range(100):
        for peer in peers:
            peer.give(_resets(peer, 90))
        exchange(peers, 0.1)
    return endings(peers)


def _resets(peer: Peer, count: int) -> bytes:
    first, peer.next_id = peer.next_id, peer.next_id + 2 * count
    return b"".join(
        call(stream_id, "slow") + frames.rst_stream(stream_id, ErrorCode.CANCEL)
        for stream_id in range(first, peer.next_id, 2)
    )
