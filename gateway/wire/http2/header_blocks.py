"""Header blocks (RFC 7541) decoded into self-contained fields, in one of two ways with equal results.

The plain way follows the peer's table. Once the peer keeps no table (it has acknowledged
HEADER_TABLE_SIZE 0 and has said so in a block), a field's bytes mean the same wherever they stand: then a block is cut
by its length prefixes, and the meaning of the pieces is looked up. Only pieces not seen before are decoded and checked.
"""

from __future__ import annotations

from hpack.table import HeaderTable

from gateway.contract.headers import SECRET
from gateway.wire.http2.fields import MALFORMED, Field, Fields, encode, is_regular, kind, shape, value_kind
from gateway.wire.http2.peer_table import NEVER_INDEXED, PeerTable
from gateway.wire.http2.strings import FieldError, after_string, integer, text

OVERSIZE = 0x100
"""A bit of a block's shape beside those of its fields: they were more than a limit, and are dropped."""

FIELD_OVERHEAD = 32
"""What each field counts beside its bytes in the size of a header list (RFC 9113, 6.5.2)."""

FOLLOWED = 4
"""A head of this many times the fields that are allowed breaks the connection while its peer keeps a table, since to
follow that is dear."""

TABLE_OFF = 0x20
"""The one byte of a table size update to 0."""

MAX_EXPANSION = 60
"""One byte of a block is at most this much of a header list: `accept-encoding: gzip, deflate` is one byte."""

MAX_KNOWN_BYTES = 512
"""Of a field or block that is remembered: with the two numbers below, some 10 MiB at the very most."""
MAX_KNOWN_FIELDS = 4096
MAX_KNOWN_BLOCKS = 1024

FORGOTTEN = SECRET | {b"grpc-timeout"}
"""Never remembered: secrets, and what is another one in each call; nor is what the peer marks as never indexed."""

Block = tuple[Fields, int]
"""Fields and their shape."""

_known_names: dict[bytes, tuple[bytes, bool]] = {}
_known_fields: dict[bytes, Field] = {}
_known_blocks: dict[bytes, Block] = {}


_STATIC_NAMES = (b"", *(name for name, _ in HeaderTable.STATIC_TABLE))
_INDEXED: list[Field | None] = [None] * 256
for _index, (_name, _value) in enumerate(HeaderTable.STATIC_TABLE, 1):
    _INDEXED[0x80 | _index] = Field(_name, _value, bytes((0x80 | _index,)), kind(_name, _value))

# How a literal's name is given, by the literal's first byte; 0 where no literal begins.
NAME_IN_FULL, NAME_INDEXED, NAME_INDEXED_FAR = 1, 2, 3
_FORM = bytearray(256)
for _first in (*range(0x20), *range(0x40, 0x7F)):
    _mask = 0x3F if _first & 0x40 else 0x0F
    _FORM[_first] = {0: NAME_IN_FULL, _mask: NAME_INDEXED_FAR}.get(_first & _mask, NAME_INDEXED)


