"""The state machine of a rollout. Pure: time, and all that is seen, are passed in.

    warming ──► step ──► … ──► promoting ──► baking ──► finishing ──► promoted ──► restoring ──► rolled back
       └─────────┴──────────────────┴──────────┴──► rolling back ──► rolled back (retry: again from warming)

`step` takes the state that was kept and what is observed, and says what to keep and what to want. The caller keeps the
state first and then brings about what is wanted, or both in one write; killed between any two, the next look wants the
same again. What a look can't see it doesn't assume: a weight counts from the moment that all gateways have it, and the
next one waits for that. Only rolling back waits for nothing.

Stable's capacity is wanted whole until the canary is promoted and has baked. A weight waits until the canary is ready,
warmed, and has the capacity for it. Evidence that can't be read, or silence, holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

from deployer.rollout.analysis.products import Evidence, Look, gathered, renewed
from deployer.rollout.analysis.verdict import LEAST_REQUESTS, Judgement, Verdict, judge
from deployer.rollout.state import AWAITING, BY_HAND, OVER, Action, Phase, Rollout, Route, StepInput, VersionPair
from deployer.rollout.strategy import Plan

SETTLING = 15.0
"""Seconds of a step whose latencies are left out: caches fill, and queues of the weight before run dry."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to keep, and what to want: the split, and for each version the percentage that it needs capacity for."""

    rollout: Rollout | None
    route: Route
    capacity: Mapping[str, float]


def step(rollout: Rollout | None, plan: Plan | None, seen: StepInput) -> Step:
    """One look at a rollout. `plan` is None where the document has none (any more)."""
    if rollout is None or rollout.phase in OVER:
        rollout = _begun(rollout, plan, seen)
    elif rollout.phase is Phase.FINISHING:
        rollout = _finished(rollout, plan, seen)
    elif rollout.phase is Phase.RESTORING:
        rollout = _restored(rollout, seen)
    elif rollout.phase is Phase.ROLLING_BACK:
        if not _observed(rollout, seen) and seen.settled:
            rollout = _back(rollout, seen)
    elif plan is None:
        rollout = _rolled_back(rollout, seen, "the rollout was taken out of the document")
    elif seen.trial != rollout.trial:
        stopped = seen.trial is not None and rollout.paused == BY_HAND
        rollout = replace(_rolled_back(rollout, seen, "the document's versions have changed"), stopped=stopped)
    else:
        rollout = _active(rollout, plan, seen)
    return Step(rollout, *_wanted(rollout, seen))


def _begun(old: Rollout | None, plan: Plan | None, seen: StepInput) -> Rollout | None:
    """A new rollout, where there is cause; else the old one, over as it is. An action from before the first is void."""
    action, handled, number = None, seen.action[0] if seen.action is not None else "", 1
    if old is not None:
        old, action = _new_action(old, seen)
        handled, number = old.handled, old.number + 1
        trial = seen.trial
        if old.phase is Phase.PROMOTED and action in (Action.UNDO, Action.ROLLBACK) and _are_same(trial, old.trial):
            return replace(_enter(old, Phase.RESTORING, seen, "undone by hand"), trial=trial)
    if plan is None or seen.trial is None or seen.trial.stable != seen.route.stable:
        return old
    if old is not None and old.trial == seen.trial and not (old.phase is Phase.ROLLED_BACK and action is Action.RETRY):
        return old
    weight = seen.route.weight if seen.route.canary == seen.trial.canary else 0.0
    fresh = (Evidence(),) * len(plan.objectives)
    paused = BY_HAND if old is not None and old.stopped and action is not Action.RETRY else None
    return Rollout(seen.trial, plan, seen.now, number, before=weight, evidence=fresh, paused=paused, handled=handled)


def _are_same(trial: VersionPair | None, other: VersionPair) -> TypeGuard[VersionPair]:
    """Whether it is about the same versions, in whatever form they are declared now."""
    return trial is not None and (trial.stable, trial.canary) == (other.stable, other.canary)


