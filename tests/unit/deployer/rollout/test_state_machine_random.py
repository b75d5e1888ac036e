"""The state machine through any order of events, with the deployer killed between any two effects."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from deployer.rollout.state import OVER, Action, Phase
from tests.fakes.fleet import PENDING, PLANS, TRIALS, VERSIONS, Fleet

READABLE: list[tuple[str, ...] | None] = [("errors", "slow")] * 6 + [("errors",), (), None]
KILLED = [""] * 6 + ["stored", "routed"]


class Walk(RuleBasedStateMachine):
    """Short walks, of which the shortest that fails is told."""

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet()

    @rule(readable=st.sampled_from(READABLE), doubt=st.booleans(), killed=st.sampled_from(KILLED))
    def looks(self, readable: tuple[str, ...] | None, doubt: bool, killed: str) -> None:
        self.fleet.look(readable, doubt, killed)

    @rule(seconds=st.sampled_from([1.0, 60.0, 4000.0]), served=st.integers(0, 20))
    def goes_well_for_a_while(self, seconds: float, served: int) -> None:
        fleet = self.fleet
        fleet.gateways = [fleet.route] * 2
        fleet.ready |= fleet.wanted
        fleet.passes(seconds)
        for _ in range(served):
            fleet.serves(0)
        fleet.look()

    @rule(index=st.integers(0, 1))
    def a_gateway_follows(self, index: int) -> None:
        self.fleet.gateway_follows(index)

    @rule(index=st.integers(0, 1))
    def a_gateway_serves(self, index: int) -> None:
        self.fleet.serves(index)

    @rule()
    def counts_are_lost(self) -> None:
        self.fleet.counts_are_lost()

    @rule(version=st.sampled_from(VERSIONS), left=st.sampled_from([None, 0.0, 30.0]))
    def replicas_come_or_go(self, version: str, left: float | None) -> None:
        if left is None:
            self.fleet.replicas_come(version)
        else:
            self.fleet.replicas_go(version, left)

    @rule(order=st.sampled_from(Action))
    def somebody_orders(self, order: Action) -> None:
        self.fleet.ordered(order)

    @rule(trial=st.sampled_from([*TRIALS, None]), plan=st.sampled_from([*PLANS, None]))
    def the_document_changes(self, trial: Any, plan: Any) -> None:
        self.fleet.edited(trial, plan)

    @precondition(lambda self: self.fleet.rollout is not None and self.fleet.rollout.phase in PENDING)
    @rule(weight=st.sampled_from([0.0, 7.0, 100.0]))
    def the_weight_is_moved_by_hand(self, weight: float) -> None:
        self.fleet.moved_by_hand(weight)

    @rule()
    def the_canary_crashes(self) -> None:
        self.fleet.canary_crashes()

    def teardown(self) -> None:
        self.fleet.settle()


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def step(fleet: Fleet, chance: random.Random) -> None:
    """What often happens, and now and then what seldom does."""
    draw = chance.random()
    fleet.passes(chance.choice((1.0, 5.0, 30.0)))
    for index in (0, 1):
        if chance.random() < 0.5:
            fleet.gateway_follows(index)
        if chance.random() < 0.8:
            fleet.serves(index)
    if chance.random() < 0.5:
        fleet.replicas_come(chance.choice(VERSIONS))
    if fleet.rollout is not None and fleet.rollout.phase in OVER:
        if chance.random() < 0.1:
            fleet.ordered(chance.choice((Action.RETRY, Action.UNDO)))
        elif chance.random() < 0.2:
            fleet.edited(chance.choice(TRIALS), chance.choice(PLANS))
    elif draw < 0.01:
        fleet.ordered(chance.choice(list(Action)))
    elif draw < 0.015:
        fleet.edited(chance.choice([*TRIALS, TRIALS[0], None]), chance.choice([*PLANS, PLANS[0], None]))
    elif draw < 0.02:
        fleet.moved_by_hand(chance.choice((0.0, 12.5, 100.0)))
    elif draw < 0.023:
        fleet.canary_crashes()
    elif draw < 0.06:
        fleet.counts_are_lost()
    elif draw < 0.08:
        fleet.replicas_go(chance.choice(VERSIONS), chance.choice((0.0, 30.0)))
    elif draw < 0.085:
        fleet.passes(5_000)
    fleet.look(chance.choice(READABLE), chance.random() < 0.1, chance.choice(KILLED))


@pytest.mark.parametrize("seed", range(12))
def test_a_long_walk(seed: int) -> None:
    """Twelve of ten thousand looks and more, and from each fiftieth all the way to an end."""
    chance, fleet = random.Random(seed), Fleet()
    ends: dict[Phase, int] = {}
    while fleet.ticks < 10_000:
        for _ in range(50):
            before = fleet.rollout
            step(fleet, chance)
            if fleet.rollout is not None and (before is None or fleet.rollout.phase is not before.phase):
                ends[fleet.rollout.phase] = ends.get(fleet.rollout.phase, 0) + 1
        copy.deepcopy(fleet).settle()
    assert set(ends) == set(Phase), "it has been everywhere"
