from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.local.policy.backoff import LONGEST, WELL_AFTER, Backoff, Trouble


@pytest.mark.parametrize(("failures", "shortest"), [(0, 0.25), (1, 0.5), (2, 1.0), (6, 16.0), (7, 30.0), (500, 30.0)])
def test_delays_double_up_to_a_bound(failures: int, shortest: float) -> None:
    backoff = Backoff(failures).failed(now=100, u=0)
    assert backoff == Backoff(failures + 1, 100 + shortest)


@pytest.mark.parametrize(("failures", "after"), [(0, (5, 8.0)), (4, (5, 8.0)), (5, (6, 16.0))])
def test_what_only_a_change_can_mend_is_tried_slowly_at_once(failures: int, after: tuple[int, float]) -> None:
    assert Backoff(failures).failed(now=100, u=1, hopeless=True) == Backoff(after[0], 100 + after[1])


@given(failures=st.integers(0, 10_000), now=st.floats(0, 1e6), u=st.floats(0, 1, exclude_max=True))
def test_a_delay_is_jittered_and_bounded(failures: int, now: float, u: float) -> None:
    delay = Backoff(failures).failed(now, u).not_before - now
    assert 0.24 < delay <= LONGEST
    assert Backoff(failures).failed(now, 0).not_before <= now + delay + 1e-6


def test_failures_are_forgotten_once_it_has_run_well_and_no_sooner() -> None:
    trouble = Trouble()
    trouble.failed("no memory", now=0, u=0.5)
    trouble.watch(True, now=10)
    trouble.watch(True, now=10 + WELL_AFTER - 1)
    assert (trouble.backoff.failures, trouble.reason) == (1, "no memory")
    trouble.watch(False, now=10 + WELL_AFTER)  # one replica is not ready: the time begins anew
    trouble.watch(True, now=11 + WELL_AFTER)
    trouble.watch(True, now=12 + WELL_AFTER)
    assert trouble.backoff.failures == 1
    trouble.watch(True, now=12 + 2 * WELL_AFTER)
    assert (trouble.backoff, trouble.reason) == (Backoff(), "")
