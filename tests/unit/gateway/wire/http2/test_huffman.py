from __future__ import annotations

import pytest
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.http2.huffman import decode

_encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=200))
def test_decodes_what_is_encoded(text: bytes) -> None:
    assert decode(_encoder.encode(text)) == text


@given(st.binary(max_size=40))
def test_agrees_with_hpack_on_any_bytes(text: bytes) -> None:
    try:
        expected = decode_huffman(text)
    except HPACKDecodingError:
        with pytest.raises(HPACKDecodingError):
            decode(text)
    else:
        assert decode(text) == expected


def test_the_end_of_string_symbol_is_no_symbol() -> None:
    """RFC 7541, 5.2: thirty ones, which pad a string but may not stand in it."""
    with pytest.raises(HPACKDecodingError, match="no such symbol"):
        decode(b"\xff\xff\xff\xff")
