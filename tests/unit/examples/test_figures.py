from __future__ import annotations

from math import inf, isnan

import pytest

from examples.demo.figures import Figures


@pytest.mark.parametrize(
    ("q", "seconds"),
    [
        (0.0, 0.0),
        (0.25, 0.0005),  # half of the first bucket
        (0.5, 0.001),
        (0.75, 0.0015),
        (0.9, 0.0018),
    ],
)
def test_a_quantile_is_linear_within_its_bucket(q: float, seconds: float) -> None:
    assert Figures(within={0.002: 100, inf: 100, 0.001: 50}).quantile(q) == pytest.approx(seconds)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert Figures(within={1.0: 1, inf: 10}).quantile(0.99) == 1.0


def test_a_quantile_skips_buckets_that_nothing_fell_into() -> None:
    assert Figures(within={1.0: 0, 2.0: 0, 3.0: 10, inf: 10}).quantile(0.5) == pytest.approx(2.5)


def test_nothing_has_no_quantile() -> None:
    assert isnan(Figures().quantile(0.5))
    assert isnan(Figures(within={1.0: 0, inf: 0}).quantile(0.5))


def test_the_difference_of_two_moments_is_what_was_counted_between() -> None:
    before = Figures(10, 1, {0.1: 4, inf: 10})
    after = Figures(30, 4, {0.1: 5, inf: 30})
    assert after.since(before) == Figures(20, 3, {0.1: 1, inf: 20})
    assert after.since(Figures()) == after
