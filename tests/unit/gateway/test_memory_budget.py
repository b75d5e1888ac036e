from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.memory_budget import MemoryBudget, MemoryShare
from gateway.refusal import Refusal

LIMIT = 1 << 20


def fill(share: MemoryShare, piece: int = 1) -> int:
    while share.allows(piece):
        share.take(piece)
    return share.held


def test_one_alone_has_half() -> None:
    assert fill(MemoryShare(MemoryBudget(1000), "192.0.2.1")) == 500


def test_what_is_given_back_is_free_again() -> None:
    budget = MemoryBudget(1000)
    share = MemoryShare(budget, "192.0.2.1")
    fill(share)
    with pytest.raises(
        Refusal, match="this client holds 500 bytes of requests and answers and the gateway 500, as much"
    ):
        share.take(1)
    share.add(-500)
    assert budget.held == 0
    assert fill(MemoryShare(budget, "192.0.2.1")) == 500


def test_a_caller_s_connections_share_what_is_his() -> None:
    budget = MemoryBudget(1000)
    one, other = budget.share_of("192.0.2.1"), budget.share_of("2001:db8::/64")
    assert fill(one) == 500
    assert not budget.share_of("192.0.2.1").allows(1)
    assert fill(other) == 250
    one.add(-500)
    del one
    assert budget.share_of("192.0.2.1").held == 0


@given(st.integers(1, 1000))
def test_however_many_fill_their_shares_one_more_has_as_much_as_the_least(hogs: int) -> None:
    budget = MemoryBudget(LIMIT)
    least = min(fill(MemoryShare(budget, "192.0.2.1"), 64) for _ in range(hogs))
    assert budget.limit - budget.held >= least
    newcomer = MemoryShare(budget, "192.0.2.1")
    assert newcomer.allows((budget.limit - budget.held) // 2)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, LIMIT // 4))))
def test_never_more_than_the_budget(requests: list[tuple[int, int]]) -> None:
    budget = MemoryBudget(LIMIT)
    shares = [MemoryShare(budget, "192.0.2.1") for _ in range(10)]
    for number, size in requests:
        if shares[number].allows(size):
            shares[number].take(size)
    assert budget.held == sum(share.held for share in shares) <= LIMIT
