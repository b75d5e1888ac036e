"""Heads of requests that are dear to decode, to keep, or to answer."""

from __future__ import annotations

import itertools
import random
import string

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from loadtests.attack.peer import BLOCK, Http2Peer, Peer, endings, exchange, head, http1
from loadtests.attack.stage import SIMILAR, Stage


def many_fields(stage: Stage) -> str:
    """Each names an entry of the static table; SETTINGS are never acknowledged, so a table has to be kept."""
    return _paced(stage, BLOCK + b"\x90" * 1000, 10)


def long_values(stage: Stage) -> str:
    """Strings that take the most bits a byte of the block: each symbol is five of them."""
    text = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(b"a" * 60_000)
    more = len(text) - 127
    size = bytes((0xFF, more & 127 | 128, more >> 7 & 127 | 128, more >> 14))
    return _paced(stage, BLOCK + b"\x00\x01x" + size + text, 1.5)


def _paced(stage: Stage, block: bytes, each: float) -> str:
    """Over two connections, `each` on both in a tenth of a second."""
    peers: list[Peer] = [Http2Peer(stage.port, acknowledge=False) for _ in range(2)]
    for turn in range(100):
        for peer in peers:
            for _ in range(int(each * (turn + 1)) - int(each * turn)):
                peer.give(head(peer.next_id, block, end=True))
                peer.next_id += 2
        exchange(peers, 0.1)
    return endings(peers)


def unknown_models(stage: Stage) -> str:
    draw = random.Random(7)
    peers = [Peer(stage.port) for _ in range(4)]
    for _ in range(50):
        for peer in peers:
            for _ in range(4):
                peer.give(http1(f"/v1/models/{SIMILAR[0][:-3]}n-{draw.getrandbits(24):06x}:predict"))
        exchange(peers, 0.2)
    return endings(peers)


def http2_memory(stage: Stage) -> str:
    """Streams that are opened and go no further, each with fields of little more than what the gateway adds to them."""
    letters = itertools.product(string.ascii_lowercase.encode(), repeat=3)
    block = BLOCK + b"".join(b"\x00\x03%b\x00" % bytes(name) for name in itertools.islice(letters, 1700))
    small = BLOCK + b"".join(
        b"\x00\x03%b%b" % (bytes(name), b"\x64" + b"v" * 100) for name in itertools.islice(letters, 90)
    )
    peers: list[Peer] = [Http2Peer(stage.port) for _ in range(6)]
    for peer, heads in zip(peers, [block] * 3 + [small] * 3, strict=True):
        peer.give(b"".join(head(2 * number + 1, heads) for number in range(1000)))
    exchange(peers, 8)
    ending = endings(peers)
    for peer in peers:
        peer.close()
    return ending


def http1_memory(stage: Stage) -> str:
    """Pipelined behind a request that is slow in being answered; each head has as many bytes and fields as it may."""
    peers = [Peer(stage.port) for _ in range(40)]
    for number, peer in enumerate(peers):
        peer.give(http1("/v1/models/slow:predict"))
        lines = [b"X-%d-%d: %b" % (number, field, b"v" * 600) for field in range(90)]
        peer.give(b"".join(http1("/v1/models/slow:predict", b"{}", b"X-N: %d" % turn, *lines) for turn in range(36)))
    exchange(peers, 8)
    ending = endings(peers)
    for peer in peers:
        peer.close()
    return ending
