"""Whole requests that are dear to hold, to read, or to send on."""

from __future__ import annotations

import zlib

from gateway.wire.http2.fields import encode
from loadtests.attack.peer import BLOCK, Http2Peer, Peer, data, endings, exchange, head, http1, message
from loadtests.attack.stage import DEAD, Stage


def inflating(stage: Stage) -> str:
    """The model's name, then a tensor of zeros."""
    size = 62_000_000
    tensor = b"\x12" + _varint(size) + bytes(size)
    deflater = zlib.compressobj(9, zlib.DEFLATED, 31)
    small = deflater.compress(message("small")[5:] + tensor) + deflater.flush()
    body = b"\x01" + len(small).to_bytes(4, "big") + small
    block = BLOCK + encode(b"grpc-encoding", b"gzip")
    peers: list[Peer] = [Http2Peer(stage.port) for _ in range(2)]
    for number in range(5):
        for peer in peers:
            peer.give(head(2 * number + 1, block) + data(2 * number + 1, body))
    exchange(peers, 8)
    return endings(peers)


def gathered(stage: Stage) -> str:
    peers = [Peer(stage.port) for _ in range(20)]
    request = http1("/v1/models/small:predict", bytes(62_000_000))[:-1]
    for peer in peers:
        peer.give(request)
    exchange(peers, 10)
    ending = endings(peers)
    for peer in peers:
        peer.close()
    return ending


def dead_deployment(stage: Stage) -> str:
    peers = [Peer(stage.port) for _ in range(10)]
    for _ in range(100):
        for peer in peers:
            peer.give(http1(f"/v1/models/{DEAD}:predict") * 10)
        exchange(peers, 0.1)
    return endings(peers)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))
