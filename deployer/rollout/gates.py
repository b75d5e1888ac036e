"""What stands against a canary besides the counts: crashes, another signature, the user's own metrics. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from deployer.document.rollout import Metric
from deployer.rollout.analysis.metric_looks import MetricLooks
from deployer.rollout.analysis.signature import difference
from deployer.rollout.checkpoint import Checkpoint, Failures
from deployer.rollout.observation import Observation
from deployer.rollout.state import Phase, Rollout

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment

CRASHES = 3
"""Failures of a canary's replicas in one rollout that end it: one may be the machine's fault, or a full node's."""
PATIENCE = 0.5
"""The part of the deadline that a canary waits for stable's signature at most: the rest is for its own readiness."""
APART = 10.0
"""Seconds between two looks at a user's metric: nearer to each other they may have seen the same sample."""


def watched(
    checkpoint: Checkpoint, rollout: Rollout, document: ModelDeployment, observation: Observation
) -> Checkpoint:
    """With the canary's failures, and the looks at the user's metrics while it has traffic."""
    count, _ = observation.failures.get(rollout.trial.canary, (0, ""))
    failures = Failures(count, checkpoint.failures.total + max(0, count - checkpoint.failures.seen))
    metrics = {}
    for metric in declared_metrics(document):
        value, looks = observation.metrics.get(metric.name), looks_at(metric, checkpoint)
        is_new = not (looks.looks and 0 <= observation.now - looks.last < APART)
        if rollout.since is not None and isinstance(value, float) and is_new:
            looks = looks.after(not is_good(metric, value), observation.now)
        metrics[_identity(metric)] = looks
    return replace(checkpoint, failures=failures, metrics=metrics)


def is_comparable(rollout: Rollout, observation: Observation) -> bool:
    """Whether the canary may have its first requests as far as signatures go.

    Stable's is not waited for where it is dead: the canary may be what mends it. Once stable answers again the two are
    compared, and until the promotion another signature still ends the rollout.
    """
    if rollout.phase is not Phase.WARMING:
        return True
    stable, canary = rollout.trial.stable, rollout.trial.canary
    failures, _ = observation.failures.get(stable, (0, ""))
    is_dead = failures > 0 and not observation.ready.get(stable, 0)
    is_late = observation.now - rollout.entered > PATIENCE * rollout.plan.deadline
    return canary in observation.asked and (stable in observation.asked or is_dead or is_late)


def abort_reasons(
    checkpoint: Checkpoint, rollout: Rollout, document: ModelDeployment, observation: Observation
) -> Iterator[str]:
    """Why the canary has to go at once."""
    stable, canary = rollout.trial.stable, rollout.trial.canary
    if checkpoint.failures.total >= CRASHES:
        _, reason = observation.failures.get(canary, (0, ""))
        yield f"{canary} failed {checkpoint.failures.total} times since the rollout began, last: {reason}"
    declared, signatures = document.spec.rollout, observation.signatures
    if declared is not None and not declared.allow_signature_change and {stable, canary} <= signatures.keys():
        differs = difference(signatures[stable], signatures[canary])
        if differs:
            yield f"{canary} has another signature than {stable}: {differs}"
    metrics = declared_metrics(document)
    for metric in metrics:
        looks = looks_at(metric, checkpoint)
        if looks.is_broken(len(metrics)):
            yield f"the metric {metric.name} {_often(looks)}; {_shown(metric, observation)}"


def hold_reasons(checkpoint: Checkpoint, document: ModelDeployment, observation: Observation) -> Iterator[str]:
    """Why the canary may not go on yet."""
    for source in observation.unread:
        yield f"{source} can't be asked for evidence"
    for metric in declared_metrics(document):
        value, looks = observation.metrics.get(metric.name), looks_at(metric, checkpoint)
        if not isinstance(value, float) or not is_good(metric, value):
            yield f"the metric {metric.name} {_shown(metric, observation)}"
        elif looks.is_doubtful:
            yield f"the metric {metric.name} {_often(looks)}"


def declared_metrics(document: ModelDeployment) -> tuple[Metric, ...]:
    """The user's own metrics that the rollout goes by."""
    declared = document.spec.rollout
    return declared.objectives.metrics if declared is not None else ()


def looks_at(metric: Metric, checkpoint: Checkpoint) -> MetricLooks:
    """The looks at the metric in this rollout, as it is declared now."""
    return checkpoint.metrics.get(_identity(metric), MetricLooks())


def _identity(metric: Metric) -> str:
    """The name, and a digest of the rest: with other limits, or asked otherwise, earlier looks say nothing of it."""
    return f"{metric.name} {hashlib.sha256(metric.model_dump_json().encode()).hexdigest()[:8]}"


def metric_figures(checkpoint: Checkpoint, document: ModelDeployment) -> Iterator[str]:
    """What the looks at the user's metrics have come to."""
    for metric in declared_metrics(document):
        yield f"{metric.name}: {_often(looks_at(metric, checkpoint))}"


def is_good(metric: Metric, value: float) -> bool:
    """Whether the value is within the metric's limits."""
    return (metric.min is None or value >= metric.min) and (metric.max is None or value <= metric.max)


def _often(looks: MetricLooks) -> str:
    return f"was out of its limits in {looks.bad} of {looks.looks} looks"


def _shown(metric: Metric, observation: Observation) -> str:
    value = observation.metrics.get(metric.name, "nobody has answered yet")
    if isinstance(value, str):
        return f"can't be read: {value}"
    least = f"{metric.min:g}" if metric.min is not None else "any"
    most = f"{metric.max:g}" if metric.max is not None else "any"
    return f"is {value:g}, and good from {least} to {most}"
