"""More connections than the gateway may have open."""

from __future__ import annotations

import time
import urllib.error

from loadtests.attack.peer import Peer
from loadtests.attack.stage import Stage

HELD_SECONDS = 6
SETTLE_SECONDS = 3


def data_port(stage: Stage) -> str:
    peers = _idle(stage.port, b"")
    time.sleep(HELD_SECONDS)
    return _after(stage, peers)


def admin_port(stage: Stage) -> str:
    """Each with half a request. Meanwhile a worker has to be replaced."""
    peers = _idle(stage.admin_port, b"GET /metrics HTTP/1.1\r\nHo")
    time.sleep(HELD_SECONDS)
    return _after(stage, peers)


def _idle(port: int, first: bytes) -> list[Peer]:
    peers = []
    for _ in range(200):
        try:
            peer = Peer(port, first)
        except OSError:
            continue
        peer.write()
        peers.append(peer)
    return peers


def _after(stage: Stage, peers: list[Peer]) -> str:
    meanwhile = _readiness(stage)
    for peer in peers:
        peer.close()
    time.sleep(SETTLE_SECONDS)
    return f"/readyz meanwhile: {meanwhile}; {SETTLE_SECONDS} s after: {_readiness(stage)}"


def _readiness(stage: Stage) -> str:
    try:
        return stage.get("/readyz").strip()
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode().strip()}"
    except OSError as error:
        return str(error)
