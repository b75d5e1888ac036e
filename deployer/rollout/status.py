"""What people and programs are told of a rollout, on a laptop and on Kubernetes alike. Pure.

Each part has a bound, since the custom resource's schema is made from these models too
(0020-a-structural-schema-with-bounds).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from deployer.document.fields import Label
from deployer.rollout import gates
from deployer.rollout.analysis.advice import advice
from deployer.rollout.analysis.metric_looks import bar
from deployer.rollout.analysis.verdict import Finding, Verdict
from deployer.rollout.checkpoint import Checkpoint, Record
from deployer.rollout.observation import Observation
from deployer.rollout.state import Phase
from deployer.rollout.strategy import Plan

if TYPE_CHECKING:  # it brings all runtimes, which `turnout status` does without
    from deployer.document.model import ModelDeployment

MAX_MESSAGE = 1024


def _cut(text: object) -> object:
    return f"{text[: MAX_MESSAGE - 1]}…" if isinstance(text, str) and len(text) > MAX_MESSAGE else text


Message = Annotated[str, BeforeValidator(_cut), Field(max_length=MAX_MESSAGE)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Weight = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class Part(BaseModel):
    """What all parts of a status have in common."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class ObjectiveStatus(Part):
    """What the evidence says of one objective."""

    name: Annotated[str, Field(max_length=64)]
    """The objective's name."""
    verdict: Verdict
    """What follows from it: advance, hold (not enough yet) or rollback."""
    canary_requests: Count
    """Requests that the split gave to the canary."""
    canary_bad: Count
    """Those of them that were bad."""
    stable_requests: Count
    """Requests that the split gave to stable meanwhile."""
    stable_bad: Count
    """Those of them that were bad."""
    worse: float
    """The e-value that the canary is worse than stable. It is rolled back at `barAgainst`."""
    over: float
    """The e-value that it is above the objective's limit. It is rolled back at `barAgainst`."""
    fine: float
    """The e-value that it is within the margin. It may advance at `barFor`."""
    bar_against: float
    """What `worse` or `over` has to reach."""
    bar_for: float
    """What `fine` has to reach."""
    message: Message
    """All of it in words."""
    advice: Message = ""
    """What evidence it takes, and what takes less, where it lacks some while nothing fails."""


class MetricStatus(Part):
    """What is known of one of the user's own metrics."""

    name: Annotated[str, Field(max_length=64)]
    """The metric's name."""
    value: float | None = None
    """The last value, if it could be read."""
    unread: Message = ""
    """Why it can't be read, if it can't."""
    min: float | None = None
    """The least value that is good."""
    max: float | None = None
    """The greatest value that is good."""
    looks: Count = 0
    """Looks at it since the rollout began."""
    bad: Count = 0
    """Looks that found it out of its limits."""
    against: float = 1
    """The e-value that it is out of its limits more often than by chance. The rollout is rolled back at `bar`."""
    bar: float = 100
    """What `against` has to reach."""


class RolloutRecord(Part):
    """A rollout that is over."""

    number: Count
    """Which of the deployment's rollouts it was."""
    stable: Label
    """The version that was stable."""
    canary: Label
    """The version on trial."""
    outcome: Annotated[str, Field(max_length=64)]
    """How it ended."""
    reason: Message
    """Why."""
    began: Time
    """When it began."""
    ended: Time
    """When it was over."""
    figures: Annotated[tuple[Message, ...], Field(max_length=16)] = ()
    """What the evidence said at its end, by objective."""


