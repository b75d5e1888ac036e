"""How many requests the steps of a plan need until an equal version is shown to be good enough. Pure.

Reckoned, not drawn: by the counts that are expected, through the real verdict. About half of all rollouts need more;
`turnout simulate` says how they spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, inf

from deployer.rollout.plan import Plan
from deployer.rollout.verdict import LEAST_REQUESTS, Evidence, Look, Objective, Verdict, judge

BAD = 0.01
"""Of requests: what is assumed where nobody says how many are bad."""
_MOST = 1 << 50
"""Requests; what needs more is never shown."""


def needed(plan: Plan, bad: Mapping[str, float]) -> tuple[float, ...]:
    """For each step how many requests, of both versions together, until it has its evidence.

    `bad` has for each objective the part of requests, 0 to 1, that is bad on both versions. Evidence goes on over
    steps, so only the first one has to gather it all, and those objectives' that start `anew`. Infinite where the
    evidence can't come, since so much is bad that the objective's limit is passed.
    """
    steps = []
    for index, weight in enumerate(plan.steps):
        asked = [objective for objective in plan.objectives if index == 0 or objective.anew]
        requests = [_needed(objective, weight / 100, bad[objective.name]) for objective in asked]
        steps.append(max([LEAST_REQUESTS * 100 / weight, *requests]))
    return tuple(steps)


def expected(plan: Plan, bad: Mapping[str, float], rate: float) -> tuple[float, ...]:
    """For each step the seconds it takes at `rate` requests a second, both versions together."""
    return tuple(max(plan.interval, requests / rate) for requests in needed(plan, bad))


def least_rate(plan: Plan, bad: Mapping[str, float]) -> tuple[float, float]:
    """The requests a second below which a step is overdue before it has its evidence, and the weight of that step."""
    return max(
        (requests / plan.deadline, weight) for requests, weight in zip(needed(plan, bad), plan.steps, strict=True)
    )


def _needed(objective: Objective, share: float, bad: float) -> float:
    enough = 1
    while not _shown(objective, share, bad, enough):
        enough *= 2
        if enough > _MOST:
            return inf
    short = enough // 2
    while enough - short > max(1, enough // 100):
        middle = (short + enough) // 2
        if _shown(objective, share, bad, middle):
            enough = middle
        else:
            short = middle
    return float(enough)


def _shown(objective: Objective, share: float, bad: float, requests: int) -> bool:
    canary, stable = ceil(requests * share), ceil(requests * (1 - share))
    look = Look(share, canary, round(canary * bad), stable, round(stable * bad))
    return judge((objective,), (Evidence().after(objective, look),)).verdict is Verdict.ADVANCE
