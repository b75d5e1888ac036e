"""Sticky keys: what they hash to, and where they stand in a request."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gateway.contract.evidence import BUCKETS
from gateway.contract.route_table import Sticky
from gateway.routing.sticky import key, position

SALT = "lab/digits v1 v2 1"

DIGESTS = [
    (SALT, b"alice", "7b21c498c9193cfc96bc154d883d7428"),
    (SALT, b"bob", "d6ec6a963d2c22cd63d11f53c7745766"),
    ("lab/digits v1 v2 2", b"alice", "3fabb1013185bb22ea4c169a8d94a9a3"),
    ("", b"alice", "041093537313cfbcd86607f0dfa6c0e6"),
    (SALT, "é".encode(), "f5dc2c7a4336b34b121d4651005d2915"),
]
"""By `printf 'SALT\\0KEY' | b2sum -l 128`."""


@pytest.mark.parametrize(("salt", "value", "digest"), DIGESTS)
def test_a_cohort_is_two_halves_of_a_digest(salt: str, value: bytes, digest: str) -> None:
    share, bucket = position(salt, value)
    assert share == pytest.approx(int(digest[:16], 16) / 2**64, abs=2**-53)
    assert bucket == int(digest[16:], 16) % 10_000


@given(st.text(), st.binary())
def test_every_key_has_a_share_below_1(salt: str, value: bytes) -> None:
    share, bucket = position(salt, value)
    assert 0 <= share < 1
    assert 0 <= bucket < BUCKETS


def test_the_largest_digest_is_below_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its key would have stable at weight 100."""

    class Largest:
        def __init__(self, data: bytes, digest_size: int) -> None:
            self.size = digest_size

        def digest(self) -> bytes:
            return b"\xff" * self.size

    monkeypatch.setattr("gateway.routing.sticky.blake2b", Largest)
    assert position("", b"x").share * 100 < 100


def test_shares_are_uniform_and_tell_nothing_of_buckets_or_of_other_rollouts() -> None:
    first = [position("one", b"%d" % number) for number in range(50_000)]
    second = [position("two", b"%d" % number) for number in range(50_000)]
    assert stats.kstest([each.share for each in first], "uniform").pvalue > 1e-4
    assert stats.chisquare(list(Counter(each.bucket for each in first).values())).pvalue > 1e-4
    for others in ([each.bucket / BUCKETS for each in first], [each.share for each in second]):
        pairs = Counter((int(each.share * 20), int(other * 20)) for each, other in zip(first, others, strict=True))
        table = [[pairs[row, column] for column in range(20)] for row in range(20)]
        assert stats.chi2_contingency(table).pvalue > 1e-4


def test_a_key_stands_in_a_header() -> None:
    sticky = Sticky(header="x-user")
    assert key(sticky, {b"x-user": b"alice", b"cookie": b"x-user=bob"}) == b"alice"
    assert key(sticky, {b"cookie": b"x-user=bob"}) == b""
    assert key(sticky, {b"x-user": b""}) == b""


@pytest.mark.parametrize(
    ("cookies", "value"),
    [
        (b"user=alice", b"alice"),
        (b"theme=dark; user=alice; x=1", b"alice"),
        (b"theme=dark;user=alice", b"alice"),
        (b" theme=dark ;\t user=alice \t", b"alice"),
        (b'user="alice"', b"alice"),
        (b"user=a=b==", b"a=b=="),
        (b"user=alice; user=bob", b"alice"),
        (b"malformed; user=alice; {}", b"alice"),
        (b"", b""),
        (b"user", b""),
        (b"user=", b""),
        (b'user=""', b""),
        (b"User=alice", b""),
        (b"xuser=alice; user2=bob", b""),
        (b"user =alice", b""),
        (b'user="alice', b""),
        (b'user=alice"', b""),
        (b'user="al"ice"', b""),
        (b'user="alice; bob"', b""),
        (b"user=al ice", b""),
        (b"user=al,ice", b""),
        (b"user=al\\ice", b""),
        (b"user=\xc3\xa9", b""),
        (b"user=al\x01ice", b""),
    ],
)
def test_a_key_stands_in_a_cookie(cookies: bytes, value: bytes) -> None:
    assert key(Sticky(cookie="user"), {b"cookie": cookies, b"user": b"forged"}) == value


def test_a_request_without_cookies_has_no_key() -> None:
    assert key(Sticky(cookie="user"), {}) == b""
