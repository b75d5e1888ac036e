"""The state machine of a rollout. Pure: time, and all that is seen, are passed in.

    warming ──► step ──► … ──► promoting ──► baking ──► finishing ──► promoted ──► restoring ──► rolled back
       └─────────┴──────────────────┴──────────┴──► rolling back ──► rolled back (retry: again from warming)

`tick` takes the state that was kept and what is observed, and says what to keep and what to want. The caller keeps the
state first and then brings about what is wanted, or both in one write; killed between any two, the next tick wants the
same again. What a tick can't see it doesn't assume: a weight counts from the moment that all gateways have it.

Stable's capacity is wanted whole until the canary is promoted and has baked. A weight waits until the canary is ready,
warmed, and has the capacity for it. Evidence that can't be read, or silence, holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from deployer.rollout.plan import Plan
from deployer.rollout.verdict import LEAST_REQUESTS, Evidence, Judgement, Look, Verdict, gathered, judge, renewed

SETTLING = 15.0
"""Seconds of a step whose latencies are left out: caches fill, and queues of the weight before run dry."""


class Phase(StrEnum):
    """Where a rollout stands."""

    WARMING = "warming"
    STEP = "step"
    PROMOTING = "promoting"
    BAKING = "baking"
    FINISHING = "finishing"
    PROMOTED = "promoted"
    RESTORING = "restoring"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"


OVER = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK})
"""Where nothing happens any more by itself."""
AWAITING = "waits for approval"
_TESTED = frozenset({Phase.STEP, Phase.PROMOTING, Phase.BAKING})


class Order(StrEnum):
    """What a person may ask for."""

    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    RETRY = "retry"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Trial:
    """Which version is tried against which. `identity` is a digest of both: with another one old evidence is void."""

    stable: str
    canary: str
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """The split: the canary has `weight` percent, stable the rest."""

    stable: str
    canary: str | None = None
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is observed at `now` (seconds of any clock that goes on over restarts).

    `settled`: every gateway that serves has `route`. `capacity`: for each version the percentage of all traffic that
    its ready and warmed replicas can take. `looks`: for each objective what is new since the last tick, None where it
    can't be read. `objections`: reasons to roll back at once, in any phase before finishing (a canary that crashes,
    another signature, a metric of the user's that is broken). `doubts`: reasons not to advance yet (a metric that
    can't be read, a gateway that is silent). `order`: a token that tells it from the one before, and what a person
    asked for.
    """

    now: float
    trial: Trial | None
    route: Route
    settled: bool
    capacity: Mapping[str, float]
    looks: Mapping[str, tuple[Look, ...]] | None = None
    objections: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    order: tuple[str, Order] | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is kept of a rollout between two ticks.

    `weight` is what is wanted, `before` what was in force until then. `entered`: when this phase or step began,
    `since`: when its weight came into force. `requests`: of the canary, in this step. `paused`: why, and `until` when,
    if it ends by itself. `handled`: the token of the last order. `number` tells attempts apart.
    """

    trial: Trial
    entered: float
    number: int = 1
    phase: Phase = Phase.WARMING
    step: int = 0
    weight: float = 0.0
    before: float = 0.0
    since: float | None = None
    evidence: tuple[Evidence, ...] = ()
    requests: int = 0
    judgement: Judgement | None = None
    paused: str | None = None
    until: float | None = None
    passed: bool = False
    forced: bool = False
    reason: str = ""
    overdue: bool = False
    handled: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """What to keep, and what to want: the split, and for each version the percentage that it needs capacity for."""

    rollout: Rollout | None
    route: Route
    capacity: Mapping[str, float]


def tick(rollout: Rollout | None, plan: Plan | None, seen: Seen) -> Tick:
    """One look at a rollout. `plan` is None where the document has none (any more)."""
    if rollout is None or rollout.phase in OVER:
        rollout = _begun(rollout, plan, seen)
    elif rollout.phase is Phase.RESTORING:
        rollout = _restored(rollout, seen)
    elif rollout.phase is Phase.FINISHING:
        if seen.route == Route(rollout.trial.canary) and seen.settled:
            rollout = _enter(rollout, Phase.PROMOTED, seen, "promoted")
    elif rollout.phase is Phase.ROLLING_BACK:
        if seen.route.weight == 0 and seen.settled:
            rollout = replace(_enter(rollout, Phase.ROLLED_BACK, seen, rollout.reason), before=0.0)
    elif plan is None or seen.trial != rollout.trial:
        what = "the rollout was taken out of the document" if plan is None else "the document's versions have changed"
        rollout = _rolled_back(rollout, seen, what)
    else:
        rollout = _active(rollout, plan, seen)
    return Tick(rollout, *_wanted(rollout, plan, seen))


def _begun(old: Rollout | None, plan: Plan | None, seen: Seen) -> Rollout | None:
    """A new rollout, where there is cause; else the old one, over as it is."""
    order = None
    if old is not None:
        old, order = _order(old, seen)
        if old.phase is Phase.PROMOTED and order in (Order.UNDO, Order.ROLLBACK):
            if old.trial.stable not in seen.capacity:
                return replace(old, reason=f"{old.trial.stable} is no longer declared, so there is no way back to it")
            return _enter(old, Phase.RESTORING, seen, "undone by hand")
    if plan is None or seen.trial is None or seen.trial.stable != seen.route.stable:
        return old
    if old is not None and old.trial == seen.trial and not (old.phase is Phase.ROLLED_BACK and order is Order.RETRY):
        return old
    number = old.number + 1 if old is not None else 1
    handled = old.handled if old is not None else seen.order[0] if seen.order is not None else ""
    weight = seen.route.weight if seen.route.canary == seen.trial.canary else 0.0
    fresh = (Evidence(),) * len(plan.objectives)
    return Rollout(seen.trial, seen.now, number, before=weight, evidence=fresh, handled=handled)


def _restored(rollout: Rollout, seen: Seen) -> Rollout:
    """After an undo: done once the former stable has the traffic again."""
    if seen.route == Route(rollout.trial.stable) and seen.settled:
        return _enter(rollout, Phase.ROLLED_BACK, seen, rollout.reason)
    return rollout


def _active(rollout: Rollout, plan: Plan, seen: Seen) -> Rollout:
    """Warming, a step, promoting or baking: hands, orders and evidence first, then the way on."""
    if len(rollout.evidence) != len(plan.objectives) or rollout.step > len(plan.steps):
        rollout = _replanned(rollout, plan)
    rollout = _moved_by_hand(rollout, seen)
    rollout, order = _order(rollout, seen)
    if order is Order.ROLLBACK or (order is Order.UNDO and rollout.phase is Phase.BAKING):
        return _rolled_back(rollout, seen, "rolled back by hand")
    rollout = _ordered(rollout, order)
    if seen.objections:
        return _rolled_back(rollout, seen, "; ".join(seen.objections))
    if rollout.until is not None and seen.now >= rollout.until:
        rollout = replace(rollout, paused=None, until=None, passed=True)
    if rollout.phase in _TESTED:
        rollout = _looked(rollout, plan, seen)
        judgement = rollout.judgement
        if judgement is not None and judgement.verdict is Verdict.ROLLBACK:
            return _rolled_back(rollout, seen, judgement.reason)
    overdue = rollout.phase is not Phase.BAKING and seen.now - rollout.entered > plan.deadline
    if overdue and rollout.phase is Phase.WARMING:
        return _rolled_back(rollout, seen, f"{rollout.trial.canary} was not ready within {plan.deadline:g} s")
    rollout = replace(rollout, overdue=overdue and rollout.paused is None)
    return rollout if rollout.paused is not None else _onward(rollout, plan, seen)


def _replanned(rollout: Rollout, plan: Plan) -> Rollout:
    """Under a plan that has other objectives or fewer steps: the evidence anew, the weight as it is."""
    step = next((i for i, weight in enumerate(plan.steps) if weight >= rollout.weight), len(plan.steps))
    if rollout.phase not in (Phase.STEP, Phase.PROMOTING):
        step = rollout.step
    return replace(rollout, step=step, evidence=(Evidence(),) * len(plan.objectives), requests=0, judgement=None)


def _moved_by_hand(rollout: Rollout, seen: Seen) -> Rollout:
    """A weight that is neither what we want nor what was before is a person's: it stays, and we pause."""
    weight = seen.route.weight if seen.route.canary == rollout.trial.canary else 0.0
    if weight == rollout.weight:
        return rollout if rollout.before == weight else replace(rollout, before=weight)
    if weight == rollout.before:
        return rollout
    why = f"the weight was moved by hand from {rollout.before:g} to {weight:g}"
    return replace(rollout, weight=weight, before=weight, since=None, paused=why, until=None)


