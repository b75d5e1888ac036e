"""How many retries there may be: a fifth of the requests, ten a second, and a hundred at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.policy.retry_budget import RetryBudget


def drained(budget: RetryBudget, now: float) -> int:
    """How many can be taken at once."""
    count = 0
    while budget.take(now):
        count += 1
    return count


def test_it_starts_full_and_ends() -> None:
    budget = RetryBudget(5.0)
    assert drained(budget, 5.0) == 100
    assert not budget.take(5.0)


def test_time_and_requests_fill_it() -> None:
    budget = RetryBudget(0.0)
    drained(budget, 0.0)
    assert drained(budget, 2.0) == 20
    for _ in range(52):
        budget.request()
    assert drained(budget, 2.0) == 10


def test_it_holds_no_more_than_it_is_deep() -> None:
    budget = RetryBudget(0.0)
    for _ in range(100_000):
        budget.request()
    assert drained(budget, 1000.0) == 100


@given(st.lists(st.one_of(st.floats(0, 10), st.sampled_from(["request", "take"])), max_size=500))
def test_retries_stay_within_it(events: list[float | str]) -> None:
    budget, now, requests, taken = RetryBudget(0.0), 0.0, 0, 0
    for event in events:
        if event == "request":
            requests += 1
            budget.request()
        elif event == "take":
            taken += budget.take(now)
        else:
            now += float(event)
    assert taken <= 100 + 0.2 * requests + 10 * now + 1e-6
