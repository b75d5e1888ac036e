"""How many requests a plan is said to need: as many as its verdict takes, and no more."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf

import pytest

from deployer.rollout.analysis.products import Evidence, Look, Objective
from deployer.rollout.analysis.verdict import Verdict, judge
from deployer.rollout.simulation.forecast import BAD, evenly, least_rate, needed
from deployer.rollout.strategy import Plan

ERRORS = Objective("errors", 2.0)
SLOW = Objective("slow", 2.0, anew=True)
PLAN = Plan(steps=(5, 50), interval=60, deadline=3600, bake=60, objectives=(ERRORS,))


def verdict(objective: Objective, share: float, bad: float, requests: float) -> Verdict:
    """On two equal versions."""
    canary, stable = ceil(requests * share), ceil(requests * (1 - share))
    look = evenly(Look(share, canary, round(canary * bad), stable, round(stable * bad)))
    return judge((objective,), (Evidence().after(objective, look),)).verdict


@pytest.mark.parametrize("bad", [0.002, 0.01, 0.1])
@pytest.mark.parametrize("weight", [5.0, 50.0])
def test_so_many_requests_are_enough_and_fewer_are_not(weight: float, bad: float) -> None:
    (requests,) = needed(replace(PLAN, steps=(weight,)), {"errors": bad})
    assert verdict(ERRORS, weight / 100, bad, requests) is Verdict.ADVANCE
    assert verdict(ERRORS, weight / 100, bad, requests * 0.95) is Verdict.HOLD


def test_later_steps_gather_only_what_starts_anew() -> None:
    first, second = needed(PLAN, {"errors": 0.01})
    assert first > 1000
    assert second == 20 * 100 / 50  # the least that a step has
    both = replace(PLAN, objectives=(ERRORS, SLOW))
    again, slow = needed(both, {"errors": 0.01, "slow": 0.01})
    assert again == first
    assert slow == needed(replace(PLAN, steps=(50,), objectives=(SLOW,)), {"slow": 0.01})[0]


def test_the_hardest_objective_says_how_many() -> None:
    rare, common = {"errors": 0.002, "slow": 0.1}, {"errors": 0.1, "slow": 0.1}
    both = replace(PLAN, objectives=(ERRORS, SLOW))
    assert needed(both, rare)[0] == needed(PLAN, {"errors": 0.002})[0] > needed(both, common)[0]


def test_above_its_limit_no_evidence_ever_comes() -> None:
    limited = replace(PLAN, objectives=(replace(ERRORS, limit=0.05),))
    assert needed(limited, {"errors": 0.1})[0] == inf


def test_the_least_rate_is_that_of_the_step_which_needs_most() -> None:
    assert least_rate(PLAN) == (needed(PLAN, {"errors": BAD})[0] / 3600, 5)
    assert least_rate(replace(PLAN, deadline=360))[0] == pytest.approx(10 * least_rate(PLAN)[0])


def test_of_a_limited_objective_half_the_limit_is_taken_to_be_bad() -> None:
    limited = replace(PLAN, objectives=(replace(ERRORS, limit=0.01),))
    assert least_rate(limited)[0] * 3600 == pytest.approx(needed(limited, {"errors": 0.005})[0])
    loose = replace(PLAN, objectives=(replace(ERRORS, limit=0.5),))
    assert least_rate(loose)[0] * 3600 == pytest.approx(needed(loose, {"errors": BAD})[0])
