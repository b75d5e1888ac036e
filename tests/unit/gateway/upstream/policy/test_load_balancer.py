"""The choice of an endpoint: two at random, the one with less in flight; the ejected and the tried last."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.policy.load_balancer import pick
from gateway.upstream.policy.outlier_detection import OutlierDetection


class Loaded:
    def __init__(self, in_flight: int = 0, until: float = 0.0) -> None:
        self.in_flight = in_flight
        self.ejection = OutlierDetection()
        self.ejection.until = until

    def __repr__(self) -> str:
        return f"<{self.in_flight} in flight, out until {self.ejection.until}>"


units = st.floats(0, 1, exclude_max=True)
loads = st.builds(Loaded, st.integers(0, 5), st.sampled_from([0.0, 99.0, 101.0]))
NOW = 100.0


def test_there_is_none_where_there_are_none() -> None:
    assert pick([], (), NOW, 0.5, 0.5) is None


@given(st.lists(loads, min_size=1, max_size=6), st.sets(st.integers(0, 5)), units, units)
def test_one_is_always_found_and_the_best_kind_of_it(made: list[Loaded], at: set[int], u1: float, u2: float) -> None:
    tried = [made[index] for index in at if index < len(made)]
    picked = pick(made, tried, NOW, u1, u2)
    assert picked in made
    fresh = [one for one in made if one not in tried]
    able = [one for one in fresh if one.ejection.until <= NOW]
    assert picked in (able or fresh or made)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6), units, units)
def test_the_most_loaded_is_never_taken_where_it_is_alone_in_that(loads: list[int], u1: float, u2: float) -> None:
    made = [Loaded(load) for load in [*loads, 10]]
    assert pick(made, (), NOW, u1, u2) is not made[-1]


@given(units, units)
def test_of_two_the_less_loaded_is_taken(u1: float, u2: float) -> None:
    low, high = Loaded(1), Loaded(2)
    assert pick([low, high], (), NOW, u1, u2) is low
    assert pick([high, low], (), NOW, u1, u2) is low


def test_equals_are_taken_equally() -> None:
    draw = random.Random(1).random
    made = [Loaded() for _ in range(5)]
    taken = Counter(id(pick(made, (), NOW, draw(), draw())) for _ in range(10_000))
    assert all(1_800 < taken[id(one)] < 2_200 for one in made)


def test_load_evens_out() -> None:
    draw = random.Random(2).random
    made = [Loaded() for _ in range(10)]
    for _ in range(10_000):
        picked = pick(made, (), NOW, draw(), draw())
        assert picked is not None
        picked.in_flight += 1
    assert max(one.in_flight for one in made) - min(one.in_flight for one in made) <= 10
