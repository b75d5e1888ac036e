"""A rollout goes by the time that was observed: sleep, and a clock that is set, count for next to nothing."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.rollout.clock import KEPT_EVERY, MOST, Clock
from deployer.rollout.state import Action, Phase
from deployer.rollout.status import time
from tests.fakes.rollout import ROLLOUT, RolloutHarness, declared


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_whatever_the_wall_clock_does_time_goes_on_by_a_bounded_step(gaps: list[float]) -> None:
    walls = itertools.accumulate(gaps, initial=1.8e9)
    clock = Clock().advanced(next(walls))
    for wall in walls:
        later = clock.advanced(wall)
        assert clock.now - 1e-5 <= later.now <= clock.now + MOST + 1e-5
        assert later.wall(later.now) == pytest.approx(wall, abs=1e-5)
        clock = later


def baking() -> RolloutHarness:
    world = RolloutHarness(declared(rollout={**ROLLOUT, "bake": "30m"}))
    world.until_phase(Phase.BAKING)
    world.look()
    return world


@pytest.mark.parametrize("jump", [2400.0, 86_400.0, -86_400.0])
def test_a_clock_that_is_set_ends_no_bake(jump: float) -> None:
    world = baking()
    world.now += jump
    world.looks(1750)
    assert world.rollout.phase is Phase.BAKING
    world.until(lambda: world.rollout.phase is Phase.PROMOTED, looks=60)


def test_a_machine_that_sleeps_while_the_canary_warms_up_does_not_roll_it_back() -> None:
    world = RolloutHarness(declared(rollout={**ROLLOUT, "deadline": "40s"}))
    world.ready = {"v1": 1, "v2": 0}
    world.looks(10)
    world.now += 3600
    world.looks(15)
    assert world.rollout.phase is Phase.WARMING
    world.looks(15)
    assert world.rollout.reason == "v2 was not ready within 40 s"


def test_people_are_told_times_of_the_wall_clock() -> None:
    world = baking()
    began, entered = world.known.began, world.known.entered
    world.now += 7200
    decision = world.look()
    assert decision.status is not None
    assert decision.status.began == time(entered)
    left = 1800 - world.known.clock.now + (world.rollout.since or 0)
    assert decision.status.earliest == time(world.now + left)
    world.until_phase(Phase.PROMOTED)
    record = world.known.history[-1]
    assert (record.began, record.ended) == (began, world.now)


def test_at_a_pause_nothing_is_kept_for_the_time_alone() -> None:
    world = RolloutHarness(declared())
    world.until_weight(5)
    world.ask(Action.PAUSE)
    world.look()
    world.traffic = 0
    world.looks(3)
    written = world.stored
    world.looks(100)
    assert world.stored == written


def test_else_it_is_kept_now_and_then() -> None:
    world = RolloutHarness(declared(), traffic=0)
    world.until_weight(5)
    written = set()
    for _ in range(50):
        world.look()
        written.add(world.stored)
    assert 50 / KEPT_EVERY - 1 <= len(written) <= 50 / KEPT_EVERY + 2


def test_the_time_of_a_step_that_is_overdue_goes_on_where_evidence_comes_now_and_then() -> None:
    world = RolloutHarness(declared(rollout={**ROLLOUT, "deadline": "30s"}), traffic=0)
    world.until_weight(5)
    world.looks(40)
    assert world.rollout.overdue
    for _ in range(3):
        before = world.known.clock
        world.looks(99)
        world.traffic = 20
        world.look()
        world.traffic = 0
        assert world.known.clock.now - before.now == pytest.approx(world.known.clock.at - before.at)
