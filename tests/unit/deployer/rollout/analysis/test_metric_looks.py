"""When a user's metric is out of its limits too often: by chance hardly ever, however long one looks."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.rollout.analysis.metric_looks import LEAST_BAD, TOLERATED, MetricLooks


def after(pattern: list[bool]) -> MetricLooks:
    looks = MetricLooks()
    for index, bad in enumerate(pattern):
        looks = looks.after(bad, 10.0 * index)
    return looks


def caught(good: int, pattern: list[bool], most: int = 1000) -> int | None:
    """Looks until it is broken, where it was good for so many before it begins to go by `pattern`."""
    looks = after([False] * good)
    for index in range(most):
        looks = looks.after(pattern[index % len(pattern)], 0.0)
        if looks.is_broken(1):
            return index + 1
    return None


@pytest.mark.parametrize(
    ("good", "pattern", "within"),
    [
        (0, [True], 3),
        (60, [True], 5),
        (360, [True], 6),  # an hour
        (8640, [True], 9),  # a day
        (0, [True, True, False], 4),
        (360, [True, True, False], 15),
        (0, [True, False], 9),
        (0, [True, False, False], 20),
        (0, [True] + [False] * 19, None),
    ],
)
def test_how_soon(good: int, pattern: list[bool], within: int | None) -> None:
    found = caught(good, pattern)
    assert found is None if within is None else found is not None and found <= within


def test_by_chance_it_comes_to_its_bar_in_one_rollout_of_a_hundred_at_most() -> None:
    """Looked at after each of 720 looks, which are two hours."""
    chance, broken = Random(1), 0
    for _ in range(1000):
        looks = MetricLooks()
        for _ in range(720):
            looks = looks.after(chance.random() < TOLERATED, 0.0)
            if looks.is_broken(1):
                broken += 1
                break
    assert broken <= 10


@given(st.lists(st.booleans(), max_size=60))
def test_its_mean_under_what_is_tolerated_is_one(pattern: list[bool]) -> None:
    """What makes it an e-value: whatever was seen, the next look multiplies it by 1 in the mean."""
    looks = after(pattern)
    mean = TOLERATED * looks.after(True, 0.0).against + (1 - TOLERATED) * looks.after(False, 0.0).against
    assert mean == pytest.approx(looks.against)


@given(st.lists(st.booleans(), max_size=60))
def test_fewer_than_three_bad_looks_break_nothing(pattern: list[bool]) -> None:
    looks = after(pattern)
    assert looks.bad == sum(pattern)
    assert looks.looks == len(pattern)
    assert looks.bad >= LEAST_BAD or not looks.is_broken(1)


def test_of_many_metrics_each_has_to_show_more() -> None:
    looks = after([False] * 100 + [True] * 5)
    assert looks.is_broken(1)
    assert not looks.is_broken(8)
