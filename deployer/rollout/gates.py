"""What stands against a canary besides the counts: crashes, another signature, the user's own metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deployer.document.model import ModelDeployment
from deployer.document.rollout import Metric
from deployer.rollout.analysis.signature import difference
from deployer.rollout.checkpoint import Checkpoint, Failures, Strikes
from deployer.rollout.observation import Observation
from deployer.rollout.state import Rollout

CRASHES = 3
"""Failures of a canary's replicas in one rollout that end it: one may be the machine's fault, or a full node's."""
STRIKES = 3
"""Looks in a row with a user's metric out of its limits that end a rollout."""
APART = 10.0
"""Seconds between two such looks: nearer to each other they may have seen the same sample."""


def watched(
    checkpoint: Checkpoint, rollout: Rollout, document: ModelDeployment, observation: Observation
) -> Checkpoint:
    """With the canary's failures, and the user's metrics that are out of their limits while it has traffic."""
    count, _ = observation.failures.get(rollout.trial.canary, (0, ""))
    failures = Failures(count, checkpoint.failures.total + max(0, count - checkpoint.failures.seen))
    strikes = dict(checkpoint.strikes)
    for metric in _metrics(document) if rollout.since is not None else ():
        value, old = observation.metrics.get(metric.name), strikes.get(metric.name)
        if value is None or (old is not None and 0 <= observation.now - old.last < APART):
            continue
        if _is_good(metric, value):
            strikes.pop(metric.name, None)
        else:
            strikes[metric.name] = Strikes(old.count + 1 if old is not None else 1, observation.now)
    return replace(checkpoint, failures=failures, strikes=strikes)


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
    for metric in _metrics(document):
        strikes = checkpoint.strikes.get(metric.name)
        if strikes is not None and strikes.count >= STRIKES:
            yield f"{_shown(metric, observation.metrics.get(metric.name))} in {strikes.count} looks in a row"


def hold_reasons(document: ModelDeployment, observation: Observation) -> Iterator[str]:
    """Why the canary may not go on yet."""
    for source in observation.unread:
        yield f"{source} can't be asked for evidence"
    for metric in _metrics(document):
        value = observation.metrics.get(metric.name)
        if value is None:
            yield f"the metric {metric.name} can't be read"
        elif not _is_good(metric, value):
            yield _shown(metric, value)


def _metrics(document: ModelDeployment) -> tuple[Metric, ...]:
    declared = document.spec.rollout
    return declared.objectives.metrics if declared is not None else ()


def _is_good(metric: Metric, value: float) -> bool:
    return (metric.min is None or value >= metric.min) and (metric.max is None or value <= metric.max)


def _shown(metric: Metric, value: float | None) -> str:
    least = f"{metric.min:g}" if metric.min is not None else "any"
    most = f"{metric.max:g}" if metric.max is not None else "any"
    shown = f"{value:g}" if value is not None else "unread"
    return f"the metric {metric.name} is {shown}, and good from {least} to {most}"
