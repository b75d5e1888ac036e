"""The state machine's rules, one by one: what people ask for and change half-way, and crashes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployer.rollout.analysis.products import Evidence, Objective
from deployer.rollout.state import AWAITING, Action, Phase, Route, StepInput
from deployer.rollout.state_machine import step
from deployer.rollout.strategy import Pause
from tests.fakes.state_machine import (
    ALL,
    ERRORS,
    PLAN,
    SILENCE,
    SLOW,
    TRIAL,
    StateMachineHarness,
    bad,
    counts,
    good,
    stands,
)

# People.


def test_an_action_is_taken_once() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    action = ("a token", Action.PAUSE)
    assert world.step().paused is None
    rollout = step(
        world.rollout, PLAN, StepInput(world.now, TRIAL, world.route, True, ALL, SILENCE, action=action)
    ).rollout
    assert rollout is not None
    assert (rollout.paused, rollout.handled) == ("paused by hand", "a token")
    resumed = replace(rollout, paused=None)
    assert (
        step(resumed, PLAN, StepInput(world.now, TRIAL, world.route, True, ALL, SILENCE, action=action)).rollout
        == resumed
    )


def test_an_order_from_before_the_first_rollout_is_void() -> None:
    world = StateMachineHarness()
    assert world.step(action=Action.PROMOTE).handled == "action 1"
    world.actions = 0
    assert not world.step(action=Action.PROMOTE).forced


@pytest.mark.parametrize("phase", [Phase.WARMING, Phase.STEP, Phase.PROMOTING, Phase.BAKING])
def test_what_is_paused_stays_until_it_is_resumed(phase: Phase) -> None:
    steps = {Phase.PROMOTING: 2, Phase.BAKING: 2}
    world = StateMachineHarness().at(phase, steps.get(phase, 0))
    paused = world.step(action=Action.PAUSE)
    assert paused.paused == "paused by hand"
    for _ in range(10):
        rollout = world.step(10_000, looks=good(world.route.weight))
        assert (stands(rollout), rollout.overdue) == (stands(paused), False)
    assert world.step(action=Action.APPROVE).paused == "paused by hand"
    rollout = world.step(action=Action.RESUME)
    assert (rollout.paused, rollout.overdue) == (None, False)
    assert world.at(Phase.PROMOTED, 2)


def test_what_is_paused_still_rolls_back() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    world.step(action=Action.PAUSE)
    assert world.step(looks=bad(25)).phase is Phase.ROLLING_BACK


def test_a_timed_pause_ends_by_itself() -> None:
    world = StateMachineHarness(replace(PLAN, pauses=(Pause(25, 300),))).at(Phase.STEP, 1)
    rollout = world.step(60, looks=good(25))
    assert (rollout.step, rollout.paused, rollout.until) == (1, "pauses for 300 s", world.now + 300)
    assert world.step(299).step == 1
    assert world.step(1).step == 2


def test_a_timed_pause_is_cut_short_by_resuming() -> None:
    world = StateMachineHarness(replace(PLAN, pauses=(Pause(25, 300),))).at(Phase.STEP, 1)
    world.step(60, looks=good(25))
    assert world.step(action=Action.APPROVE).step == 1
    assert world.step(action=Action.RESUME).step == 2


def test_a_pause_by_hand_takes_the_place_of_a_timed_one() -> None:
    world = StateMachineHarness(replace(PLAN, pauses=(Pause(25, 300),))).at(Phase.STEP, 1)
    world.step(60, looks=good(25))
    assert world.step(action=Action.PAUSE).until is None
    assert world.step(10_000).step == 1
    assert world.step(action=Action.RESUME).paused == "pauses for 300 s"


def test_a_pause_without_an_end_waits_for_approval() -> None:
    world = StateMachineHarness(replace(PLAN, pauses=(Pause(50),))).at(Phase.STEP, 2)
    assert world.step(60, looks=good(50)).paused == AWAITING
    assert stands(world.step(10**6)) == (Phase.STEP, 50)
    assert world.step(action=Action.RESUME).paused == AWAITING
    assert world.step(action=Action.APPROVE).phase is Phase.PROMOTING


def test_approval_may_come_early_for_the_step_that_is_under_way() -> None:
    world = StateMachineHarness(replace(PLAN, pauses=(Pause(5), Pause(25)))).at(Phase.STEP)
    assert world.step(action=Action.APPROVE).step == 0
    assert world.step(60, looks=good(5)).step == 1
    world.step()
    world.step()
    assert world.step(60, looks=good(25)).paused == AWAITING


def test_a_pause_does_not_stand_in_for_evidence() -> None:
    world = StateMachineHarness(replace(PLAN, pauses=(Pause(5),))).at(Phase.STEP)
    world.step(action=Action.APPROVE)
    assert world.step(10_000, looks=counts(5, 1, 20)).step == 0


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(("phase", "step"), [(Phase.WARMING, 0), (Phase.STEP, 0), (Phase.STEP, 2)])
def test_a_person_may_promote_without_evidence_and_it_says_so(phase: Phase, step: int, paused: bool) -> None:
    world = StateMachineHarness().at(phase, step)
    if paused:
        world.step(action=Action.PAUSE)
    world.step(action=Action.PROMOTE, looks=None)
    for _ in range(3):
        rollout = world.step(looks=None)
    assert stands(rollout) == (Phase.BAKING, 100)
    assert rollout.forced
    assert rollout.reason == "promoted by hand, without waiting for the evidence"
    world.step(600)
    assert world.step().reason == rollout.reason


def test_even_so_it_waits_for_the_capacity_and_a_bad_one_is_rolled_back() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    small = {"v1": 100.0, "v2": 99.0}
    world.step(action=Action.PROMOTE, capacity=small)
    assert stands(world.step(capacity=small)) == (Phase.PROMOTING, 5)
    assert world.last.capacity == {"v1": 100, "v2": 100}
    assert world.step(looks=bad(5)).phase is Phase.ROLLING_BACK


@pytest.mark.parametrize("order", [Action.ROLLBACK, Action.UNDO])
@pytest.mark.parametrize(
    ("phase", "step"), [(Phase.WARMING, 0), (Phase.STEP, 1), (Phase.PROMOTING, 2), (Phase.BAKING, 2)]
)
def test_a_person_may_roll_back(order: Action, phase: Phase, step: int) -> None:
    world = StateMachineHarness().at(phase, step)
    rollout = world.step(action=order)
    assert (stands(rollout), rollout.reason) == ((Phase.ROLLING_BACK, 0), "rolled back by hand")


def test_a_retry_may_be_asked_for_before_the_roll_back_is_over() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    world.step(looks=bad(5))
    made = step(
        world.rollout,
        PLAN,
        StepInput(world.now, TRIAL, Route("v1", "v2", 5), True, ALL, action=("again", Action.RETRY)),
    )
    assert made.rollout is not None
    assert (made.rollout.phase, made.rollout.handled) == (Phase.ROLLING_BACK, "")


@pytest.mark.parametrize("weight", [0.0, 3.0, 60.0, 100.0])
def test_a_weight_moved_by_hand_stays_and_pauses(weight: float) -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    world.route = Route("v1", "v2", weight)
    rollout = world.step()
    assert rollout.paused == f"the weight was moved by hand from 25 to {weight:g}"
    assert world.route == Route("v1", "v2", weight)
    assert world.last.capacity == {"v1": 100, "v2": max(25, weight)}
    assert stands(world.step(10_000, looks=good(weight))) == (Phase.STEP, weight)
    world.step(action=Action.RESUME)
    assert world.route == Route("v1", "v2", 25)
    assert world.at(Phase.PROMOTED, 2)


def test_requests_at_a_weight_of_someones_own_do_not_make_a_step() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    world.route = Route("v1", "v2", 40)
    world.step()
    assert world.step(100, looks=good(40)).requests == 0


def test_back_at_the_steps_weight_requests_are_counted_anew() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    assert world.step(looks=good(25)).requests > 0
    world.route = Route("v1", "v2", 40)
    world.step()
    assert world.step(action=Action.RESUME).requests == 0


def test_resuming_what_is_not_paused_changes_nothing() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    before = world.step()
    assert world.step(action=Action.RESUME) == replace(before, handled="action 1")


def test_a_weight_from_before_the_rollout_is_taken_back_first() -> None:
    world = StateMachineHarness()
    world.route = Route("v1", "v2", 30)
    rollout = world.step(obeys=False)
    assert world.last.route == Route("v1", "v2", 0)
    assert world.step(obeys=False).phase is Phase.WARMING
    assert rollout.paused is None
    world.route = world.last.route
    assert world.step().phase is Phase.STEP


def test_another_canarys_weight_is_none_of_this_rollouts() -> None:
    world = StateMachineHarness()
    world.route = Route("v1", "v3", 30)
    world.step(obeys=False)
    assert world.last.route == Route("v1", "v2", 0)
    assert world.step().paused is None


# Another plan half-way.


@pytest.mark.parametrize(
    ("steps", "step", "weight"),
    [
        ((5.0, 25.0, 50.0, 75.0), 1, 25),
        ((1.0, 5.0, 25.0, 50.0), 2, 25),
        ((10.0, 30.0), 1, 30),
        ((50.0,), 0, 50),
        ((1.0, 10.0), 1, 10),
    ],
)
def test_under_other_steps_it_goes_on_from_the_weight_that_there_is(
    steps: tuple[float, ...], step: int, weight: float
) -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    before = world.rollout
    assert before is not None
    world.plan = replace(PLAN, steps=steps)
    rollout = world.step()
    assert (rollout.step, rollout.weight, rollout.evidence) == (step, weight, before.evidence)
    assert rollout.since == (before.since if weight == 25 else None)
    assert world.at(Phase.PROMOTED, len(steps) - 1)


def test_latencies_begin_anew_where_the_plan_leads_to_another_step() -> None:
    plan = replace(PLAN, objectives=(ERRORS, SLOW))
    world = StateMachineHarness(plan).at(Phase.STEP, 1)
    world.step(20, looks=good(25))
    world.plan = replace(plan, interval=30.0)
    assert world.step().evidence[1] != Evidence()
    world.plan = replace(plan, steps=(25.0, 50.0))
    assert world.step().evidence[1] != Evidence()
    world.plan = replace(plan, steps=(30.0, 50.0))
    assert world.step().evidence[1] == Evidence()


@pytest.mark.parametrize("objectives", [(ERRORS, SLOW), (replace(ERRORS, margin=3.0),), (SLOW,)])
def test_under_other_objectives_the_evidence_begins_anew(objectives: tuple[Objective, ...]) -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    world.plan = replace(PLAN, objectives=objectives)
    rollout = world.step(100)
    assert rollout.evidence == (Evidence(),) * len(objectives)
    assert stands(rollout) == (Phase.STEP, 25)
    assert rollout.judgement is None
    assert stands(world.step(looks=bad(25))) == (Phase.ROLLING_BACK, 0)


def test_a_pause_that_the_plan_no_longer_has_is_over() -> None:
    world = StateMachineHarness(replace(PLAN, pauses=(Pause(25),))).at(Phase.STEP, 1)
    assert world.step(60, looks=good(25)).paused == AWAITING
    world.plan = PLAN
    assert world.step().step == 2


def test_one_by_hand_is_not() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    world.step(action=Action.PAUSE)
    world.plan = replace(PLAN, interval=10.0)
    assert world.step(1_000, looks=good(25)).paused == "paused by hand"


# Crashes.


@pytest.mark.parametrize(
    ("phase", "at_step"),
    [
        (Phase.WARMING, 0),
        (Phase.STEP, 0),
        (Phase.STEP, 2),
        (Phase.PROMOTING, 2),
        (Phase.BAKING, 2),
        (Phase.FINISHING, 2),
    ],
)
def test_killed_between_keeping_and_acting_the_next_look_wants_the_same(phase: Phase, at_step: int) -> None:
    world = StateMachineHarness().at(phase, at_step)
    looks = good(world.route.weight)
    first = step(world.rollout, PLAN, StepInput(world.now + 60, TRIAL, world.route, True, ALL, looks))
    again = step(first.rollout, PLAN, StepInput(world.now + 60, TRIAL, world.route, True, ALL, SILENCE))
    third = step(again.rollout, PLAN, StepInput(world.now + 60, TRIAL, world.route, True, ALL, SILENCE))
    assert third.route == again.route
    assert again.rollout is not None
    assert again.rollout.paused is None
