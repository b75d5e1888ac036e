from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from loadtests.statistics import ratio, share_holds

figures = st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=2, max_size=30)


def test_pairs_that_agree_leave_no_doubt() -> None:
    found = ratio([12.0, 24.0, 6.0], [10.0, 20.0, 5.0])
    assert found.pairs == 3
    assert found == pytest.approx((1.2, 1.2, 1.2, 3))


def test_known_interval() -> None:
    # Logarithms 0, ln 2, 2 ln 2: mean ln 2, deviation ln 2, and t(0.975, 2 degrees of freedom) = 4.302653.
    found = ratio([1.0, 2.0, 4.0], [1.0, 1.0, 1.0])
    half = 4.302653 * math.log(2) / math.sqrt(3)
    assert found.mean == pytest.approx(2)
    assert found.low == pytest.approx(2 * math.exp(-half), rel=1e-6)
    assert found.high == pytest.approx(2 * math.exp(half), rel=1e-6)


def test_a_machine_that_slows_down_for_both_widens_nothing() -> None:
    found = ratio([130.0, 65.0, 13.0], [100.0, 50.0, 10.0])
    assert found.high - found.low == pytest.approx(0, abs=1e-9)


@given(figures)
def test_the_interval_holds_the_mean_and_mirrors_when_the_sides_are_swapped(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    found, swapped = ratio(ours, theirs), ratio(theirs, ours)
    assert found.low <= found.mean * (1 + 1e-9)
    assert found.mean <= found.high * (1 + 1e-9)
    assert found.mean == pytest.approx(statistics.geometric_mean([a / b for a, b in pairs]), rel=1e-6)
    assert swapped.low == pytest.approx(1 / found.high, rel=1e-6)


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    ours, theirs = [13.1, 12.2, 14.9, 13.3], [10.2, 10.4, 10.1, 11.0]
    expected = ttest_rel([math.log(x) for x in ours], [math.log(x) for x in theirs]).confidence_interval(0.95)
    found = ratio(ours, theirs)
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [([1.0], [1.0]), ([], []), ([1.0, 2.0], [1.0]), ([1.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, -1.0])],
)
def test_what_has_no_ratio_is_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match=r"pairs|above 0"):
        ratio(ours, theirs)


@pytest.mark.parametrize(
    ("hits", "total", "holds"),
    # One deviation of 10 % of 10,000 is 30: the bounds at five are 850 and 1,150.
    [(1000, 10_000, True), (1150, 10_000, True), (850, 10_000, True), (1151, 10_000, False), (849, 10_000, False)],
)
def test_share_holds_within_five_deviations(hits: int, total: int, holds: bool) -> None:
    assert share_holds(hits, total, 0.1) is holds
