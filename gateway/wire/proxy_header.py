"""The header of PROXY protocol, version 2, by which a proxy says whose connection it carries:
https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from gateway.wire.caller import IpAddress

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""What begins so is no request of HTTP/1 nor of HTTP/2."""

MAX_BYTES: Final = 4096
"""Of a header: its addresses take up 52 at most, and what else a balancer tells of a connection some hundreds."""

_FIXED = len(SIGNATURE) + 4
_VERSION = 0x20
_LOCAL, _PROXY = 0, 1
_TCP4, _TCP6 = 0x11, 0x21
_ADDRESSES_BYTES = {_TCP4: 12, _TCP6: 36}
"""Of both ends, with their ports."""


class BrokenHeader(ValueError):
    """What began with the signature is no header; the message says why."""


class ProxyHeader(NamedTuple):
    source: IpAddress | None
    """Whose connection it is; None: the proxy's own, or one of no address."""
    size: int
    """What follows is the connection's."""


def begins(data: bytes) -> bool:
    """Whether `data` is a header, or may be the beginning of one."""
    return data.startswith(SIGNATURE) or SIGNATURE.startswith(data)


def read(data: bytes) -> ProxyHeader | None:
    """The header that `data`, of which `begins` is true, begins with; None: there is more to come.

    Raises BrokenHeader.
    """
    if len(data) < _FIXED:
        return None
    version, kind = data[12], data[13]
    size = _FIXED + int.from_bytes(data[14:16], "big")
    command = version - _VERSION
    if command not in (_LOCAL, _PROXY):
        raise BrokenHeader(f"version and command are {version:#04x}")
    if kind >> 4 > 3 or kind & 0xF > 2:
        raise BrokenHeader(f"family and transport are {kind:#04x}")
    if size > MAX_BYTES:
        raise BrokenHeader(f"it has {size} bytes, and may have {MAX_BYTES}")
    needed = _ADDRESSES_BYTES.get(kind, 0) if command == _PROXY else 0
    if size < _FIXED + needed:
        raise BrokenHeader(f"its addresses have {size - _FIXED} bytes of {needed}")
    if len(data) < size:
        return None
    if not needed:
        return ProxyHeader(None, size)
    if kind == _TCP4:
        return ProxyHeader(IPv4Address(data[_FIXED : _FIXED + 4]), size)
    source = IPv6Address(data[_FIXED : _FIXED + 16])
    return ProxyHeader(source.ipv4_mapped or source, size)
