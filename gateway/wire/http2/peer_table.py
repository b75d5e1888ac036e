"""The table of a peer that keeps one (RFC 7541, 2.3.2 and 6), followed field by field.

The entries are hpack's. Its own decoder takes 20 ms for a string of 60 KB in Huffman's code, in which all others wait.
"""

from __future__ import annotations

from hpack.exceptions import InvalidTableIndex
from hpack.table import HeaderTable

from gateway.wire.http2.strings import FieldError, after_string, integer, text

INCREMENTAL, SIZE_UPDATE = 0x40, 0x20

NEVER_INDEXED = 0x10
"""How a literal begins, but for its four low bits, whose sender wants it kept nowhere (RFC 7541, 6.2.3)."""


class PeerTable:
    """Of 4096 bytes, until the peer says less: HTTP/2's default, which holds until it has heard our SETTINGS."""

    def __init__(self) -> None:
        self._entries = HeaderTable()

    @property
    def off(self) -> bool:
        """The peer has said that it keeps none."""
        return self._entries.maxsize == 0

    def read(self, block: bytes, position: int) -> tuple[tuple[bytes, bytes, bool] | None, int]:
        """The field that begins there, as name, value, and whether it must be indexed never; None where the table's
        size is what begins there. And where it ends.

        Raises FieldError.
        """
        first = block[position]
        try:
            if first & 0x80:
                index, end = integer(block, position, 0x7F)
                return (*self._entry(index), False), end
            if first & 0xE0 == SIZE_UPDATE:
                size, end = integer(block, position, 0x1F)
                if size > HeaderTable.DEFAULT_SIZE:
                    raise FieldError(f"a table size update to {size}")
                self._entries.maxsize = size
                return None, end
            index, at = integer(block, position, 0x3F if first & INCREMENTAL else 0x0F)
            if index:
                name = self._entry(index)[0]
            else:
                begin, at = at, after_string(block, at)
                name = text(block, begin, at)
            end = after_string(block, at)
            value = text(block, at, end)
        except IndexError:
            raise FieldError("the block ends within a field") from None
        if first & INCREMENTAL:
            self._entries.add(name, value)
        return (name, value, bool(first & NEVER_INDEXED) and not first & INCREMENTAL), end

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        try:
            return self._entries.get_by_index(index)
        except InvalidTableIndex:
            raise FieldError(f"no entry {index} in the peer's table") from None
