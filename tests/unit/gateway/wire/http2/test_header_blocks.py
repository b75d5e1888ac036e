from __future__ import annotations

from collections.abc import Callable, Sequence

import hpack
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from gateway.wire.http2 import header_blocks
from gateway.wire.http2.fields import Field, encode, encode_all, kind
from gateway.wire.http2.header_blocks import FOLLOWED, MAX_EXPANSION, OVERSIZE, Decoder
from gateway.wire.http2.strings import FieldError
from gateway.wire.limits import MAX_FIELDS

Pair = tuple[bytes, bytes]
Make = Callable[..., Decoder]

LIMIT = 65_536
NAMES = st.one_of(
    st.sampled_from([name for name, _ in hpack.table.HeaderTable.STATIC_TABLE]),
    st.binary(max_size=140),
    st.sampled_from([b"grpc-timeout", b"te", b"X-Upper", b"grpc-accept-encoding"]),
)
VALUES = st.one_of(st.sampled_from([b"GET", b"POST", b"/", b"200", b"gzip, deflate", b""]), st.binary(max_size=300))
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


@pytest.fixture(autouse=True)
def _forget() -> None:
    """What other tests left in memory must not decide."""
    header_blocks._known_fields.clear()
    header_blocks._known_blocks.clear()


def fast(limit: int = LIMIT) -> Decoder:
    """Of a peer that has acknowledged our table size and said in a block that its table is off."""
    decoder = Decoder(limit, MAX_FIELDS)
    decoder.table_off()
    assert decoder.decode(b"\x20") == ([], 0)
    assert decoder._table is None
    return decoder


def plain(limit: int = LIMIT) -> Decoder:
    return Decoder(limit, MAX_FIELDS)


def meaning(decoder: Decoder, block: bytes) -> tuple[list[Pair], list[int], int] | None:
    try:
        fields, shape = decoder.decode(block)
    except FieldError:
        return None
    return [(field.name, field.value) for field in fields], [field.kind for field in fields], shape


@st.composite
def stateless_blocks(draw: DrawFn) -> bytes:
    """Fields in any form that a peer without a table may use."""
    pieces = [b"\x20" * draw(st.integers(0, 2))]
    for name, value in draw(PAIRS):
        encoder = hpack.Encoder()
        encoder.header_table_size = 0
        encoder.table_size_changes.clear()
        encoder.header_table.resized = False
        match draw(st.integers(0, 3)):
            case 0:
                pieces.append(encode(name, value))
            case 1:
                pieces.append(encode(name, value, never_index=True))
            case n:
                sensitive = draw(st.booleans())
                pieces.append(encoder.encode([(name, value, sensitive)], huffman=n == 2))
    return b"".join(pieces)


@given(stateless_blocks())
def test_the_fast_way_equals_the_plain_way_and_hpack(block: bytes) -> None:
    decoder = fast()
    expected = [(name, value) for name, value in hpack.Decoder(1 << 30).decode(block, raw=True)]
    for _ in range(3):  # the second and third time from memory
        found = meaning(decoder, block)
        assert found is not None
        assert found[0] == expected
        assert found == meaning(plain(), block)


@given(st.lists(PAIRS, max_size=4), st.booleans(), st.lists(st.integers(0, 4096), max_size=3))
def test_a_peer_that_uses_its_table_is_followed(lists: list[list[Pair]], huffman: bool, sizes: list[int]) -> None:
    encoder, decoder = hpack.Encoder(), plain()
    for number, pairs in enumerate([*lists, *lists]):
        if number < len(sizes):
            encoder.header_table_size = sizes[number]
        found = meaning(decoder, encoder.encode(pairs, huffman=huffman))
        assert found is not None
        assert found[0] == pairs


@given(stateless_blocks(), st.integers(0, 400), st.binary(max_size=3))
def test_the_two_ways_agree_on_damaged_blocks(block: bytes, at: int, damage: bytes) -> None:
    block = block[:at] + damage + block[at + 1 :]
    first = block.lstrip(b"\x20")[:1]
    assume(not first or first[0] & 0xE0 != 0x20)  # the plain decoder's peer may still change its table's size
    assert meaning(fast(), block) == meaning(plain(), block)