def _order(rollout: Rollout, seen: Seen) -> tuple[Rollout, Order | None]:
    """The order that was not handled yet, noted as handled."""
    if seen.order is None or seen.order[0] == rollout.handled:
        return rollout, None
    return replace(rollout, handled=seen.order[0]), seen.order[1]


def _ordered(rollout: Rollout, order: Order | None) -> Rollout:
    """What an order changes that doesn't end the rollout. Approval lifts no pause but the one that waits for it."""
    awaits = rollout.paused == AWAITING
    if order is Order.PAUSE:
        return replace(rollout, paused="paused by hand", until=None)
    if order is Order.PROMOTE:
        return replace(rollout, forced=True, paused=None, until=None)
    if order is Order.APPROVE:
        return replace(rollout, passed=True, paused=None if awaits else rollout.paused)
    if order is Order.RESUME and not awaits:
        return replace(rollout, passed=rollout.passed or rollout.until is not None, paused=None, until=None)
    return rollout


def _looked(rollout: Rollout, plan: Plan, seen: Seen) -> Rollout:
    """With what is new of the evidence, and the verdict on all of it."""
    looks = seen.looks
    if looks is None or not all(objective.name in looks for objective in plan.objectives):
        return rollout
    share, evidence, requests = rollout.weight / 100, [], 0
    settled = rollout.since is not None and seen.now - rollout.since >= SETTLING
    for objective, old in zip(plan.objectives, rollout.evidence, strict=True):
        new = looks[objective.name]
        here = [look for look in new if look.share == share]
        requests = max(requests, sum([look.canary_requests for look in here]))
        evidence.append(gathered(objective, old, (here if settled else ()) if objective.anew else new))
    judgement = judge(plan.objectives, tuple(evidence), restarts=len(plan.steps))
    return replace(rollout, evidence=tuple(evidence), requests=rollout.requests + requests, judgement=judgement)


