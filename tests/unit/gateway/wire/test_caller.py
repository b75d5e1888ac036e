from __future__ import annotations

import pytest

from gateway.wire.caller import caller_key, parse


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_an_address_is_its_caller_s(text: str, key: str) -> None:
    assert caller_key(parse(text)) == key


@pytest.mark.parametrize("text", ["", "unknown", "192.0.2", "192.0.2.1:80", "[::1]", "192.0.2.0/24", "1", "::1::"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        parse(text)
