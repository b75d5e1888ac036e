from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deployer.local.policy.autoscaler import Autoscaler


def follow(
    scaler: Autoscaler, load: Callable[[float], float | None], end: int, start: int = 0, least: int = 1, most: int = 10
) -> list[tuple[int, int]]:
    """Each change of the replicas with its second, under `load(second)` requests in flight and a target of 1."""
    total, changes, before = 0.0, [], scaler.replicas
    for second in range(start, end, 2):
        now = load(second)
        if now is None:
            scaler.sample(second, None)
        else:
            total += 2 * now
            scaler.sample(second, total)
        if (after := scaler.decide(second, 1.0, least, most)) != before:
            changes.append((second, after))
            before = after
    return changes


def test_more_replicas_come_step_by_step_and_only_for_a_load_that_lasts() -> None:
    changes = follow(Autoscaler(2), lambda second: 6.0, 600)
    assert [replicas for _, replicas in changes] == [3, 5, 6]  # at most half as many more each time, until 6 / 1
    assert changes[0][0] >= 54 + 60  # the window, then the stabilisation


def test_a_burst_starts_nothing() -> None:
    # For twelve seconds the average asks for a third replica.
    assert follow(Autoscaler(2), lambda second: 3.0 if 100 <= second < 130 else 1.5, 400) == []


def test_fewer_replicas_come_after_five_minutes_and_a_quarter_at_a_time() -> None:
    changes = follow(Autoscaler(8), lambda second: 0.0, 3000)
    assert [replicas for _, replicas in changes] == [6, 4, 3, 2, 1]
    assert changes[0][0] >= 300
    assert all(later - earlier >= 300 for (earlier, _), (later, _) in pairwise(changes))


def test_a_return_of_the_load_within_five_minutes_keeps_the_replicas() -> None:
    assert follow(Autoscaler(4), lambda second: 0.0 if 200 <= second < 400 else 4.0, 900) == []


def test_a_load_near_what_the_replicas_should_have_changes_nothing() -> None:
    assert follow(Autoscaler(4), lambda second: 4.19, 900) == []
    assert follow(Autoscaler(4), lambda second: 3.81, 900) == []


def test_no_data_changes_nothing() -> None:
    assert follow(Autoscaler(4), lambda second: None, 900) == []
    # The gateway is silent before the five minutes are over: the last that was known is no evidence any more.
    assert follow(Autoscaler(4), lambda second: 0.0 if second < 200 else None, 2000) == []


def test_a_gateway_started_anew_is_no_drop_of_the_load() -> None:
    scaler = Autoscaler(4)
    assert follow(scaler, lambda second: 4.0, 400) == []
    assert follow(scaler, lambda second: 4.0, 800, start=400) == []  # counts from 0 again


def test_a_burst_after_a_silence_starts_none() -> None:
    """At rest samples go on, and nobody asks for a decision."""
    scaler = Autoscaler(1)
    for second in range(0, 80, 2):
        scaler.sample(second, 0.0)
    scaler.decide(0, 1.0, 1, 4)
    for second in range(80, 140, 10):
        scaler.sample(second, 300.0 + 4 * (second - 80))
        assert scaler.decide(second, 1.0, 1, 4) == 1
    scaler.sample(142, 300.0 + 4 * 62)
    assert scaler.decide(142, 1.0, 1, 4) == 2


def test_the_document_has_the_last_word() -> None:
    scaler = Autoscaler(4)
    assert scaler.decide(0, 1.0, 1, 2) == 2
    assert scaler.decide(1, 1.0, 3, 5) == 3


@given(
    loads=st.lists(st.none() | st.floats(0, 50), min_size=1, max_size=60),
    least=st.integers(1, 4),
    more=st.integers(0, 4),
    replicas=st.integers(1, 20),
)
def test_the_replicas_stay_in_bounds(loads: list[float | None], least: int, more: int, replicas: int) -> None:
    scaler = Autoscaler(replicas)
    total = 0.0
    for step, load in enumerate(loads):
        total += 20 * (load or 0.0)
        scaler.sample(20 * step, None if load is None else total)
        assert least <= scaler.decide(20 * step, 2.0, least, least + more) <= least + more
