from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.caller import among, caller_key
from gateway.wire.forwarded import MAX_PARTS, MAX_PROXIES, caller_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))
A, B, PROXY, PROXY_6 = b"192.0.2.1", b"198.51.100.7", b"10.0.0.9", b"2001:db8:ffff::9"


@pytest.mark.parametrize(
    ("fields", "caller"),
    [
        ([], None),
        ([b""], None),
        ([A], "192.0.2.1"),
        ([b"%b,\t%b" % (B, A)], "192.0.2.1"),
        ([b"%b, %b" % (A, PROXY)], "192.0.2.1"),
        ([b"%b, %b, %b, %b" % (B, A, PROXY_6, PROXY)], "192.0.2.1"),
        ([B, A], "192.0.2.1"),
        ([B, b"%b, %b" % (A, PROXY), PROXY], "192.0.2.1"),
        ([b"192.0.2.1:4711"], "192.0.2.1"),
        ([b"::ffff:192.0.2.1"], "192.0.2.1"),
        ([b"2001:db8:1:2:3::9"], "2001:db8:1:2::/64"),
        ([b"[2001:db8:1:2:3::9]:4711"], "2001:db8:1:2::/64"),
        ([b"%b, %b" % (PROXY_6, PROXY)], None),
        ([b"unknown"], None),
        ([b"%b, unknown" % A], None),
        ([b"unknown, %b" % A], "192.0.2.1"),
        ([b"%b," % A], None),
        ([b"%b %b" % (A, B)], None),
        ([b"192.0.2.256"], None),
        ([b"[192.0.2.1]:port"], None),
        ([b"fe80::1%eth0"], None),
        ([b"\xff"], None),
        ([b"%b%b" % (A, b", 10.0.0.9" * MAX_PROXIES)], "192.0.2.1"),
        ([b"%b%b" % (A, b", 10.0.0.9" * (MAX_PROXIES + 1))], None),
        ([A] + [PROXY] * MAX_PROXIES, "192.0.2.1"),
        ([A] + [PROXY] * (MAX_PROXIES + 1), None),
    ],
)
def test_x_forwarded_for(fields: list[bytes], caller: str | None) -> None:
    assert caller_of([], fields, PROXIES) == caller


@pytest.mark.parametrize(
    ("fields", "caller"),
    [
        ([b"for=192.0.2.1"], "192.0.2.1"),
        ([b"For=192.0.2.1;proto=https;by=10.0.0.1"], "192.0.2.1"),
        ([b'proto=https ; FOR="192.0.2.1:4711"'], "192.0.2.1"),
        ([b'for="192.0.2.1:_port"'], "192.0.2.1"),
        ([b'for="[2001:db8:1:2:3::9]"'], "2001:db8:1:2::/64"),
        ([b'for="[2001:db8:1:2:3::9]:4711"'], "2001:db8:1:2::/64"),
        ([b"for=198.51.100.7, for=192.0.2.1,for=10.0.0.9"], "192.0.2.1"),
        ([b"for=198.51.100.7, for=192.0.2.1", b'for="[2001:db8:ffff::9]"', b"for=10.0.0.9"], "192.0.2.1"),
        ([b'for=192.0.2.1;host="a, for=198.51.100.7"'], "192.0.2.1"),
        ([b'for=192.0.2.1;host="\\", for=198.51.100.7"'], "192.0.2.1"),
        ([b"for=192.0.2.1, ,"], "192.0.2.1"),
        ([b"for=192.0.2.1;"], "192.0.2.1"),
        ([b"for=10.0.0.9"], None),
        ([b"for=unknown"], None),
        ([b"for=_hidden"], None),
        ([b"for=192.0.2.1, for=unknown"], None),
        ([b"for=192.0.2.1, proto=https"], None),
        ([b"for=192.0.2.1;for=192.0.2.1"], None),
        ([b"for=192.0.2.1:4711"], None),
        ([b"for="], None),
        ([b'for=""'], None),
        ([b"for = 192.0.2.1"], None),
        ([b"192.0.2.1"], None),
        ([b'for="192.0.2.1'], None),
        ([b'for="198.51.100.7, for=192.0.2.1'], None),
        ([b'host="a', b"for=192.0.2.1"], "192.0.2.1"),
        ([b'host="a', b"for=10.0.0.9"], None),
        ([b"for=192.0.2.1 for=192.0.2.1"], None),
        ([b"for=192.0.2.1%b" % (b";" * (MAX_PARTS - 1))], "192.0.2.1"),
        ([b"for=192.0.2.1%b" % (b";" * MAX_PARTS)], None),
        ([b"for=192.0.2.1%b" % (b"," * MAX_PARTS)], None),
        ([b"for=192.0.2.1", *[b""] * (MAX_PARTS - 1)], "192.0.2.1"),
        ([b"for=192.0.2.1", *[b""] * MAX_PARTS], None),
        ([b"for=192.0.2.1", *[b"for=10.0.0.9"] * MAX_PROXIES], "192.0.2.1"),
        ([b"for=192.0.2.1", *[b"for=10.0.0.9"] * (MAX_PROXIES + 1)], None),
    ],
)
def test_forwarded(fields: list[bytes], caller: str | None) -> None:
    assert caller_of(fields, [], PROXIES) == caller


@pytest.mark.parametrize(
    ("forwarded", "x_forwarded_for", "caller"),
    [
        (b"for=192.0.2.1", A, "192.0.2.1"),
        (b"for=198.51.100.7, for=192.0.2.1", b"%b, %b" % (A, PROXY), "192.0.2.1"),
        (b"for=192.0.2.1", B, None),
        (b"for=192.0.2.1", b"unknown", None),
        (b"garbage", A, None),
    ],
)
def test_what_only_one_of_two_fields_says_its_caller_may_have_written(
    forwarded: bytes, x_forwarded_for: bytes, caller: str | None
) -> None:
    assert caller_of([forwarded], [x_forwarded_for], PROXIES) == caller


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
named = st.sampled_from([IPv4Address("10.1.2.3"), IPv6Address("2001:db8:ffff::1")])
garbage = st.one_of(st.binary(max_size=50), st.text('for=1,;:."\\[] \t', max_size=50).map(str.encode))


@given(
    st.lists(garbage, max_size=3), addresses.filter(lambda one: not among(one, PROXIES)), st.lists(named, max_size=9)
)
def test_nothing_that_a_caller_writes_hides_him(
    written: list[bytes], caller: IPv4Address | IPv6Address, way: list[IPv4Address | IPv6Address]
) -> None:
    """Each proxy adds a field of its own, or goes on with the last one."""
    key = caller_key(getattr(caller, "ipv4_mapped", None) or caller)
    hops = [str(one).encode() for one in (caller, *way)]
    assert caller_of([], [*written, *hops], PROXIES) == key
    assert caller_of([], [b", ".join((*written, *hops))], PROXIES) == key
    nodes = [b'for="[%b]"' % one if b":" in one else b"for=%b" % one for one in hops]
    assert caller_of([*written, *nodes], [], PROXIES) == key
    assert caller_of([b", ".join((*written, *nodes))], [], PROXIES) in (key, None)


@given(st.lists(garbage, max_size=3), st.lists(garbage, max_size=3))
def test_anything_is_read(forwarded: list[bytes], x_forwarded_for: list[bytes]) -> None:
    caller_of(forwarded, x_forwarded_for, PROXIES)