@given(st.binary(max_size=200))
def test_nothing_but_field_errors_comes_of_garbage(garbage: bytes) -> None:
    meaning(fast(), garbage)
    meaning(plain(), garbage)


@given(stateless_blocks())
def test_raw_means_the_same_to_any_peer(block: bytes) -> None:
    for decoder in (fast(), plain()):
        fields, _ = decoder.decode(block)
        again = hpack.Decoder(1 << 30).decode(b"".join(field.raw for field in fields), raw=True)
        assert list(again) == [(field.name, field.value) for field in fields]


@pytest.mark.parametrize("make", [fast, plain])
def test_never_indexed_stays_never_indexed(make: Make) -> None:
    (field,), _ = make(LIMIT).decode(hpack.Encoder().encode([(b"x-key", b"secret", True)]))
    assert field.raw[0] == 0x10


def test_the_plain_way_lasts_until_the_peer_has_said_that_its_table_is_off() -> None:
    encoder, decoder = hpack.Encoder(), plain()
    pairs = [(b"x-a", b"1"), (b"x-b", b"2")]
    assert meaning(decoder, encoder.encode(pairs))
    decoder.table_off()
    assert decoder._table is not None
    encoder.header_table_size = 0
    block = encoder.encode(pairs)
    assert block[0] == 0x20
    fields, _ = decoder.decode(block)
    assert [(field.name, field.value) for field in fields] == pairs
    assert decoder._table is None


def test_a_table_that_is_off_before_the_acknowledgement_may_come_back() -> None:
    encoder, decoder = hpack.Encoder(), plain()
    for size in (0, 4096):
        encoder.header_table_size = size
        assert meaning(decoder, encoder.encode([(b"x-a", b"1")]))
    assert decoder.decode(encoder.encode([(b"x-a", b"1")]))[0][0].value == b"1"


def test_a_peer_that_goes_on_using_its_table_after_its_acknowledgement_is_followed() -> None:
    encoder, decoder = hpack.Encoder(), plain()
    decoder.table_off()
    for _ in range(3):
        assert meaning(decoder, encoder.encode([(b"x-a", b"1")]))
    assert decoder._table is not None


@pytest.mark.parametrize("make", [fast, plain])
def test_a_table_above_the_limit_is_an_error(make: Make) -> None:
    decoder = make(LIMIT)
    decoder.table_off()
    with pytest.raises(FieldError):
        decoder.decode(b"\x21")


@pytest.mark.parametrize("block", [b"\x82\x20", b"\x80", b"\xbe", b"\x7f\x01\x01a", b"\x40\x01a", b"\x0f\x80", b"\x02"])
@pytest.mark.parametrize("make", [fast, plain])
def test_what_is_no_block(make: Make, block: bytes) -> None:
    with pytest.raises(FieldError):
        make(LIMIT).decode(block)


@pytest.mark.parametrize("make", [fast, plain])
def test_an_error_does_not_repeat_what_the_peer_sent(make: Make) -> None:
    with pytest.raises(FieldError) as caught:
        make(LIMIT).decode(b"\x00\x0dauthorization\x8asecret-key")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("make", [fast, plain])
def test_an_oversized_list_is_dropped_and_the_next_block_is_right(make: Make) -> None:
    encoder, decoder = hpack.Encoder(), make(1_000)
    if make is fast:
        encoder.header_table_size = 0
    big = encoder.encode([(b"x-first", b"1"), (b"x-big", b"v" * 1_000), (b"x-last", b"2")], huffman=False)
    assert decoder.decode(big) == ([], OVERSIZE)
    small = [(b"x-first", b"1"), (b"x-last", b"2")]
    assert [tuple(field[:2]) for field in decoder.decode(encoder.encode(small))[0]] == small


@pytest.mark.parametrize("make", [fast, plain])
@pytest.mark.parametrize(("spare", "oversize"), [(0, False), (-1, True)])
def test_the_size_of_a_list_is_counted_as_the_rfc_does(make: Make, spare: int, oversize: bool) -> None:
    pairs = [(b"accept-encoding", b"gzip, deflate")] * 20 + [(b"x-a", b"b" * 50)]
    size = sum(len(name) + len(value) + 32 for name, value in pairs)
    assert (make(size + spare).decode(encode_all(*pairs))[1] == OVERSIZE) is oversize


