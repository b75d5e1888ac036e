"""A world in which the state machine of a rollout is driven look by look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.rollout.analysis.products import Look, Objective
from deployer.rollout.state import Action, Phase, Rollout, Route, StepInput, VersionPair
from deployer.rollout.state_machine import Step, step
from deployer.rollout.strategy import Plan

ERRORS, SLOW = Objective("errors", 2.0), Objective("slow", 2.0, anew=True)
PLAN = Plan((5.0, 25.0, 50.0), interval=60, deadline=3600, bake=600, objectives=(ERRORS,))
TRIAL = VersionPair("v1", "v2", "a")
NEXT = VersionPair("v1", "v3", "b")
ALL: Mapping[str, float] = {"v1": 100.0, "v2": 100.0, "v3": 100.0}

Looks = Mapping[str, tuple[Look, ...]]


def counts(weight: float, canary: int, stable: int, requests: int = 100_000) -> Looks:
    share = weight / 100
    look = Look(share, round(requests * share), canary, round(requests * (1 - share)), stable)
    return {"errors": (look,), "slow": (look,)}


def good(weight: float) -> Looks:
    """Enough to advance, at any weight."""
    return counts(weight, round(20 * weight), round(20 * (100 - weight)))


def bad(weight: float) -> Looks:
    return counts(weight, round(80 * weight), round(20 * (100 - weight)))


SILENCE: Looks = {"errors": (), "slow": ()}


class StateMachineHarness:
    """A target that does at once what is wanted, unless told otherwise."""

    def __init__(self, plan: Plan | None = PLAN, trial: VersionPair | None = TRIAL) -> None:
        self.plan, self.trial = plan, trial
        self.now = 1_000.0
        self.route = Route("v1")
        self.rollout: Rollout | None = None
        self.last = Step(None, self.route, {})
        self.actions = 0

    def step(self, seconds: float = 1, *, action: Action | None = None, obeys: bool = True, **seen: Any) -> Rollout:
        self.now += seconds
        if action is not None:
            self.actions += 1
            seen["action"] = (f"action {self.actions}", action)
        defaults = {"settled": True, "capacity": ALL, "looks": SILENCE}
        observed: dict[str, Any] = {"now": self.now, "trial": self.trial, "route": self.route, **defaults, **seen}
        self.last = step(self.rollout, self.plan, StepInput(**observed))
        self.rollout = self.last.rollout
        if obeys:
            self.route = self.last.route
        assert self.rollout is not None
        return self.rollout

    def at(self, phase: Phase, step: int = 0) -> StateMachineHarness:
        """Brought there by good evidence, with its weight in force."""
        for _ in range(100):
            if self.rollout is not None and (self.rollout.phase, self.rollout.step) == (phase, step):
                break
            self.step(60, looks=good(self.route.weight))
        else:
            raise AssertionError(f"never got to {phase}")
        while phase is Phase.STEP and self.rollout.since is None:
            self.step()
        return self


def stands(rollout: Rollout) -> tuple[Phase, float]:
    return rollout.phase, rollout.weight
