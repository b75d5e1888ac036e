"""Whole rollouts, played through the real verdict and state machine on drawn traffic. Pure: chance is passed in.

There is a look every `LOOK` seconds (less often under a weight that has been in force for hours), but one that can't
end anything waits for the next. Against the canary that is exact: under one weight counts add up to the same evidence
however they are cut, and none of its bad requests multiplies the evidence by more than is known beforehand. For the
canary it is late by `PATIENCE` at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, log

from deployer.rollout.analysis.buckets import total
from deployer.rollout.analysis.products import WORSE, Look
from deployer.rollout.analysis.verdict import Judgement
from deployer.rollout.simulation.arrivals import Part, Requests, Traffic, requests
from deployer.rollout.simulation.poisson import Chance
from deployer.rollout.state import OVER, Phase, Rollout, Route, StepInput, VersionPair
from deployer.rollout.state_machine import step
from deployer.rollout.strategy import Plan

LOOK = 5.0
"""Seconds from one look to the next."""
COARSE = 0.005
"""Where a weight has been in force for long, the part of that time from one look to the next."""
CHANGE = 1.0
"""Seconds until a new weight is in force on every gateway."""
PATIENCE = 0.1
"""How long a look for the canary may wait, as a part of the time that the weight is in force."""
Source = Callable[[Plan, Traffic, Chance], Requests]
_TINY = 1e-300
_TRIAL = VersionPair("stable", "canary")
_CAPACITY = {"stable": 100.0, "canary": 100.0}


@dataclass(frozen=True, slots=True)
class Run:
    """How a rollout went.

    `end`: promoted, rolled back, or where it stood when there was no more time. `seconds`: from when the first weight
    was in force until the canary had all traffic, or was decided to be rolled back. `steps`: how long each one took
    that was passed. `bad`: requests seen to be bad on the canary, of the objective that had most. `overdue`: whether a
    step was.
    """

    end: Phase
    seconds: float
    steps: tuple[float, ...]
    bad: int
    overdue: bool
    reason: str


def play(plan: Plan, traffic: Traffic, chance: Chance, source: Source = requests) -> Run:
    """One rollout, of a canary that is ready at once; no step waits for approval.

    There is time for as many deadlines as there are steps, the pauses, and the bake.
    """
    arrivals = _Arrivals(plan, traffic, chance, source(plan, traffic, chance))
    horizon = len(plan.steps) * plan.deadline + sum([pause.seconds or 0.0 for pause in plan.pauses]) + plan.bake
    rollout: Rollout | None = None
    route, now, decided = Route("stable"), 0.0, 0.0
    began: float | None = None
    steps, overdue = list[float](), False
    while True:
        seen = StepInput(now, _TRIAL, route, True, _CAPACITY, arrivals.looks())
        before, result = rollout, step(rollout, plan, seen)
        rollout = result.rollout
        assert rollout is not None  # a plan and a trial begin one
        overdue = overdue or rollout.overdue
        if before is not None and (rollout.phase, rollout.step) != (before.phase, before.step):
            if before.phase is Phase.STEP and rollout.phase in (Phase.STEP, Phase.PROMOTING):
                steps.append(now - before.entered)
            if rollout.phase in (Phase.BAKING, Phase.ROLLING_BACK):
                decided = now
        if rollout.phase in OVER or now > horizon:
            seconds = (decided or now) - (began or now)
            return Run(rollout.phase, seconds, tuple(steps), max(arrivals.bad), overdue, rollout.reason)
        if result.route != route or rollout.since is None:
            route = result.route
            now = arrivals.passed(route.weight / 100, now, CHANGE)
            if began is None and route.weight:
                began = now
        else:
            least = plan.bake if rollout.phase is Phase.BAKING else plan.interval
            until = min(horizon, max(rollout.since + least, now + PATIENCE * (now - rollout.since)))
            arrivals.judged(rollout.judgement)
            while True:
                coarse = min((now - rollout.since) * COARSE, until - now)
                now = arrivals.passed(route.weight / 100, now, max(LOOK, coarse))
                if now >= until or arrivals.are_telling:
                    break


def _room(bar: float, reached: float) -> float:
    """How much an e-value may grow, as a logarithm, before it is at the bar."""
    return log(bar / max(reached, _TINY))


class _Arrivals:
    """The counts on their way to the next look.

    `bad`: those of the canary that have come so far, by objective. `are_telling`: with those that came since the last
    judgement an e-value against it may be at its bar.
    """

    def __init__(self, plan: Plan, traffic: Traffic, chance: Chance, source: Requests) -> None:
        self._source = source
        self._lag, self._bursty, self._chance = traffic.lag, traffic.bursty, chance
        self._late = deque[tuple[float, Part]]()
        self._new: list[Part] = []
        self._worse = [0.0] * len(plan.objectives)
        self._over = [0.0 if objective.limit is not None else inf for objective in plan.objectives]
        self.bad = [0] * len(plan.objectives)
        self.are_telling = False

    def judged(self, judgement: Judgement | None) -> None:
        """From here on the room that there is left for e-values is taken up."""
        if judgement is not None:
            self._worse = [_room(one.bar_against, one.worse) for one in judgement.findings]
            limits = [one.objective.limit for one in judgement.findings]
            self._over = [
                inf if limit is None else _room(one.bar_against, one.over)
                for limit, one in zip(limits, judgement.findings, strict=True)
            ]

    def passed(self, share: float, now: float, seconds: float) -> float:
        """The time after so many seconds more, with what has come in."""
        now += seconds
        if share:
            part = self._source.part(share, -seconds * log(1 - self._chance()) if self._bursty else seconds)
            self._late.append((now + self._lag, part))
        while self._late and self._late[0][0] <= now:
            part = self._late.popleft()[1]
            self._new.append(part)
            if any(part.bad):
                self._count(part)
        return now

    def _count(self, part: Part) -> None:
        # What a bad request multiplies an e-value by at most, where the alternative is the farthest one.
        worse = log(WORSE[-1] / (1 - part.share + WORSE[-1] * part.share))
        for index, bad in enumerate(part.bad):
            self.bad[index] += bad
            self._over[index] -= bad * log(WORSE[-1])
            self._worse[index] -= (total(part.fresh[index]).canary if part.fresh else bad) * worse
        self.are_telling = min(self._worse) <= 0 or min(self._over) <= 0

    def looks(self) -> Mapping[str, tuple[Look, ...]]:
        new, self._new, self.are_telling = self._new, [], False
        return self._source.looks(new)
