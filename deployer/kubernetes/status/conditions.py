"""The status of a ModelDeployment, from what is known of it and what is decided. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from deployer.errors import TurnoutError
from deployer.kubernetes.manifests import CannotRender, autoscaler_missing
from deployer.kubernetes.objects.kinds import Id, Object, identity
from deployer.kubernetes.reconcile.actions import Changes
from deployer.kubernetes.reconcile.observed import Observed
from deployer.kubernetes.rollout.checkpoint_codec import encoded
from deployer.kubernetes.status.model import Condition, ConditionType, DeploymentStatus, Phase, VersionStatus
from deployer.kubernetes.status.version_health import VersionFacts
from deployer.rollout import checkpoint as keeping
from deployer.rollout.checkpoint import Checkpoint
from deployer.rollout.controller import Decision, Split
from deployer.rollout.state import Phase as RolloutPhase
from deployer.rollout.state import is_under_way
from deployer.rollout.status import RolloutStatus, seconds, time
from gateway.contract import route_table

EVIDENCE = 5.0
"""Seconds between two writes of the status that tell new evidence and nothing else."""
_ROLLS_OUT = "RolloutUnderWay"
"""The reason of Progressing where nothing else is to be done."""
_BACK = (RolloutPhase.ROLLING_BACK, RolloutPhase.ROLLED_BACK)

_Named = dict[ConditionType, tuple[str, str]]
"""Conditions that stand only while they are true, with reason and message."""


class _Statement(NamedTuple):
    type: ConditionType
    true: bool
    reason: str
    message: str = ""


def as_decided(
    observed: Observed,
    decision: Decision,
    route: route_table.Deployment,
    desired: Mapping[Id, Object],
    changes: Changes,
) -> DeploymentStatus:
    """What to say of a spec that is carried out. `changes` are still to be done, so that all is as `desired`."""
    declared, versions, checkpoint = list(observed.document.by_name), observed.versions, decision.checkpoint
    named = _of_cluster(observed, versions) | _of_rollout(observed, decision) | _of_objects(observed, desired)
    unready = [name for name in declared if versions[name].ready == 0]
    late = _late(route, decision.roles)
    ready = _ready(unready, late)
    progressing = _progressing(declared, versions, unready, late, any(changes), decision.status)
    degraded = _degraded(observed, changes, named)
    return _status(
        observed,
        _phase(observed, ready, progressing, degraded),
        route,
        declared,
        versions,
        [_Statement("Accepted", True, "Valid"), ready, progressing, degraded, *_standing(named)],
        DeploymentStatus(
            rollout=decision.status,
            rollout_checkpoint=encoded(keeping.write(checkpoint)) if checkpoint != Checkpoint() else None,
            rollouts=decision.history,
            action=observed.action[0],
        ),
    )


def as_refused(observed: Observed, error: TurnoutError) -> DeploymentStatus:
    """What to say of a spec that can't be carried out: what runs goes on as it is."""
    reason, message = "UnsupportedRuntime" if isinstance(error, CannotRender) else "InvalidSpec", str(error)
    route = observed.route
    running = [version.name for version in route.versions] if route is not None else []
    versions = observed.look(running)
    statements = [
        _Statement("Accepted", False, reason, message),
        _Statement("Ready", False, reason, "the spec can't be carried out; what ran before goes on"),
        _Statement("Progressing", False, reason, "nothing is changed until the spec is put right"),
        _Statement("Degraded", True, reason, message),
        *_standing(_of_cluster(observed, versions)),
    ]
    return _status(observed, "Invalid", route, running, versions, statements, observed.status or DeploymentStatus())


def paced(before: DeploymentStatus | None, after: DeploymentStatus, now: float) -> DeploymentStatus | None:
    """What to write of `after`, where `before` is what stands; None: nothing.

    New evidence alone is written now and then: until it is, a look begins with what was kept last, and takes all that
    has come since.
    """
    if after.rollout is None:
        return after if after != before else None
    if before is not None and before.rollout is not None and before.rollout.evidence_time is not None:
        since = before.rollout.evidence_time
        if _at(after, since) == before:
            return None
        recent = 0 <= now - seconds(since) < EVIDENCE
        if recent and _without_evidence(after) == _without_evidence(before):
            return None
    return _at(after, time(now))