class Decoder:
    """The header blocks of one peer, in their order.

    `limit`: the largest header list in bytes, `max_fields` in fields. A larger one is dropped, but followed, so that
    the next is decoded right.
    """

    __slots__ = ("_base", "_base_bytes", "_limit", "_max_fields", "_table", "_table_off", "stateless")

    def __init__(self, limit: int, max_fields: int) -> None:
        self._limit = limit
        self._max_fields = max_fields
        self._table: PeerTable | None = PeerTable()
        self._table_off = False
        self._base: Fields | None = None  # how the latest block began, as far as its fields were known
        self._base_bytes = b""
        self.stateless = False
        """Whether a block means the same however often it is decoded."""

    def table_off(self) -> None:
        """The peer has acknowledged HEADER_TABLE_SIZE 0.

        Its next block must begin by saying that its table is off (RFC 9113, 4.3.1), and from then on the fast way is
        right. There are peers that don't (h2spec is one): those are followed by their table of 4096 bytes, as before.
        """
        self._table_off = True

    def decode(self, block: bytes) -> Block:
        """Raises FieldError."""
        if self._table is not None:
            return self._decode_by_table(block, self._table)
        if len(block) * MAX_EXPANSION > self._limit:
            fields, _ = self._decode_by_field(block, 0)
            size = sum(len(field.name) + len(field.value) + FIELD_OVERHEAD for field in fields)
            if size > self._limit or len(fields) > self._max_fields:
                return Fields(), OVERSIZE
            return Fields(fields), shape(fields)
        found = _known_blocks.get(block)
        if found is not None:
            return found
        base = self._base
        if base is not None and block.startswith(self._base_bytes):
            more, known = self._decode_by_field(block, len(self._base_bytes))
            fields = Fields(base)
            fields += more
            fields.base = base
            found = (fields, shape(more, base.shape))
        else:
            more, known = self._decode_by_field(block, 0)
            fields = Fields(more)
            found = (fields, shape(more))
            base = None
        if len(fields) > self._max_fields:
            return Fields(), OVERSIZE
        if base is None or known > len(self._base_bytes):
            self._keep_base(block, known, fields)
        if known == len(block) <= MAX_KNOWN_BYTES:
            if len(_known_blocks) >= MAX_KNOWN_BLOCKS:
                _known_blocks.clear()
            _known_blocks[block] = found
        return found

    def _keep_base(self, block: bytes, known: int, fields: list[Field]) -> None:
        """The first `known` bytes of the block were nothing new. Where there is more, the next may begin alike."""
        if 0 < known < len(block) and block[0] != TABLE_OFF:
            size = count = 0
            while size < known:
                size += len(fields[count].raw)
                count += 1
            self._base_bytes = block[:known]
            self._base = Fields(fields[:count])
            self._base.shape = shape(self._base)

    def _decode_by_table(self, block: bytes, table: PeerTable) -> Block:
        fields: list[Field] = []
        position = size = count = 0
        while position < len(block):
            if block[position] & 0xE0 == 0x20:
                if count:
                    raise FieldError("a table size update after a field")
                if self._table_off and block[position] != 0x20:
                    raise FieldError("a table size update to more than 0")
            field, position = table.read(block, position)
            if field is None:
                continue
            name, value, never_index = field
            count += 1
            size += len(name) + len(value) + FIELD_OVERHEAD
            if size <= self._limit and count <= self._max_fields:
                fields.append(Field(name, value, encode(name, value, never_index=never_index), kind(name, value)))
            if count > self._max_fields * FOLLOWED:
                raise FieldError(f"more than {self._max_fields * FOLLOWED} fields in one block")
        if self._table_off and table.off:
            self._table = None
            self.stateless = True
        return (
            (Fields(), OVERSIZE) if size > self._limit or count > self._max_fields else (Fields(fields), shape(fields))
        )

    def _decode_by_field(self, block: bytes, begin: int) -> tuple[list[Field], int]:
        """The fields from `begin` on, and where the first begins that was not known."""
        fields: list[Field] = []
        position = begin
        length = known_to = len(block)
        most = self._max_fields
        known, indexed, forms = _known_fields.get, _INDEXED, _FORM
        try:
            while position < length and len(fields) <= most:
                first = block[position]
                field = indexed[first]
                if field is not None:
                    fields.append(field)
                    position += 1
                    continue
                form = forms[first]
                if form == NAME_IN_FULL:
                    size = block[position + 1] & 0x7F
                    at = position + 2 + size if size != 0x7F else after_string(block, position + 1)
                elif form == NAME_INDEXED:
                    at = position + 1
                elif form == NAME_INDEXED_FAR:
                    at = position + 2 if block[position + 1] < 0x80 else integer(block, position, 0x0F)[1]
                elif first == TABLE_OFF and not fields and not begin:  # again
                    position += 1
                    continue
                else:
                    raise FieldError(f"0x{first:02x} begins no field of a peer that keeps no table")
                size = block[at] & 0x7F
                end = at + 1 + size if size != 0x7F else after_string(block, at)
                raw = block[position:end]
                field = known(raw)
                if field is None:
                    field = _literal(raw, form, at - position)
                    known_to = min(known_to, position)
                fields.append(field)
                position = end
        except IndexError:
            raise FieldError("the block ends within a field") from None
        return fields, known_to


def _literal(raw: bytes, form: int, at: int) -> Field:
    """The field that these bytes mean; its value's string begins `at`. Remembered, unless secret or malformed."""
    first = raw[0]
    name, regular = _known_names.get(raw[:at]) or _named(raw, form, at)
    size = raw[at]
    value = raw[at + 1 :] if size < 0x7F and at + 1 + size == len(raw) else text(raw, at, len(raw))
    bit = value_kind(value) if regular else kind(name, value)
    field = Field(name, value, raw, bit)
    if bit != MALFORMED and name not in FORGOTTEN and first & 0xF0 != NEVER_INDEXED and len(raw) <= MAX_KNOWN_BYTES:
        if len(_known_fields) >= MAX_KNOWN_FIELDS:
            _known_fields.clear()
        _known_fields[raw] = field
    return field


def _named(raw: bytes, form: int, at: int) -> tuple[bytes, bool]:
    """The name that the bytes before `at` mean, and whether it is regular: then only the value is to be checked."""
    first = raw[0]
    if form == NAME_IN_FULL:
        name = raw[2:at] if raw[1] < 0x7F else text(raw, 1, at)
    else:
        index, _ = integer(raw, 0, 0x3F if first & 0x40 else 0x0F)
        if index >= len(_STATIC_NAMES):
            raise FieldError(f"name index {index} of a peer that keeps no table")
        name = _STATIC_NAMES[index]
    known = (name, is_regular(name))
    if len(name) <= MAX_KNOWN_BYTES:
        if len(_known_names) >= MAX_KNOWN_FIELDS:
            _known_names.clear()
        _known_names[raw[:at]] = known
    return known