def _finished(rollout: Rollout, plan: Plan | None, seen: StepInput) -> Rollout:
    """Once gateways know the canary as stable. Until then (it may not be ready just now) there is a way back."""
    if seen.route.stable == rollout.trial.canary:
        over = not seen.route.weight and seen.settled
        return _enter(rollout, Phase.PROMOTED, seen, rollout.reason) if over else rollout
    rollout, action = _new_action(rollout, seen)
    if action in (Action.ROLLBACK, Action.UNDO):
        return _rolled_back(rollout, seen, "rolled back by hand")
    if seen.abort_reasons:
        return _rolled_back(rollout, seen, "; ".join(seen.abort_reasons))
    if plan is None or seen.trial != rollout.trial:
        return _rolled_back(rollout, seen, "the document has changed")
    return rollout


def _restored(rollout: Rollout, seen: StepInput) -> Rollout:
    """After an undo: done once the former stable has the traffic again. Until then the document may go on from the
    promotion: then that stands."""
    if seen.route.stable == rollout.trial.stable:
        if seen.settled and not seen.route.weight:
            return _back(rollout, seen)
    elif seen.trial != rollout.trial:
        return _enter(rollout, Phase.PROMOTED, seen, "the document's versions have changed, so nothing is undone")
    return rollout


def _active(rollout: Rollout, plan: Plan, seen: StepInput) -> Rollout:
    """Warming, a step, promoting or baking: what people did first, then the evidence, then the way on."""
    if rollout.plan is not plan and rollout.plan != plan:
        rollout = _replanned(rollout, plan)
    rollout = _moved_by_hand(rollout, seen)
    rollout, action = _new_action(rollout, seen)
    if action in (Action.ROLLBACK, Action.UNDO):
        return _rolled_back(rollout, seen, "rolled back by hand")
    if seen.abort_reasons:
        return _rolled_back(rollout, seen, "; ".join(seen.abort_reasons))
    if action is not None:
        rollout = _after_action(rollout, action, seen)
    if rollout.until is not None and seen.now >= rollout.until:
        rollout = replace(rollout, entered=seen.now, paused=None, until=None, passed=True)
    complete = False
    if seen.looks is not None and (rollout.phase is not Phase.WARMING or _observed(rollout, seen)):
        rollout, complete = _looked(rollout, seen.looks, seen.now)
        judgement = rollout.judgement
        if judgement is not None and judgement.verdict is Verdict.ROLLBACK:
            return _rolled_back(rollout, seen, judgement.reason)
    rollout = _timed(rollout, seen)
    return rollout if rollout.paused is not None else _onward(rollout, seen, complete and not seen.hold_reasons)


def _replanned(rollout: Rollout, plan: Plan) -> Rollout:
    """Under another plan: at its step for the weight that there is, and with other objectives the evidence anew."""
    step = next((i for i, weight in enumerate(plan.steps) if weight >= rollout.weight), len(plan.steps) - 1)
    if (plan.objectives, plan.evidence) != (rollout.plan.objectives, rollout.plan.evidence):
        evidence, judgement = (Evidence(),) * len(plan.objectives), None
    else:
        is_same = plan.steps[step] == rollout.plan.steps[rollout.step]
        evidence = rollout.evidence if is_same else _renewed(rollout)
        judgement = rollout.judgement
    paused = None if rollout.until is not None or rollout.paused == AWAITING else rollout.paused
    return replace(rollout, plan=plan, step=step, evidence=evidence, judgement=judgement, paused=paused, until=None)