def test_no_byte_of_a_block_expands_to_more_than_is_reckoned_with() -> None:
    for name, value in hpack.table.HeaderTable.STATIC_TABLE:
        assert len(name) + len(value) + 32 <= MAX_EXPANSION * len(encode(name, value))
        assert len(name) + 32 <= MAX_EXPANSION * 2  # a literal without a value


def test_small_blocks_of_another_limit_are_not_taken_from_memory() -> None:
    block = b"\x90" * 50
    for _ in range(2):
        assert fast(50 * MAX_EXPANSION).decode(block)[1] != OVERSIZE
    assert fast(1_000).decode(block)[1] == OVERSIZE


@pytest.mark.parametrize("make", [fast, plain])
@pytest.mark.parametrize("pair", [(b"accept-encoding", b"gzip, deflate"), (b"x-a", b"b")])
def test_number_of_fields_is_bounded_whatever_their_size(make: Make, pair: tuple[bytes, bytes]) -> None:
    decoder = make(1 << 20)
    assert len(decoder.decode(encode_all(*[pair] * MAX_FIELDS))[0]) == MAX_FIELDS
    for count in (MAX_FIELDS + 1, FOLLOWED * MAX_FIELDS):
        assert decoder.decode(encode_all(*[pair] * count)) == ([], OVERSIZE)
    assert len(decoder.decode(encode_all(pair))[0]) == 1


def test_base_of_a_block_is_no_way_around_that() -> None:
    decoder = fast(1 << 20)
    begin = encode_all(*[(b"x-a", b"b")] * 60)
    decoder.decode(begin)
    decoder.decode(begin + encode(b"x-other", b"1"))
    assert decoder.decode(begin + encode_all(*[(b"x-b", b"c")] * 60)) == ([], OVERSIZE)


def test_a_bomb_of_references_to_the_table_is_cut_short() -> None:
    decoder = plain(4_096)
    decoder.decode(hpack.Encoder().encode([(b"x-bomb", b"v" * 3_000)], huffman=False))
    with pytest.raises(FieldError, match="more than 400 fields"):
        decoder.decode(b"\xbe" * 10_000)


def test_secrets_are_never_remembered() -> None:
    decoder = fast()
    secret = [(name, b"hunter2") for name in (b"authorization", b"proxy-authorization", b"cookie", b"set-cookie")]
    block = encode_all((b"x-seen", b"1"), *secret) + encode(b"x-key", b"hunter2", never_index=True)
    for _ in range(3):
        decoder.decode(block)
    assert {field.name for field in header_blocks._known_fields.values()} == {b"x-seen"}
    assert not header_blocks._known_blocks


def test_malformed_fields_are_never_remembered() -> None:
    block = encode_all((b"X-Upper", b"1"), (b"x-a", b"a\nb"))
    fast().decode(block)
    fast().decode(block)
    assert not header_blocks._known_fields
    assert not header_blocks._known_blocks


def test_what_is_remembered_is_bounded() -> None:
    decoder = fast()
    for number in range(header_blocks.MAX_KNOWN_FIELDS + 10):
        block = encode(b"x-a", b"%d" % number)
        decoder.decode(block)
        decoder.decode(block)
    decoder.decode(encode(b"x-a", b"v" * header_blocks.MAX_KNOWN_BYTES))
    assert 0 < len(header_blocks._known_fields) <= header_blocks.MAX_KNOWN_FIELDS
    assert 0 < len(header_blocks._known_blocks) <= header_blocks.MAX_KNOWN_BLOCKS
    assert max(map(len, header_blocks._known_fields)) < 20


def test_what_is_remembered_is_what_was_decoded() -> None:
    decoder = fast()
    first: Sequence[Field] = decoder.decode(encode_all((b"x-a", b"1"), (b"te", b"trailers")))[0]
    second = decoder.decode(encode_all((b"te", b"trailers"), (b"x-a", b"1")))[0]
    assert [field.name for field in second] == [b"te", b"x-a"]
    assert second[1] is first[0]
    assert all(field.kind == kind(field.name, field.value) for field in second)
