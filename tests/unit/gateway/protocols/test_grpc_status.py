"""`grpc-message`, percent-encoded."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import grpc_status


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", b""),
        ("no deployment 'x'; known: a/b, ~c", b"no deployment 'x'; known: a/b, ~c"),
        ("100%", b"100%25"),
        ("a\r\nb\x7f", b"a%0D%0Ab%7F"),
        ("é", b"%C3%A9"),
        ("\udcff", b"?"),
    ],
)
def test_message(text: str, value: bytes) -> None:
    assert grpc_status.message(text) == value


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_printable_and_reversible(text: str) -> None:
    value = grpc_status.message(text)
    assert all(0x20 <= byte < 0x7F for byte in value)
    assert unquote(value.decode()) == text