def _moved_by_hand(rollout: Rollout, seen: StepInput) -> Rollout:
    """A weight that is neither what we want nor what was before is a person's: it stays, and we pause."""
    weight = _observed(rollout, seen)
    if weight == rollout.weight:
        return rollout if rollout.before == weight else replace(rollout, before=weight)
    if weight == rollout.before:
        return rollout
    why = f"the weight was moved by hand from {rollout.before:g} to {weight:g}"
    return replace(rollout, weight=weight, before=weight, since=None, paused=why, until=None)


def _new_action(rollout: Rollout, seen: StepInput) -> tuple[Rollout, Action | None]:
    """The action that was not handled yet, noted as handled."""
    if seen.action is None or seen.action[0] == rollout.handled:
        return rollout, None
    return replace(rollout, handled=seen.action[0]), seen.action[1]


def _after_action(rollout: Rollout, action: Action, seen: StepInput) -> Rollout:
    """What an action changes that doesn't end the rollout. Approval lifts no pause but the one that waits for it."""
    awaits = rollout.paused == AWAITING
    if action is Action.PAUSE:
        return replace(rollout, paused=BY_HAND, until=None)
    if action is Action.PROMOTE:
        return replace(rollout, entered=seen.now, forced=True, paused=None, until=None)
    if action is Action.APPROVE and (awaits or rollout.paused is None):
        return replace(rollout, entered=seen.now if awaits else rollout.entered, passed=True, paused=None)
    if action is Action.RESUME and rollout.paused is not None and not awaits:
        passed = rollout.passed or rollout.until is not None
        return replace(rollout, entered=seen.now, passed=passed, paused=None, until=None)
    return rollout


def _looked(rollout: Rollout, looks: Mapping[str, tuple[Look, ...]], now: float) -> tuple[Rollout, bool]:
    """With what is new of the evidence and the verdict on all of it; and whether every objective could be read."""
    objectives, share = rollout.plan.objectives, rollout.weight / 100
    there = rollout.weight == _target(rollout)
    settled = there and rollout.since is not None and now - rollout.since >= SETTLING
    evidence, requests, complete, changed = list(rollout.evidence), 0, True, False
    for index, objective in enumerate(objectives):
        new = looks.get(objective.name)
        if new is None:
            complete = False
        elif new:
            here = tuple([look for look in new if look.share == share])
            requests = max(requests, sum([look.canary_requests for look in here]))
            evidence[index] = gathered(objective, evidence[index], (here if settled else ()) if objective.anew else new)
            changed = True
    if not changed:
        return rollout, complete
    judgement = judge(objectives, tuple(evidence), restarts=len(rollout.plan.steps))
    requests = rollout.requests + requests if there else 0
    return replace(rollout, evidence=tuple(evidence), requests=requests, judgement=judgement), complete


def _timed(rollout: Rollout, seen: StepInput) -> Rollout:
    """With whether it is overdue; pauses don't count."""
    plan = rollout.plan
    allowed = plan.deadline + plan.bake if rollout.phase is Phase.BAKING else plan.deadline
    overdue = rollout.paused is None and seen.now - rollout.entered > allowed
    return rollout if overdue == rollout.overdue else replace(rollout, overdue=overdue)


