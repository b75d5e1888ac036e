"""The sampler of logged failures."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.stats.log_sampler import Sampler


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    sampler = Sampler(2)
    assert [sampler.allow(100.0) for _ in range(4)] == [(True, 0), (True, 0), (False, 0), (False, 0)]
    assert sampler.allow(100.4) == (False, 0)
    assert sampler.allow(100.5) == (True, 3)
    assert sampler.allow(1000.0) == (True, 0)


def test_less_than_one_a_second() -> None:
    sampler = Sampler(0.1)
    assert [sampler.allow(now)[0] for now in (50.0, 55.0, 59.0, 60.1)] == [True, False, False, True]


@given(st.floats(0.1, 50), st.lists(st.floats(0, 3), max_size=60))
def test_no_more_than_the_rate_and_every_failure_is_accounted_for(rate: float, pauses: list[float]) -> None:
    sampler = Sampler(rate)
    now, logged, suppressed, since = 10.0, 0, 0, 0
    for pause in pauses:
        now += pause
        allowed, missed = sampler.allow(now)
        logged += allowed
        suppressed += missed
        since = 0 if allowed else since + 1
    assert logged + suppressed + since == len(pauses)
    assert logged <= max(rate, 1) + rate * sum(pauses) + 1e-6
