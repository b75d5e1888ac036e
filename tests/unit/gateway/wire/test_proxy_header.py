from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.http2.frames import PREFACE
from gateway.wire.proxy_header import MAX_BYTES, SIGNATURE, BrokenHeader, ProxyHeader, begins, read

TCP4 = IPv4Address("192.0.2.1").packed + IPv4Address("10.0.0.1").packed + bytes.fromhex("12670050")
TCP6 = IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed + bytes.fromhex("12670050")
MAPPED = IPv6Address("::ffff:192.0.2.1").packed + TCP6[16:]
TLV = b"\x04\0\x02no"
"""A field that says nothing."""


def header(version: int, kind: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes((version, kind)) + len(rest).to_bytes(2, "big") + rest


@pytest.mark.parametrize(
    ("sent", "source"),
    [
        (header(0x21, 0x11, TCP4), "192.0.2.1"),
        (header(0x21, 0x11, TCP4 + TLV), "192.0.2.1"),
        (header(0x21, 0x11, TCP4 + bytes(MAX_BYTES - 16 - len(TCP4))), "192.0.2.1"),
        (header(0x21, 0x21, TCP6), "2001:db8::1"),
        (header(0x21, 0x21, TCP6 + TLV), "2001:db8::1"),
        (header(0x21, 0x21, MAPPED), "192.0.2.1"),
        (header(0x20, 0x00, b""), None),
        (header(0x20, 0x11, TCP4), None),
        (header(0x20, 0x11, b""), None),
        (header(0x21, 0x00, b""), None),
        (header(0x21, 0x00, TLV), None),
        (header(0x21, 0x12, TCP4), None),
        (header(0x21, 0x31, bytes(216)), None),
    ],
)
def test_a_header_says_whose_connection_it_is(sent: bytes, source: str | None) -> None:
    found = ProxyHeader(None if source is None else ip_address(source), len(sent))
    assert read(sent) == read(sent + b"GET") == found
    for cut in range(len(sent)):
        assert begins(sent[:cut])
        assert read(sent[:cut]) is None


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (header(0x11, 0x11, TCP4), "version and command are 0x11"),
        (header(0x22, 0x11, TCP4), "version and command are 0x22"),
        (header(0x31, 0x11, TCP4), "version and command are 0x31"),
        (header(0x21, 0x41, TCP4), "family and transport are 0x41"),
        (header(0x21, 0x13, TCP4), "family and transport are 0x13"),
        (header(0x21, 0x11, TCP4[:-1]), "its addresses have 11 bytes of 12"),
        (header(0x21, 0x21, TCP4), "its addresses have 12 bytes of 36"),
        (header(0x21, 0x11, b""), "its addresses have 0 bytes of 12"),
        (header(0x21, 0x11, TCP4 + bytes(MAX_BYTES - 15 - len(TCP4))), "it has 4097 bytes, and may have 4096"),
        (header(0x20, 0x00, bytes(65_535)), "it has 65551 bytes"),
    ],
)
def test_what_is_broken_is_known_by_its_first_bytes(sent: bytes, reason: str) -> None:
    with pytest.raises(BrokenHeader, match=reason):
        read(sent[:16])


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", PREFACE, b"\r\nGET", b"\r\n\r\n\0\r\nQUIT\r", b"PROXY TCP4 "])
def test_what_is_no_header(sent: bytes) -> None:
    assert not begins(sent)


@given(st.binary(max_size=80))
def test_anything_is_read(rest: bytes) -> None:
    """In so many bytes as it says, or not at all."""
    try:
        found = read(SIGNATURE + rest)
    except BrokenHeader:
        return
    if found is not None:
        assert 16 <= found.size <= len(SIGNATURE) + len(rest)