def _onward(rollout: Rollout, seen: StepInput, fit: bool) -> Rollout:
    """The way on, where nothing stands against it. `fit`: the evidence is all there, and there is no doubt."""
    target, trial = _target(rollout), rollout.trial
    able = seen.capacity.get(trial.canary, 0.0) >= target
    if rollout.phase is Phase.WARMING and rollout.overdue and not able:
        return _rolled_back(rollout, seen, f"{trial.canary} was not ready within {rollout.plan.deadline:g} s")
    if _observed(rollout, seen) != rollout.weight or not seen.settled:
        return rollout
    if rollout.phase is Phase.STEP and rollout.forced:
        return _enter(rollout, Phase.PROMOTING, seen, "promoted by hand, without waiting for the evidence")
    if rollout.phase is Phase.WARMING:
        return _enter(rollout, Phase.STEP, seen, f"{trial.canary} is ready") if able else rollout
    if rollout.weight != target:
        return replace(rollout, before=rollout.weight, weight=target, since=None, requests=0) if able else rollout
    if rollout.phase is Phase.PROMOTING:
        return replace(_enter(rollout, Phase.BAKING, seen, rollout.reason), since=seen.now)
    if rollout.since is None:
        return replace(rollout, since=seen.now)
    spent = seen.now - rollout.since
    if rollout.phase is Phase.BAKING:
        over = fit and able and spent >= rollout.plan.bake
        return _enter(rollout, Phase.FINISHING, seen, rollout.reason) if over else rollout
    judgement = rollout.judgement
    if not fit or spent < rollout.plan.interval or rollout.requests < LEAST_REQUESTS:
        return rollout
    if judgement is None or judgement.verdict is not Verdict.ADVANCE:
        return rollout
    pause = rollout.plan.pause(target)
    if pause is None or rollout.passed:
        return _next(rollout, seen, judgement)
    if pause.seconds is None:
        return replace(rollout, paused=AWAITING)
    return replace(rollout, paused=f"pauses for {pause.seconds:g} s", until=seen.now + pause.seconds)


def _next(rollout: Rollout, seen: StepInput, judgement: Judgement) -> Rollout:
    """The next step, or the promotion."""
    if rollout.step + 1 >= len(rollout.plan.steps):
        return _enter(rollout, Phase.PROMOTING, seen, judgement.reason)
    entered = _enter(rollout, Phase.STEP, seen, judgement.reason)
    return replace(entered, step=rollout.step + 1, evidence=_renewed(rollout))


def _renewed(rollout: Rollout) -> tuple[Evidence, ...]:
    """The evidence that goes along to another step."""
    pairs = zip(rollout.plan.objectives, rollout.evidence, strict=True)
    return tuple([renewed(objective, evidence) for objective, evidence in pairs])


def _target(rollout: Rollout) -> float:
    """The weight of the phase; while warming the one that comes first."""
    if rollout.phase is Phase.STEP or rollout.phase is Phase.WARMING:
        return rollout.plan.steps[rollout.step]
    return 100.0


def _observed(rollout: Rollout, seen: StepInput) -> float:
    """The canary's weight as it is."""
    return seen.route.weight if seen.route.canary == rollout.trial.canary else 0.0


def _enter(rollout: Rollout, phase: Phase, seen: StepInput, reason: str) -> Rollout:
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


def _rolled_back(rollout: Rollout, seen: StepInput, reason: str) -> Rollout:
    before = max(rollout.before, rollout.weight)
    return replace(_enter(rollout, Phase.ROLLING_BACK, seen, reason), weight=0.0, before=before)


def _back(rollout: Rollout, seen: StepInput) -> Rollout:
    return replace(_enter(rollout, Phase.ROLLED_BACK, seen, rollout.reason), weight=0.0, before=0.0)


def _wanted(rollout: Rollout | None, seen: StepInput) -> tuple[Route, dict[str, float]]:
    """The split and the capacities. Of a rollout that is over, or of none, the split is no matter of ours."""
    if rollout is None or rollout.phase in OVER:
        return seen.route, {seen.route.stable: 100.0}
    stable, canary = rollout.trial.stable, rollout.trial.canary
    if rollout.phase is Phase.FINISHING:
        return Route(canary), {stable: 100.0, canary: 100.0}
    if rollout.phase is Phase.RESTORING:
        back = seen.route.stable == stable or seen.capacity.get(stable, 0.0) >= 100
        return Route(stable if back else canary), {stable: 100.0, canary: 100.0}
    # Of the canary nothing is taken away before its last gateway has left it.
    need = rollout.before if rollout.phase is Phase.ROLLING_BACK else max(_target(rollout), rollout.weight)
    return Route(stable, canary, rollout.weight), {stable: 100.0, canary: max(need, seen.route.weight)}
