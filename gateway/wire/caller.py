"""Who calls, as far as addresses tell: by what callers are told apart."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IpAddress = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

_HOST_BITS = 64
"""Of IPv6: whoever has one address has all that begin with the same 64 bits."""


def parse(text: str) -> IpAddress:
    """Raises ValueError. A socket that listens on `::` has IPv4's addresses as IPv6's: they are what they were."""
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))  # without its zone


def caller_key(address: IpAddress) -> str:
    """What stands for all of one caller's addresses: `192.0.2.1`, `2001:db8::/64`."""
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS)}/{_HOST_BITS}"


def among(address: IpAddress, networks: Networks) -> bool:
    """Whether one of them has it."""
    return any(address in network for network in networks)
