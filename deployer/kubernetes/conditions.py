"""The status of a ModelDeployment, from what is known of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from deployer.kubernetes.status import (
    Condition,
    ConditionType,
    DeploymentStatus,
    OrderStatus,
    Phase,
    VersionStatus,
)
from deployer.kubernetes.versions import VersionFacts
from deployer.rollout.conduct import Roles
from deployer.rollout.state import OVER
from deployer.rollout.status import RolloutRecord, RolloutStatus
from gateway import table


@dataclass(frozen=True)
class RolloutFacts:
    """The rollout that is under way or was last, what is kept of it, those that are over, and the last order."""

    now: RolloutStatus | None
    kept: str | None
    history: tuple[RolloutRecord, ...]
    order: OrderStatus | None


@dataclass(frozen=True)
class Facts:
    """What the status is made from.

    `declared`: the versions' names in the spec's order, or those of the route where the spec is refused, which
    `invalid` says with a reason and a message. `versions`: those that are leaving too. `roles`: what the spec asks for,
    or its rollout does. `changing`: objects are still to be written or deleted; `begun`: there are some. `refused`:
    what the API server said of objects that it would not take. `named`: the conditions that stand only while they are
    true, with reason and message.
    """

    generation: int
    route: table.Deployment | None
    roles: Roles | None
    rollout: RolloutFacts
    declared: Sequence[str]
    versions: Mapping[str, VersionFacts]
    changing: bool
    begun: bool
    refused: Sequence[str]
    named: Mapping[ConditionType, tuple[str, str]]
    invalid: tuple[str, str] | None


_ROLLS_OUT = "RolloutUnderWay"
"""The reason of Progressing where nothing else is to be done."""


class _Said(NamedTuple):
    type: ConditionType
    true: bool
    reason: str
    message: str = ""


def status(facts: Facts, before: DeploymentStatus | None, now: str) -> DeploymentStatus:
    """What to say; `before` is what was said last, and `now` the time (RFC 3339) of what has changed since."""
    route = facts.route
    said = list(_said(facts))
    known = {condition.type: condition for condition in before.conditions} if before else {}
    truth = {word.type: word.true for word in said}
    ready = sum(facts.versions[name].ready > 0 for name in facts.declared if name in facts.versions)
    return DeploymentStatus(
        observed_generation=facts.generation,
        phase=_phase(facts, truth, next(word.reason for word in said if word.type == "Progressing")),
        stable=route.stable if route else None,
        canary=route.canary if route else None,
        weight=route.weight if route else 0,
        ready=f"{ready}/{len(facts.declared)}",
        route=route,
        versions=tuple(_version(version, facts) for version in facts.versions.values()),
        conditions=tuple(_condition(word, known.get(word.type), facts.generation, now) for word in said),
        rollout=facts.rollout.now,
        rollout_state=facts.rollout.kept,
        rollouts=facts.rollout.history,
        order=facts.rollout.order,
    )


def share(route: table.Deployment | None, version: str) -> float:
    """Percent of the requests that ask for no version."""
    if route is None or version not in (route.stable, route.canary):
        return 0.0
    return 100 - route.weight if version == route.stable else route.weight


def _phase(facts: Facts, truth: Mapping[ConditionType, bool], progress: str) -> Phase:
    if facts.invalid:
        return "Invalid"
    if not facts.begun:
        return "Pending"
    if truth["Degraded"]:
        return "Degraded"
    if truth["Progressing"] and progress == _ROLLS_OUT:
        return "RollingOut"
    return "Progressing" if truth["Progressing"] or not truth["Ready"] else "Ready"


def _said(facts: Facts) -> Iterator[_Said]:
    if facts.invalid:
        reason, message = facts.invalid
        yield _Said("Accepted", False, reason, message)
        yield _Said("Ready", False, reason, "the spec can't be carried out; what ran before goes on")
        yield _Said("Progressing", False, reason, "nothing is changed until the spec is put right")
        yield _Said("Degraded", True, reason, message)
    else:
        yield _Said("Accepted", True, "Valid")
        unready = [name for name in facts.declared if facts.versions[name].ready == 0]
        astray = _astray(facts)
        if unready:
            yield _Said("Ready", False, "VersionsNotReady", f"no replica answers of {', '.join(unready)}")
        elif astray:
            yield _Said("Ready", False, "TrafficNotInForce", astray)
        else:
            yield _Said("Ready", True, "AsDeclared", "all versions answer, and traffic is as declared")
        yield _progressing(facts, unready, astray)
        yield _degraded(facts)
    for name, (reason, message) in facts.named.items():
        yield _Said(name, True, reason, message)


def _progressing(facts: Facts, unready: Sequence[str], astray: str) -> _Said:
    replaced = [name for name in facts.declared if not facts.versions[name].settled]
    leaving = [name for name in facts.versions if name not in facts.declared]
    if facts.changing:
        return _Said("Progressing", True, "ObjectsChanging", "objects are being written")
    if unready or replaced:
        return _Said("Progressing", True, "RollingOut", f"pods start or are replaced: {', '.join(unready or replaced)}")
    if leaving or astray:
        return _Said("Progressing", True, "TrafficMoving", astray or f"no longer declared: {', '.join(leaving)}")
    if (rollout := facts.rollout.now) is not None and rollout.phase not in OVER:
        how = f"rollout {rollout.number}, of {rollout.canary} in place of {rollout.stable}: {rollout.phase}"
        return _Said("Progressing", True, _ROLLS_OUT, how)
    return _Said("Progressing", False, "Settled")


def _degraded(facts: Facts) -> _Said:
    troubles = [
        (version.trouble.reason, f"{name}: {version.trouble.message}")
        for name, version in facts.versions.items()
        if version.trouble
    ]
    troubles += [("ObjectRefused", message) for message in facts.refused]
    troubles += [facts.named[name] for name in ("Unschedulable", "ForeignObject", "RolledBack") if name in facts.named]
    if not troubles:
        return _Said("Degraded", False, "AsDeclared")
    return _Said("Degraded", True, troubles[0][0], "; ".join(message for _, message in troubles))


def _astray(facts: Facts) -> str:
    """In which way the route is not what the spec asks for."""
    route, asked = facts.route, facts.roles
    if route is None or asked is None:
        return "there is no route yet"
    if route.stable != asked.stable:
        return f"{route.stable} is stable until {asked.stable} is ready"
    if route.canary != asked.canary or route.weight != asked.weight:
        return f"{asked.canary} has no weight until it is ready"
    return ""


def _condition(said: _Said, before: Condition | None, generation: int, now: str) -> Condition:
    word = "True" if said.true else "False"
    same = before is not None and before.status == word
    return Condition(
        type=said.type,
        status="True" if said.true else "False",
        reason=said.reason,
        message=said.message,
        last_transition_time=before.last_transition_time if before is not None and same else now,
        observed_generation=generation,
    )


def _version(version: VersionFacts, facts: Facts) -> VersionStatus:
    route = facts.route
    roles = {route.stable: "stable", route.canary: "canary"} if route else {}
    message = version.unschedulable or (version.trouble.message if version.trouble else "")
    if not message and version.name not in facts.declared:
        message = "no longer declared"
    elif not message and version.ready == 0:
        message = "no replica answers yet"
    return VersionStatus.model_validate(
        {
            "name": version.name,
            "role": roles.get(version.name),
            "share": share(route, version.name),
            "ready": version.ready,
            "desired": version.desired,
            "message": message,
        }
    )
