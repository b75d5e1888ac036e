"""The state machine's rules, one by one: the way up and the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.rollout.analysis.products import Evidence, Look
from deployer.rollout.analysis.verdict import LEAST_REQUESTS, Verdict
from deployer.rollout.state import OVER, Action, Phase, Route, StepInput, VersionPair
from deployer.rollout.state_machine import SETTLING, Step, step
from tests.fakes.state_machine import (
    ALL,
    ERRORS,
    NEXT,
    PLAN,
    SILENCE,
    SLOW,
    TRIAL,
    Looks,
    StateMachineHarness,
    bad,
    counts,
    good,
    stands,
)

# The way up.


def test_a_good_version_goes_all_the_way() -> None:
    world = StateMachineHarness()
    assert stands(world.step()) == (Phase.WARMING, 0)
    assert stands(world.step()) == (Phase.STEP, 0)
    assert stands(world.step()) == (Phase.STEP, 5)
    assert world.route == Route("v1", "v2", 5)
    assert world.step().since == world.now
    assert stands(world.step(60, looks=good(5))) == (Phase.STEP, 5)
    for weight in (25, 50):
        assert stands(world.step()) == (Phase.STEP, weight)
        world.step()
        world.step(60, looks=good(weight))
    rollout = world.step()
    assert stands(rollout) == (Phase.PROMOTING, 100)
    assert "is shown" in rollout.reason
    assert stands(world.step()) == (Phase.BAKING, 100)
    assert world.route == Route("v1", "v2", 100)
    assert stands(world.step(599)) == (Phase.BAKING, 100)
    assert stands(world.step(1)) == (Phase.FINISHING, 100)
    assert world.route == Route("v2")
    rollout = world.step()
    assert rollout.phase is Phase.PROMOTED
    assert "is shown" in rollout.reason
    assert world.step(10**6) is rollout


def test_nothing_begins_without_a_plan_or_a_trial_or_where_another_is_stable() -> None:
    for world in (
        StateMachineHarness(plan=None),
        StateMachineHarness(trial=None),
        StateMachineHarness(trial=VersionPair("v0", "v2")),
    ):
        world.last = step(None, world.plan, StepInput(0, world.trial, world.route, True, ALL))
        assert world.last == Step(None, Route("v1"), {"v1": 100})


def test_the_canary_waits_until_it_is_ready_and_large_enough() -> None:
    world = StateMachineHarness()
    for can in ({}, {"v2": 0.0}, {"v2": 4.9}):
        assert stands(world.step(capacity={"v1": 100.0, **can})) == (Phase.WARMING, 0)
        assert world.last.capacity == {"v1": 100, "v2": 5}
    assert world.step(capacity={"v1": 100.0, "v2": 5.0}).phase is Phase.STEP


def test_a_weight_waits_for_the_capacity_that_it_needs() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    world.step(60, looks=good(25), capacity={"v1": 100.0, "v2": 25.0})
    for _ in range(3):
        assert stands(world.step(capacity={"v1": 100.0, "v2": 49.0})) == (Phase.STEP, 25)
        assert world.last.capacity == {"v1": 100, "v2": 50}
    assert stands(world.step()) == (Phase.STEP, 50)


def test_so_does_the_promotion() -> None:
    world = StateMachineHarness().at(Phase.PROMOTING, 2)
    assert stands(world.step(capacity={"v1": 100.0, "v2": 99.0})) == (Phase.PROMOTING, 50)
    assert stands(world.step()) == (Phase.PROMOTING, 100)


def test_stable_keeps_its_capacity_until_the_bake_is_over() -> None:
    world = StateMachineHarness()
    world.step()
    while world.rollout is not None and world.rollout.phase not in OVER:
        assert world.last.capacity["v1"] == 100
        world.step(60, looks=good(world.route.weight))
    world.step()
    assert world.last.capacity == {"v2": 100}


def test_a_step_lasts_its_interval_from_when_all_gateways_have_its_weight() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    world.step(60, looks=good(5))
    world.step()
    for _ in range(3):
        assert world.step(100, settled=False, looks=good(25)).since is None
    world.step()
    assert world.step(59).step == 1
    assert world.step(1).step == 2


def test_the_next_weight_waits_for_the_last_one() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    world.step(60, looks=good(5), obeys=False)
    assert stands(world.step(obeys=False)) == (Phase.STEP, 25)
    for _ in range(3):
        assert stands(world.step(600, obeys=False, looks=good(25))) == (Phase.STEP, 25)
    world.route = world.last.route
    assert world.step(settled=False).since is None
    assert world.step().since == world.now


# Evidence.


@pytest.mark.parametrize("looks", [None, {}, {"slow": ()}, SILENCE])
def test_without_evidence_it_holds(looks: Looks | None) -> None:
    world = StateMachineHarness().at(Phase.STEP)
    before = world.rollout
    assert before is not None
    for _ in range(10):
        after = world.step(100, looks=looks)
    assert after == before


def test_where_one_objective_cant_be_read_it_holds_though_all_was_shown() -> None:
    world = StateMachineHarness(replace(PLAN, objectives=(ERRORS, SLOW))).at(Phase.STEP)
    world.step(30, looks=good(5))
    for looks in (None, {"errors": ()}, {"slow": ()}):
        assert world.step(60, looks=looks).step == 0
    assert world.step(looks=SILENCE).step == 1


def test_what_can_be_read_counts_though_another_cant() -> None:
    world = StateMachineHarness(replace(PLAN, objectives=(ERRORS, SLOW))).at(Phase.STEP)
    assert world.step(looks={"errors": bad(5)["errors"]}).phase is Phase.ROLLING_BACK


def test_hold_reasons_hold() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    assert world.step(60, looks=good(5), hold_reasons=("a gateway is silent",)).step == 0
    assert world.step().step == 1


def test_enough_requests_of_the_canary_have_to_come_in_each_step() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    few = Look(0.25, LEAST_REQUESTS - 1, 0, 10_000, 100)
    assert world.step(60, looks={"errors": (few, good(5)["errors"][0])}).step == 1
    assert world.rollout is not None
    assert world.rollout.judgement is not None
    assert world.rollout.judgement.verdict is Verdict.ADVANCE
    assert world.step(looks={"errors": (Look(0.25, 1, 0, 0, 0),)}).step == 2


@pytest.mark.parametrize(("phase", "step"), [(Phase.STEP, 0), (Phase.STEP, 2), (Phase.PROMOTING, 2)])
def test_bad_evidence_rolls_back(phase: Phase, step: int) -> None:
    world = StateMachineHarness().at(phase, step)
    rollout = world.step(looks=bad(world.route.weight))
    assert stands(rollout) == (Phase.ROLLING_BACK, 0)
    assert "the canary is worse" in rollout.reason
    assert world.route == Route("v1", "v2", 0)


def test_while_baking_only_limits_hold() -> None:
    world = StateMachineHarness(replace(PLAN, objectives=(replace(ERRORS, limit=0.05),))).at(Phase.BAKING, 2)
    assert world.step(looks=counts(100, 4_000, 0)).phase is Phase.BAKING
    rollout = world.step(looks=counts(100, 40_000, 0))
    assert rollout.phase is Phase.ROLLING_BACK
    assert "above the limit" in rollout.reason


def test_a_bake_is_overdue_only_after_its_time_and_the_deadline() -> None:
    world = StateMachineHarness(replace(PLAN, bake=10_000.0)).at(Phase.BAKING, 2)
    assert not world.step(9_990, looks=None).overdue
    assert world.step(3_700, looks=None).overdue
    assert world.step().phase is Phase.FINISHING


@pytest.mark.parametrize("how", [{"looks": None}, {"looks": {}}, {"hold_reasons": ("silence",)}, {"settled": False}])
def test_the_bake_does_not_end_unseen(how: dict[str, Any]) -> None:
    world = StateMachineHarness().at(Phase.BAKING, 2)
    assert world.step(10_000, **how).phase is Phase.BAKING
    assert world.step().phase is Phase.FINISHING


def test_latencies_settle_first_and_begin_anew_with_each_step() -> None:
    plan = replace(PLAN, objectives=(ERRORS, SLOW))
    world = StateMachineHarness(plan).at(Phase.STEP)
    rollout = world.step(SETTLING - 1, looks={"errors": (), "slow": bad(5)["slow"]})
    assert rollout.evidence[1] == Evidence()
    assert rollout.phase is Phase.STEP
    rollout = world.step(2, looks={"errors": (), "slow": good(5)["slow"]})
    assert rollout.evidence[1].canary_bad == 100
    assert world.step(looks={"errors": (), "slow": good(25)["slow"]}).evidence[1].canary_bad == 100, "of another weight"
    rollout = world.step(60, looks=good(5))
    assert rollout.step == 1
    assert rollout.evidence[0].canary_bad == 100
    assert rollout.evidence[1] == Evidence()


def test_alpha_is_shared_out_over_the_steps_in_which_latencies_begin_anew() -> None:
    rollout = StateMachineHarness(replace(PLAN, objectives=(ERRORS, SLOW))).at(Phase.STEP).step(20, looks=good(5))
    assert rollout.judgement is not None
    assert {finding.bar_against for finding in rollout.judgement.findings} == {400}


def test_counts_of_the_weight_before_are_evidence_too() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    assert world.rollout is not None
    before = world.rollout.evidence[0].canary_requests
    late = world.step(looks=counts(5, 10, 190, 1_000))
    assert late.evidence[0].canary_requests == before + 50
    assert late.requests == 0


def test_a_step_past_its_deadline_is_overdue_and_goes_on_holding() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    assert not world.step(3_590).overdue
    assert world.step(20).overdue
    rollout = world.step(10**6)
    assert (rollout.overdue, stands(rollout)) == (True, (Phase.STEP, 5))
    assert not world.step(looks=good(5)).overdue


def test_a_canary_that_is_not_ready_by_the_deadline_is_given_up() -> None:
    world = StateMachineHarness()
    world.step()
    assert world.step(3_600, capacity={"v1": 100.0}).phase is Phase.WARMING
    rollout = world.step(capacity={"v1": 100.0})
    assert (rollout.phase, rollout.reason) == (Phase.ROLLING_BACK, "v2 was not ready within 3600 s")


def test_one_that_is_ready_at_the_last_moment_is_not() -> None:
    world = StateMachineHarness()
    world.step()
    assert world.step(3_601).phase is Phase.STEP


@pytest.mark.parametrize(
    ("phase", "step"), [(Phase.WARMING, 0), (Phase.STEP, 1), (Phase.PROMOTING, 2), (Phase.BAKING, 2)]
)
@pytest.mark.parametrize("paused", [False, True])
def test_an_objection_rolls_back_at_once(phase: Phase, step: int, paused: bool) -> None:
    world = StateMachineHarness().at(phase, step)
    if paused:
        world.step(action=Action.PAUSE)
    rollout = world.step(abort_reasons=("it crashed", "and again"), looks=None, settled=False)
    assert stands(rollout) == (Phase.ROLLING_BACK, 0)
    assert rollout.reason == "it crashed; and again"


# The way back.


def test_a_roll_back_is_over_once_no_gateway_gives_the_canary_anything() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    world.step(looks=bad(25), obeys=False)
    for _ in range(3):
        assert world.step(obeys=False).phase is Phase.ROLLING_BACK
        assert world.last.route == Route("v1", "v2", 0)
        assert world.last.capacity == {"v1": 100, "v2": 25}
    world.route = world.last.route
    assert world.step(settled=False).phase is Phase.ROLLING_BACK
    assert world.last.capacity == {"v1": 100, "v2": 25}, "a gateway may still send"
    rollout = world.step()
    assert rollout.phase is Phase.ROLLED_BACK
    assert "the canary is worse" in rollout.reason
    assert world.last == Step(rollout, Route("v1", "v2", 0), {"v1": 100})


def test_a_roll_back_on_the_way_up_keeps_the_greater_capacity() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    world.step(60, looks=good(5))
    world.step(obeys=False)  # 25 is wanted, and 5 seen
    world.step(looks=bad(5), obeys=False)
    assert world.last.capacity == {"v1": 100, "v2": 25}


def test_it_stays_rolled_back_until_someone_wants_it_again() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    world.step(looks=bad(5))
    rolled_back = world.step()
    assert world.step(10**6) is rolled_back
    for order in set(Action) - {Action.RETRY}:
        assert world.step(action=order).phase is Phase.ROLLED_BACK
    rollout = world.step(action=Action.RETRY)
    assert (rollout.number, rollout.phase, rollout.evidence) == (2, Phase.WARMING, (Evidence(),))
    assert world.at(Phase.PROMOTED, 2)


def test_another_trial_of_a_mended_version_begins_by_itself() -> None:
    world = StateMachineHarness().at(Phase.STEP)
    world.step(looks=bad(5))
    world.step()
    world.trial = replace(TRIAL, identity="mended")
    rollout = world.step()
    assert (rollout.number, rollout.phase, rollout.trial) == (2, Phase.WARMING, world.trial)


@pytest.mark.parametrize(
    ("phase", "step"), [(Phase.WARMING, 0), (Phase.STEP, 1), (Phase.PROMOTING, 2), (Phase.BAKING, 2)]
)
@pytest.mark.parametrize("trial", [NEXT, replace(TRIAL, identity="changed"), None])
def test_a_changed_document_rolls_the_old_trial_back_before_a_new_one_begins(
    phase: Phase, step: int, trial: VersionPair | None
) -> None:
    world = StateMachineHarness().at(phase, step)
    world.trial = trial
    rollout = world.step(looks=good(world.route.weight))
    assert stands(rollout) == (Phase.ROLLING_BACK, 0)
    assert (rollout.trial, rollout.reason) == (TRIAL, "the document's versions have changed")
    assert world.step().phase is Phase.ROLLED_BACK
    rollout = world.step()
    if trial is not None:
        assert (rollout.trial, rollout.phase, rollout.number) == (trial, Phase.WARMING, 2)


def test_a_plan_that_is_taken_away_rolls_back() -> None:
    world = StateMachineHarness().at(Phase.STEP, 1)
    world.plan = None
    rollout = world.step(looks=good(25))
    assert stands(rollout) == (Phase.ROLLING_BACK, 0)
    assert rollout.reason == "the rollout was taken out of the document"
    assert world.step().phase is Phase.ROLLED_BACK
    world.plan = PLAN
    assert world.step().phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("order", [Action.UNDO, Action.ROLLBACK])
def test_a_promotion_can_be_undone(order: Action) -> None:
    world = StateMachineHarness().at(Phase.PROMOTED, 2)
    assert world.route == Route("v2")
    slow = {"v1": 99.0, "v2": 100.0}
    rollout = world.step(action=order, capacity=slow)
    assert (rollout.phase, rollout.reason) == (Phase.RESTORING, "undone by hand")
    for _ in range(3):
        world.step(capacity=slow)
        assert world.last == Step(rollout, Route("v2"), {"v1": 100, "v2": 100})
    world.step(obeys=False)
    assert world.last.route == Route("v1")
    world.route = Route("v1", "v2", 0)
    assert world.step(settled=False, capacity=slow).phase is Phase.RESTORING
    assert world.last.route == Route("v1"), "there is no way back from the way back"
    assert world.step(capacity=slow).phase is Phase.ROLLED_BACK
    assert world.step(10**6).phase is Phase.ROLLED_BACK


def test_an_undo_ends_where_the_document_goes_on() -> None:
    world = StateMachineHarness().at(Phase.PROMOTED, 2)
    world.step(action=Action.UNDO, capacity={"v2": 100.0})
    world.trial = None
    assert world.step(capacity={"v2": 100.0}).phase is Phase.PROMOTED
    assert world.step(action=Action.UNDO).phase is Phase.PROMOTED, "nothing says any more what was before"


def test_of_a_promotion_nothing_but_an_undo_is_done() -> None:
    world = StateMachineHarness().at(Phase.PROMOTED, 2)
    for order in set(Action) - {Action.UNDO, Action.ROLLBACK}:
        assert world.step(action=order).phase is Phase.PROMOTED
