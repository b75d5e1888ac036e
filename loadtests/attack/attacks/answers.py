"""Answers that nobody takes."""

from __future__ import annotations

from gateway.wire.http2 import frames
from loadtests.attack.peer import Http2Peer, Peer, call, endings, exchange
from loadtests.attack.stage import Stage

CALLS = 900


def unread(stage: Stage) -> str:
    """Windows of 0: nothing of any answer may be sent."""
    peers = _waves(stage, 3)
    exchange(peers, 3)
    peers += _waves(stage, 6)
    exchange(peers, 5)
    return _left(peers)


def trickling(stage: Stage) -> str:
    """As if the client were slow: a byte each second."""
    peers = _waves(stage, 3)
    for _ in range(10):
        for peer in peers:
            peer.give(frames.window_update(1, 1))
        exchange(peers, 1)
    return _left(peers)


def _waves(stage: Stage, count: int) -> list[Peer]:
    peers: list[Peer] = []
    for _ in range(count):
        peer = Http2Peer(stage.port, (frames.INITIAL_WINDOW_SIZE, 0))
        peers.append(peer)
        for begin in range(0, CALLS, 50):
            peer.give(b"".join(call(2 * number + 1, "big") for number in range(begin, begin + 50)))
            exchange([peer], 0.05)
    return peers


def _left(peers: list[Peer]) -> str:
    ending = endings(peers)
    for peer in peers:
        peer.close()
    return ending