def _at(status: DeploymentStatus, evidence_time: str) -> DeploymentStatus:
    assert status.rollout is not None
    return status.model_copy(update={"rollout": status.rollout.model_copy(update={"evidence_time": evidence_time})})


def _without_evidence(status: DeploymentStatus) -> DeploymentStatus:
    assert status.rollout is not None
    rollout = status.rollout.model_copy(
        update={"evidence": (), "metrics": (), "hold_reasons": (), "evidence_time": None}
    )
    return status.model_copy(update={"rollout": rollout, "rollout_checkpoint": None})


def _status(
    observed: Observed,
    phase: Phase,
    route: route_table.Deployment | None,
    declared: Sequence[str],
    versions: Mapping[str, VersionFacts],
    statements: Iterable[_Statement],
    rollouts: DeploymentStatus,
) -> DeploymentStatus:
    """`declared`: names of versions, in the spec's order. `rollouts` has the fields about those, and no others."""
    generation, now = observed.resource["metadata"]["generation"], time(observed.now)
    known = {one.type: one for one in observed.status.conditions} if observed.status is not None else {}
    ready = sum(versions[name].ready > 0 for name in declared)
    return DeploymentStatus(
        observed_generation=generation,
        phase=phase,
        stable=route.stable if route else None,
        canary=route.canary if route else None,
        weight=route.weight if route else 0,
        ready=f"{ready}/{len(declared)}",
        route=route,
        versions=tuple(_version(version, route, declared) for version in versions.values()),
        conditions=tuple(_condition(one, known.get(one.type), generation, now) for one in statements),
        rollout=rollouts.rollout,
        rollout_checkpoint=rollouts.rollout_checkpoint,
        rollouts=rollouts.rollouts,
        action=rollouts.action,
    )


def _phase(observed: Observed, ready: _Statement, progressing: _Statement, degraded: _Statement) -> Phase:
    if not observed.ours:
        return "Pending"
    if degraded.true:
        return "Degraded"
    if progressing.reason == _ROLLS_OUT:
        return "RollingOut"
    return "Progressing" if progressing.true or not ready.true else "Ready"


def _ready(unready: Sequence[str], late: str) -> _Statement:
    if unready:
        return _Statement("Ready", False, "VersionsNotReady", f"no replica answers of {', '.join(unready)}")
    if late:
        return _Statement("Ready", False, "TrafficNotInForce", late)
    return _Statement("Ready", True, "AsDeclared", "all versions answer, and traffic is as declared")


def _progressing(
    declared: Sequence[str],
    versions: Mapping[str, VersionFacts],
    unready: Sequence[str],
    late: str,
    changing: bool,
    rollout: RolloutStatus | None,
) -> _Statement:
    replaced = [name for name in declared if not versions[name].settled]
    leaving = [name for name in versions if name not in declared]
    reason, message = "Settled", ""
    if changing:
        reason, message = "ObjectsChanging", "objects are being written"
    elif unready or replaced:
        reason, message = "RollingOut", f"pods start or are replaced: {', '.join(unready or replaced)}"
    elif leaving or late:
        reason, message = "TrafficMoving", late or f"no longer declared: {', '.join(leaving)}"
    elif is_under_way(rollout):
        reason = _ROLLS_OUT
        message = f"rollout {rollout.number}, of {rollout.canary} in place of {rollout.stable}: {rollout.phase}"
    return _Statement("Progressing", reason != "Settled", reason, message)


