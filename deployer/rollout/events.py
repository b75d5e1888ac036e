"""What a person would want to know of a rollout, told by what differs between two looks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from deployer.rollout.analysis.advice import advice
from deployer.rollout.state import Phase, Rollout
from deployer.rollout.strategy import Plan


@dataclass(frozen=True)
class Event:
    """An Event, a line, a message to a webhook."""

    reason: str
    """One word in CamelCase, such as StepBegun, RolledBack, Promoted, Paused, Overdue."""
    message: str
    warning: bool = False


def rollout_events(before: Rollout | None, after: Rollout | None, plan: Plan | None) -> Iterator[Event]:
    """What has happened from one look to the next, in its order."""
    if after is None or after == before:
        return
    stable, canary = after.trial.stable, after.trial.canary
    if before is None or before.number != after.number:
        yield Event("RolloutBegun", f"{canary} is to follow {stable}: rollout {after.number}")
        before = None
    paused = before.paused if before is not None else None
    if after.paused is None and paused is not None and _goes_on(after):
        yield Event("Resumed", f"goes on with {canary} at {after.weight:g} %")
    if before is None or before.phase is not after.phase or before.step != after.step:
        yield from _entered(before, after, plan)
    if after.paused is not None and after.paused != paused:
        yield Event("Paused", f"{canary} stays at {after.weight:g} %: {after.paused}")
    if after.overdue and not (before is not None and before.overdue):
        why = after.judgement.reason if after.judgement is not None else "there is no evidence yet"
        advised = filter(None, map(advice, after.judgement.findings)) if after.judgement is not None else iter(())
        why = "; ".join([why, *islice(advised, 1)])
        yield Event("Overdue", f"{canary} at {after.weight:g} % can't go on within the deadline: {why}", True)


def figures(rollout: Rollout) -> tuple[str, ...]:
    """What the evidence says, by objective."""
    return tuple(str(finding) for finding in rollout.judgement.findings) if rollout.judgement is not None else ()


def _goes_on(rollout: Rollout) -> bool:
    return rollout.phase in (Phase.WARMING, Phase.STEP, Phase.PROMOTING, Phase.BAKING)


def _entered(before: Rollout | None, after: Rollout, plan: Plan | None) -> Iterator[Event]:
    stable, canary = after.trial.stable, after.trial.canary
    match after.phase:
        case Phase.STEP if plan is not None and after.step < len(plan.steps):
            weight, last = plan.steps[after.step], len(plan.steps)
            message = f"{canary} gets {weight:g} %, step {after.step + 1} of {last}: {after.reason}"
            yield Event("StepBegun", message)
        case Phase.PROMOTING:
            yield Event("Promoting", f"{canary} gets all traffic: {after.reason}")
        case Phase.BAKING:
            yield Event("Promoted", f"{canary} has all traffic, and {stable} stays ready meanwhile: {after.reason}")
        case Phase.PROMOTED if before is not None and before.phase is Phase.FINISHING:
            yield Event("Baked", f"{canary} is stable now in place of {stable}")
        case Phase.PROMOTED:
            yield Event("Promoted", f"{canary} is stable now in place of {stable}: {after.reason}")
        case Phase.RESTORING:
            yield Event("Undoing", f"{stable} gets all traffic again: {after.reason}", True)
        case Phase.ROLLED_BACK if before is not None and before.phase is Phase.RESTORING:
            yield Event("Undone", f"{stable} has all traffic again: {after.reason}", True)
        case Phase.ROLLING_BACK:
            yield Event("RollingBack", f"{canary} loses its traffic to {stable}: {after.reason}", True)
        case Phase.ROLLED_BACK:
            yield Event("RolledBack", f"{stable} has all traffic again: {after.reason}", True)