class RolloutStatus(Part):
    """Where a rollout stands, for people. What the deployer goes by is kept apart (`checkpoint.py`)."""

    number: Count
    """Which of the deployment's rollouts it is."""
    phase: Phase
    """Where it stands."""
    stable: Label
    """The version that is stable when it begins."""
    canary: Label
    """The version on trial."""
    step: Count
    """Which of the steps it is at, from 0."""
    steps: Annotated[tuple[Weight, ...], Field(max_length=32)] = ()
    """All weights on the way, in percent. Then it is promoted."""
    weight: Weight
    """The canary's share that is wanted now, in percent."""
    began: Time
    """When this phase, or this step, began."""
    since: Time | None = None
    """Since when all gateways have its weight."""
    earliest: Time | None = None
    """When it may go on at the earliest: once the least time of a step, or the bake time, is over."""
    deadline: Time | None = None
    """When it is overdue."""
    paused: Message = ""
    """Why it is paused, if it is."""
    until: Time | None = None
    """When a pause ends by itself."""
    reason: Message = ""
    """Why it is where it is."""
    hold_reasons: Annotated[tuple[Message, ...], Field(max_length=16)] = ()
    """What keeps it from going on, beside the evidence."""
    evidence: Annotated[tuple[ObjectiveStatus, ...], Field(max_length=16)] = ()
    """What the evidence says, by objective."""
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=8)] = ()
    """What is known of the user's own metrics."""
    evidence_time: Time | None = None
    """When the evidence was last written here; that is a few seconds behind what is known."""


def current(
    checkpoint: Checkpoint,
    plan: Plan | None,
    hold_reasons: tuple[str, ...] = (),
    metrics: tuple[MetricStatus, ...] = (),
) -> RolloutStatus | None:
    """The rollout that is under way, or the last one; None if there was none. `plan` as the document has it now,
    `hold_reasons` and `metrics` as the last look had them."""
    rollout = checkpoint.rollout
    if rollout is None:
        return None
    clock = checkpoint.clock
    least = {Phase.STEP: plan.interval, Phase.BAKING: plan.bake}.get(rollout.phase) if plan is not None else None
    timed = plan is not None and rollout.paused is None and rollout.phase in (Phase.WARMING, Phase.STEP)
    return RolloutStatus(
        number=rollout.number,
        phase=rollout.phase,
        stable=rollout.trial.stable,
        canary=rollout.trial.canary,
        step=rollout.step,
        steps=plan.steps if plan is not None else (),
        weight=rollout.weight,
        began=time(checkpoint.entered or rollout.entered),
        since=None if rollout.since is None else time(checkpoint.in_force or rollout.since),
        earliest=None if rollout.since is None or least is None else time(clock.wall(rollout.since + least)),
        deadline=time(clock.wall(rollout.entered + plan.deadline)) if timed and plan is not None else None,
        paused=rollout.paused or "",
        until=None if rollout.until is None else time(clock.wall(rollout.until)),
        reason=rollout.reason,
        hold_reasons=hold_reasons[:16],
        evidence=tuple(_objective(finding) for finding in rollout.judgement.findings) if rollout.judgement else (),
        metrics=metrics,
    )


def metrics(checkpoint: Checkpoint, document: ModelDeployment, observation: Observation) -> Iterator[MetricStatus]:
    """The user's own metrics, as one look saw them."""
    declared = gates.declared_metrics(document)
    for metric in declared:
        value, looks = observation.metrics.get(metric.name), gates.looks_at(metric, checkpoint)
        yield MetricStatus(
            name=metric.name,
            value=value if isinstance(value, float) else None,
            unread=value if isinstance(value, str) else "",
            min=metric.min,
            max=metric.max,
            looks=looks.looks,
            bad=looks.bad,
            against=looks.against,
            bar=bar(len(declared)),
        )


def record(record: Record) -> RolloutRecord:
    """One that is over."""
    return RolloutRecord(
        number=record.number,
        stable=record.stable,
        canary=record.canary,
        outcome=record.outcome,
        reason=record.reason,
        began=time(record.began),
        ended=time(record.ended),
        figures=record.figures[:16],
    )


def time(seconds: float) -> str:
    """A time since 1970 by RFC 3339, in whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(time: str) -> float:
    """The seconds since 1970 of what `time` wrote."""
    return datetime.fromisoformat(time).timestamp()


def _objective(finding: Finding) -> ObjectiveStatus:
    evidence = finding.evidence
    return ObjectiveStatus(
        name=finding.objective.name,
        verdict=finding.verdict,
        canary_requests=evidence.canary_requests,
        canary_bad=evidence.canary_bad,
        stable_requests=evidence.stable_requests,
        stable_bad=evidence.stable_bad,
        worse=finding.worse,
        over=finding.over,
        fine=finding.fine,
        bar_against=finding.bar_against,
        bar_for=finding.bar_for,
        message=str(finding),
        advice=advice(finding),
    )
