from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stats.evidence_slots import Split
from gateway.stats.median import Median


def median(*numbers: float) -> Median:
    found = Median()
    for number in numbers:
        found.add(number)
    return found


def test_the_first_number_is_taken_as_it_is() -> None:
    assert Median().value is None
    assert median(0.25).value == 0.25


@pytest.mark.parametrize("first", [0.001, 0.1, 10.0])
def test_it_is_found_from_wherever_it_began(first: float) -> None:
    random = Random(3)
    value = median(first, *(random.lognormvariate(-3.0, 1.0) for _ in range(2_000))).value
    assert value == pytest.approx(0.0498, rel=0.3)  # e ** -3


def test_fewer_than_half_of_the_numbers_move_it_little() -> None:
    """Who sends two of five requests does not choose what counts as too short."""
    random = Random(4)
    numbers = [0.0001 if random.random() < 0.4 else random.uniform(0.08, 0.12) for _ in range(5_000)]
    value = median(*numbers).value
    assert value is not None
    assert 0.05 < value < 0.12


@given(st.lists(st.floats(1e-6, 1e3), min_size=1))
def test_it_stays_among_the_numbers(numbers: list[float]) -> None:
    value = median(*numbers).value
    assert value is not None
    assert min(numbers) <= value <= max(numbers)


@pytest.mark.parametrize(
    ("slow", "usual", "left", "says"),
    [
        (0.3, Median(), 0.3, True),
        (0.3, Median(), 0.29, False),
        (0.3, median(5.0), 0.3, True),
        (None, Median(), 0.001, True),
        (None, Median(), 0.0, False),
        (None, median(0.05), 0.049, False),
        (None, median(0.05), 0.05, True),
    ],
)
def test_what_a_request_with_little_time_says(slow: float | None, usual: Median, left: float, says: bool) -> None:
    assert Split({}, slow, usual, 1).says_something(left) is says
