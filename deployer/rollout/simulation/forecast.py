"""How many requests a plan's steps need until an equal version is shown to be good enough. Pure.

Reckoned, not drawn: expected counts through the real verdict. About half of all rollouts need more; how they spread is
what `turnout simulate` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, inf

from deployer.rollout.analysis.products import Counts, Evidence, GroupLook, Look, Objective
from deployer.rollout.analysis.verdict import LEAST_REQUESTS, Verdict, judge
from deployer.rollout.strategy import Plan
from gateway.contract.evidence import CALLER_GROUPS

BAD = 0.01
"""The part of requests taken to be bad where nobody says; half of an objective's limit, where that is less."""
_MOST = 1 << 50
"""Requests; evidence that takes more never comes."""


def needed(plan: Plan, bad: Mapping[str, float]) -> tuple[float, ...]:
    """For each step the requests, of both versions together, until it has its evidence.

    `bad`: for each objective the part of requests, 0 to 1, that is bad on both versions. Evidence goes on over steps:
    only the first one gathers it all, later ones just that of objectives which start `anew`. Infinite where it can't
    come, such as above an objective's limit.
    """
    steps = []
    for index, weight in enumerate(plan.steps):
        asked = [objective for objective in plan.objectives if index == 0 or objective.anew]
        requests = [_needed(objective, weight / 100, bad[objective.name]) for objective in asked]
        steps.append(max([LEAST_REQUESTS * 100 / weight, *requests]))
    return tuple(steps)


def least_rate(plan: Plan) -> tuple[float, float]:
    """The requests a second below which a step is overdue before it has its evidence, and the weight of that step.

    Both versions' requests together, of which as many are bad as `BAD` says.
    """
    bad = {each.name: BAD if each.limit is None else min(BAD, each.limit / 2) for each in plan.objectives}
    rates = [requests / plan.deadline for requests in needed(plan, bad)]
    return max(zip(rates, plan.steps, strict=True))


def _needed(objective: Objective, share: float, bad: float) -> float:
    """To a hundredth."""
    enough = 1
    while not _is_shown(objective, share, bad, enough):
        enough *= 2
        if enough > _MOST:
            return inf
    short = enough // 2
    while enough - short > max(1, enough // 100):
        middle = (short + enough) // 2
        if _is_shown(objective, share, bad, middle):
            enough = middle
        else:
            short = middle
    return float(enough)


def _is_shown(objective: Objective, share: float, bad: float, requests: int) -> bool:
    canary, stable = ceil(requests * share), ceil(requests * (1 - share))
    look = evenly(Look(share, canary, round(canary * bad), stable, round(stable * bad)))
    return judge((objective,), (Evidence().after(objective, look),)).verdict is Verdict.ADVANCE


def evenly(look: Look) -> Look:
    """The look, where each group of callers brought as much of it."""
    groups = []
    for group in range(CALLER_GROUPS):
        requests, bad, others, others_bad = (
            (number + group) // CALLER_GROUPS
            for number in (look.canary_requests, look.canary_bad, look.stable_requests, look.stable_bad)
        )
        groups.append(GroupLook(group, requests + others, Counts(bad, others_bad, requests, bad, requests, bad)))
    return look._replace(groups=tuple(groups))
