from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.http2 import fields
from gateway.wire.http2.fields import Field, encode, encode_all, kind, shape

TEXT = st.binary(max_size=300)


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in hpack.Decoder(1 << 30).decode(block, raw=True)]


def block(*pairs: tuple[bytes, bytes]) -> list[Field]:
    return [Field(name, value, encode(name, value), kind(name, value)) for name, value in pairs]


@given(st.lists(st.tuples(st.one_of(st.sampled_from([b":path", b"content-type", b"via"]), TEXT), TEXT), max_size=6))
def test_what_is_encoded_is_what_hpack_decodes(pairs: list[tuple[bytes, bytes]]) -> None:
    assert decoded(encode_all(*pairs)) == pairs


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 16_510, 16_511, 70_000])
def test_long_strings_are_encoded_whatever_bytes_their_length_takes(size: int) -> None:
    assert decoded(encode(b"x-long", b"v" * size)) == [(b"x-long", b"v" * size)]
    assert decoded(encode(b"n" * size, b"v")) == [(b"n" * size, b"v")]


@given(TEXT, TEXT)
def test_encoding_leaves_no_state_in_a_peers_table(name: bytes, value: bytes) -> None:
    decoder = hpack.Decoder()
    decoder.decode(encode(name, value) + encode(b"content-type", value), raw=True)
    assert not decoder.header_table.dynamic_entries


def test_the_static_table_is_used() -> None:
    assert encode(b":status", b"200") == b"\x88"
    assert encode(b":status", b"201") == b"\x08\x03201"
    assert encode(b"www-authenticate", b"x") == b"\x0f\x2e\x01x"


def test_a_never_indexed_field_is_encoded_as_one() -> None:
    (field,) = hpack.Decoder().decode(encode(b"authorization", b"Basic x", never_index=True), raw=True)
    assert isinstance(field, hpack.NeverIndexedHeaderTuple)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b":method", b"POST", fields.METHOD),
        (b":method", b"PO ST", fields.MALFORMED),
        (b":path", b"/a?b", fields.PATH),
        (b":path", b"*", fields.PATH),
        (b":path", b"", fields.MALFORMED),
        (b":path", b"a", fields.MALFORMED),
        (b":path", b"/a b", fields.MALFORMED),
        (b":path", b"/a\r\nx: y", fields.MALFORMED),
        (b":scheme", b"https", fields.SCHEME),
        (b":scheme", b"ht tp", fields.MALFORMED),
        (b":authority", b"host:1", fields.AUTHORITY),
        (b":authority", b"a b", fields.MALFORMED),
        (b":status", b"200", fields.STATUS),
        (b":status", b"100", fields.STATUS),
        (b":status", b"101", fields.MALFORMED),
        (b":status", b"20", fields.MALFORMED),
        (b":status", b"000", fields.MALFORMED),
        (b":protocol", b"websocket", fields.MALFORMED),
        (b"x-a0", b"", fields.REGULAR),
        (b"x-a", b"b c\xff", fields.REGULAR),
        (b"x-a", b" b", fields.REGULAR),
        (b"x-a", b"b\t", fields.REGULAR),
        (b"x-a", b"b\x00c", fields.MALFORMED),
        (b"x-a", b"b\rc", fields.MALFORMED),
        (b"x-a", b"b\n", fields.MALFORMED),
        (b"X-a", b"b", fields.MALFORMED),
        (b"x a", b"b", fields.MALFORMED),
        (b"x:a", b"b", fields.MALFORMED),
        (b"x-a\n", b"b", fields.MALFORMED),
        (b"", b"b", fields.MALFORMED),
        (b"connection", b"close", fields.MALFORMED),
        (b"keep-alive", b"1", fields.MALFORMED),
        (b"proxy-connection", b"close", fields.MALFORMED),
        (b"transfer-encoding", b"chunked", fields.MALFORMED),
        (b"upgrade", b"h2c", fields.MALFORMED),
        (b"te", b"trailers", fields.REGULAR),
        (b"te", b"gzip", fields.MALFORMED),
        (b"content-length", b"12", fields.LENGTH),
        (b"content-length", b"+12", fields.MALFORMED),
        (b"content-length", b"", fields.MALFORMED),
        (b"content-length", b"9" * 19, fields.MALFORMED),
    ],
)
def test_a_field_by_itself(name: bytes, value: bytes, expected: int) -> None:
    assert kind(name, value) == expected


METHOD, PATH, OTHER = (b":method", b"POST"), (b":path", b"/"), (b"x-a", b"b")


def test_a_block_has_the_kinds_of_its_fields() -> None:
    assert shape(block()) == 0
    assert shape(block(METHOD, PATH, OTHER, OTHER)) == fields.METHOD | fields.PATH | fields.REGULAR


@pytest.mark.parametrize(
    "pairs",
    [
        (METHOD, METHOD),
        (METHOD, OTHER, PATH),
        ((b"content-length", b"1"), PATH),
        ((b"content-length", b"1"), (b"content-length", b"1")),
        (METHOD, (b"X-A", b"")),
    ],
    ids=["repeated", "late", "late-after-length", "length-repeated", "one-malformed"],
)
def test_a_field_where_it_may_not_stand_makes_the_block_malformed(pairs: tuple[tuple[bytes, bytes], ...]) -> None:
    assert shape(block(*pairs)) & fields.MALFORMED