def _onward(rollout: Rollout, plan: Plan, seen: Seen) -> Rollout:
    """The way on, where nothing stands against it."""
    target = _target(rollout, plan)
    can = seen.capacity.get(rollout.trial.canary, 0.0)
    if rollout.phase is Phase.WARMING:
        if can < target:
            return rollout
        return _enter(rollout, Phase.STEP, seen, f"{rollout.trial.canary} is ready")
    if rollout.forced and rollout.phase is Phase.STEP:
        return _enter(rollout, Phase.PROMOTING, seen, "promoted by hand")
    if rollout.weight != target:
        if can < target:
            return rollout
        return replace(rollout, before=rollout.weight, weight=target, since=None)
    if seen.route.weight != target or not seen.settled:
        return rollout
    if rollout.phase is Phase.PROMOTING:
        return replace(_enter(rollout, Phase.BAKING, seen, rollout.reason), since=seen.now)
    if rollout.since is None:
        return replace(rollout, since=seen.now)
    if (
        seen.looks is None
        or seen.doubts
        or seen.now - rollout.since < (plan.bake if rollout.phase is Phase.BAKING else plan.interval)
    ):
        return rollout
    if rollout.phase is Phase.BAKING:
        return _enter(rollout, Phase.FINISHING, seen, rollout.reason)
    judgement = rollout.judgement
    if judgement is None or judgement.verdict is not Verdict.ADVANCE or rollout.requests < LEAST_REQUESTS:
        return rollout
    pause = plan.pause(target)
    if pause is not None and not rollout.passed:
        if pause.seconds is None:
            return replace(rollout, paused=AWAITING)
        return replace(rollout, paused=f"pauses for {pause.seconds:g} s", until=seen.now + pause.seconds)
    return _next(rollout, plan, seen, judgement)


def _next(rollout: Rollout, plan: Plan, seen: Seen, judgement: Judgement) -> Rollout:
    """The next step, or the promotion."""
    if rollout.step + 1 >= len(plan.steps):
        return _enter(rollout, Phase.PROMOTING, seen, judgement.reason)
    pairs = zip(plan.objectives, rollout.evidence, strict=True)
    evidence = tuple(renewed(objective, old) for objective, old in pairs)
    return replace(_enter(rollout, Phase.STEP, seen, judgement.reason), step=rollout.step + 1, evidence=evidence)


def _target(rollout: Rollout, plan: Plan) -> float:
    """The weight of the phase; while warming the one that comes first."""
    if rollout.phase is Phase.WARMING:
        return plan.steps[0]
    return plan.steps[rollout.step] if rollout.phase is Phase.STEP else 100.0


def _enter(rollout: Rollout, phase: Phase, seen: Seen, reason: str) -> Rollout:
    return replace(
        rollout,
        phase=phase,
        entered=seen.now,
        since=None,
        requests=0,
        paused=None,
        until=None,
        passed=False,
        overdue=False,
        reason=reason,
    )


def _rolled_back(rollout: Rollout, seen: Seen, reason: str) -> Rollout:
    return replace(_enter(rollout, Phase.ROLLING_BACK, seen, reason), weight=0.0, forced=False)


def _wanted(rollout: Rollout | None, plan: Plan | None, seen: Seen) -> tuple[Route, dict[str, float]]:
    """The split and the capacities. Of a rollout that is over, or of none, the split is no matter of ours."""
    if rollout is None or rollout.phase in OVER:
        return seen.route, {seen.route.stable: 100.0}
    stable, canary = rollout.trial.stable, rollout.trial.canary
    both = {stable: 100.0, canary: 100.0}
    if rollout.phase is Phase.FINISHING:
        return Route(canary), both
    if rollout.phase is Phase.RESTORING:
        back = seen.route.stable == stable or seen.capacity.get(stable, 0.0) >= 100
        return Route(stable if back else canary), both
    if rollout.phase is Phase.ROLLING_BACK or plan is None:
        # Of the canary nothing is taken away before its last gateway has left it.
        return Route(stable, canary), {stable: 100.0, canary: seen.route.weight}
    need = max(_target(rollout, plan), rollout.weight, seen.route.weight)
    return Route(stable, canary, rollout.weight), {stable: 100.0, canary: need}
