"""What of a change people would want to know, as Events. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.status.model import ConditionType, DeploymentStatus
from deployer.rollout.events import Event
from deployer.rollout.state import is_under_way

REPORTER = "turnout-operator"
_LONGEST = 1024  # a longer note is refused

_WARNINGS: tuple[ConditionType, ...] = (
    "Degraded",
    "Unschedulable",
    "ForeignObject",
    "AutoscalerMissing",
    "NameTaken",
)
"""Those of rollouts are not among them: of a rollout is told what happens to it."""


def status_events(before: DeploymentStatus | None, after: DeploymentStatus) -> Iterator[Event]:
    """What happened between the two: a version became ready, weight is in force, a warning came or changed."""
    was = {version.name: version.ready for version in before.versions} if before else {}
    for version in after.versions:
        if version.ready and not was.get(version.name):
            yield Event("VersionReady", f"version {version.name} is ready")
    rollouts = [status.rollout for status in (before, after) if status is not None]
    if not any(map(is_under_way, rollouts)):  # else each step is told, with its reason
        yield from _traffic(before, after)
    if after.action is not None and after.action.refused and after.action != (before.action if before else None):
        yield Event("ActionRefused", after.action.refused, True)
    known = {c.type: c for c in before.conditions} if before else {}
    for condition in after.conditions:
        bad = "False" if condition.type == "Accepted" else "True"
        if condition.type not in (*_WARNINGS, "Accepted") or condition.status != bad:
            continue
        if condition.type == "Degraded" and any(
            other.message == condition.message and other.type != "Degraded" for other in after.conditions
        ):
            continue  # said by the other one
        earlier = known.get(condition.type)
        if earlier is None or (earlier.status, earlier.message) != (condition.status, condition.message):
            yield Event(condition.reason, condition.message, True)


def _traffic(before: DeploymentStatus | None, after: DeploymentStatus) -> Iterator[Event]:
    old, new = before.route if before else None, after.route
    if new is None or (old is not None and old.epoch == new.epoch):
        return
    if old is not None and old.stable != new.stable:
        yield Event("Promoted", f"version {new.stable} is stable now, instead of {old.stable}")
    if new.canary is not None and (new.weight or (old is not None and old.weight)):
        share = f"{new.weight:g} % of the requests go to {new.canary}, the others to {new.stable}"
        yield Event("WeightInForce", share)
    elif old is not None and old.weight:
        yield Event("WeightInForce", f"all requests go to {new.stable}")


def as_object(event: Event, resource: Object, now: str) -> Object:
    """The Event for `resource`, whose status it follows from. Its name follows from both: it is told once, whoever
    tries to again, and told anew when it happens again."""
    metadata, kind = resource["metadata"], "Warning" if event.warning else "Normal"
    known = (metadata["uid"], metadata["resourceVersion"], kind, event.reason, event.message)
    digest = hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": event.reason,
        "message": event.message[:_LONGEST],
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "reportingInstance": "",
    }