def _degraded(observed: Observed, changes: Changes, named: _Named) -> _Statement:
    troubles = [
        (version.trouble.reason, f"{name}: {version.trouble.message}")
        for name, version in observed.versions.items()
        if version.trouble
    ]
    written = {identity(apply.desired) for apply in changes.applies}
    troubles += [
        ("ObjectRefused", why.message) for key, why in observed.refusals.items() if key in written and not why.foreign
    ]
    also: tuple[ConditionType, ...] = ("Unschedulable", "ForeignObject", "RolledBack")
    troubles += [named[name] for name in also if name in named]
    if not troubles:
        return _Statement("Degraded", False, "AsDeclared")
    return _Statement("Degraded", True, troubles[0][0], "; ".join(message for _, message in troubles))


def _late(route: route_table.Deployment, asked: Split) -> str:
    """In which way the route is not what the spec or its rollout asks for."""
    if route.stable != asked.stable:
        return f"{route.stable} is stable until {asked.stable} is ready"
    if route.canary != asked.canary or route.weight != asked.weight:
        return f"{asked.canary} has no weight until it is ready"
    return ""


def _standing(named: _Named) -> Iterator[_Statement]:
    for name, (reason, message) in named.items():
        yield _Statement(name, True, reason, message)


def _of_cluster(observed: Observed, versions: Mapping[str, VersionFacts]) -> _Named:
    named: _Named = {}
    if observed.elder is not None:
        namespace, name = observed.elder
        message = f"{namespace}/{name} is older and has the bare name {name}; this one is reached by its namespace"
        named["NameTaken"] = ("OlderHasIt", message)
    stuck = [f"{version.name}: {version.unschedulable}" for version in versions.values() if version.unschedulable]
    if stuck:
        named["Unschedulable"] = ("Unschedulable", "; ".join(stuck))
    return named


def _of_rollout(observed: Observed, decision: Decision) -> _Named:
    named: _Named = {}
    if decision.outdated:
        named["StableOutdated"] = ("StableOutdated", decision.outdated)
    rollout, status = decision.checkpoint.rollout, decision.status
    if rollout is None or status is None:
        return named
    if rollout.phase in _BACK and observed.document.spec.traffic.canary == status.canary:
        named["RolledBack"] = ("RolledBack", f"{status.canary} was rolled back: {status.reason}")
    if is_under_way(rollout) and status.paused and status.until is None:
        named["RolloutPaused"] = ("Paused", f"{status.paused}; turnout rollout says how to go on")
    if is_under_way(rollout) and rollout.overdue:
        named["RolloutOverdue"] = ("Overdue", f"since {status.deadline}: status.rollout says what it waits for")
    return named


def _of_objects(observed: Observed, desired: Mapping[Id, Object]) -> _Named:
    named: _Named = {}
    foreign = [message for key, message in observed.foreign.items() if key in desired]
    if foreign:
        named["ForeignObject"] = ("NotOurs", "; ".join(foreign))
    document = observed.document
    found = [autoscaler_missing(document, version, observed.options) for version in document.spec.versions]
    if missing := [message for message in found if message]:
        named["AutoscalerMissing"] = ("AutoscalerMissing", "; ".join(missing))
    return named


def _condition(statement: _Statement, before: Condition | None, generation: int, now: str) -> Condition:
    word: Literal["True", "False"] = "True" if statement.true else "False"
    return Condition(
        type=statement.type,
        status=word,
        reason=statement.reason,
        message=statement.message,
        last_transition_time=before.last_transition_time if before is not None and before.status == word else now,
        observed_generation=generation,
    )


def _version(version: VersionFacts, route: route_table.Deployment | None, declared: Sequence[str]) -> VersionStatus:
    role: Literal["stable", "canary"] | None = None
    share = 0.0
    if route is not None and version.name == route.stable:
        role, share = "stable", 100 - route.weight
    elif route is not None and version.name == route.canary:
        role, share = "canary", route.weight
    message = version.unschedulable or (version.trouble.message if version.trouble else "")
    if not message and version.name not in declared:
        message = "no longer declared"
    elif not message and version.ready == 0:
        message = "no replica answers yet"
    return VersionStatus(
        name=version.name, role=role, share=share, ready=version.ready, desired=version.desired, message=message
    )
