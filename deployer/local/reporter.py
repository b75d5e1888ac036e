"""What people are told: a deployment's status, and the changes of the route table in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from deployer.document.model import ModelDeployment
from deployer.local.policy.backoff import Trouble
from deployer.local.policy.plan import Phase
from deployer.local.policy.status import Condition, DeploymentStatus, ReplicaStatus, VersionStatus
from deployer.local.replicas import Replica
from deployer.local.state_folder import Record, StateFolder, digest
from deployer.rollout.checkpoint import Checkpoint
from deployer.rollout.controller import Decision, Split
from deployer.rollout.state import is_under_way
from gateway.contract import route_table
from gateway.contract.route_table import RouteTable

FAILED_AFTER = 2
"""Failures in a row before a version counts as one that can't run, and no longer as one being started again."""


class ReplicaFacts(NamedTuple):
    """Of one process, as it is now."""

    record: Record
    phase: Phase
    reason: str = ""
    server: str | None = None
    unrecorded: str = ""

    @classmethod
    def of(cls, replica: Replica) -> ReplicaFacts:
        server = None if replica.process is None else replica.process.server
        return cls(replica.record, replica.phase, replica.reason, server, replica.unrecorded)


class VersionFacts(NamedTuple):
    """What a supervisor knows of one version now."""

    replicas: tuple[ReplicaFacts, ...] = ()
    desired: int = 0
    trouble: Trouble = Trouble()
    problem: str | None = None
    """Why none can be started now."""
    rates: tuple[float, float] | None = None


class DeploymentFacts(NamedTuple):
    """All that the status of one deployment follows from. `revision` is the one that last changed its route;
    `address` is "" until the gateway is ready, and `gateway` says why; `refused`, why that does not serve by the
    route."""

    document: ModelDeployment
    decision: Decision
    route: route_table.Deployment | None
    revision: int
    in_force: bool
    address: str
    gateway: str
    refused: str | None
    versions: Mapping[str, VersionFacts]


@dataclass(frozen=True)
class Facts:
    """What a supervisor knows now. `revision` is in force on every worker of the gateway; `address` is "" until it is
    ready, and `gateway` says why."""

    table: RouteTable
    revision: int
    address: str
    gateway: str
    versions: Mapping[str, Mapping[str, VersionFacts]]
    """By deployment and version."""
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    """By deployment."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why the gateway serves a deployment otherwise than by the table, `revision` or not."""

    def of(self, document: ModelDeployment, route: route_table.Deployment | None, changed: int) -> DeploymentFacts:
        """What concerns one deployment. `changed`: the revision that last changed its route."""
        key = document.key
        return DeploymentFacts(
            document=document,
            decision=self.decisions.get(key) or Decision(Checkpoint(), Split.of(document), {}),
            route=route,
            revision=changed,
            in_force=bool(self.address) and self.revision >= changed and key not in self.refused,
            address=self.address,
            gateway=self.gateway,
            refused=self.refused.get(key),
            versions=self.versions.get(key, {}),
        )


class Reporter:
    """Writes statuses to the state folder, where they have changed."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._known: dict[str, DeploymentFacts] = {}
        self._written: dict[str, DeploymentStatus] = {}
        self._listed: set[str] = set()
        """Whose statuses the folder has, beside no others."""
        self._unsettled: set[str] = set()
        self._table = RouteTable(revision=0)
        self._routes: dict[str, route_table.Deployment] = {}
        self._changed: dict[str, int] = {}

    @property
    def settled(self) -> bool:
        """Whether all was as declared when statuses were last written, with no rollout under way."""
        return not self._unsettled

    def write(self, documents: Iterable[ModelDeployment], facts: Facts) -> bool:
        """Whether with this all deployments have become settled that were not before."""
        self._compare(facts.table)
        statuses: dict[str, DeploymentStatus] = {}
        for document in documents:
            key = document.key
            known = facts.of(document, self._routes.get(key), self._changed.get(key, facts.table.revision))
            before = self._written.get(key)
            if before is not None and self._known[key] == known:
                statuses[key] = before
                continue
            statuses[key] = describe(known)
            if statuses[key] != before:
                self._state.write_status(key, statuses[key])
            # Not before it is written: where the disk is full, the next round has to try it again.
            self._known[key], self._written[key] = known, statuses[key]
        if statuses.keys() != self._listed:
            self._state.keep_statuses(set(statuses))
            self._listed = set(statuses)
        unsettled = self._unsettled
        self._unsettled = {key for key, s in statuses.items() if not s.settled or is_under_way(s.rollout)}
        self._written, self._known = statuses, {key: self._known[key] for key in statuses}
        return bool(unsettled) and bool(statuses) and not self._unsettled

    def _compare(self, table: RouteTable) -> None:
        """A status names the revision that last changed its own route: else each change would write all statuses."""
        if table is not self._table:
            before, self._routes = self._routes, {deployment.key: deployment for deployment in table.deployments}
            self._changed = {
                key: self._changed[key] if route == before.get(key) else table.revision
                for key, route in self._routes.items()
            }
            self._table = table


def describe(facts: DeploymentFacts) -> DeploymentStatus:
    """The status that follows."""
    document, decision, route = facts.document, facts.decision, facts.route
    roles, rollout = decision.roles, decision.checkpoint.rollout
    names = [version.name for version in document.spec.versions]
    leaving = [name for name in facts.versions if name not in names]
    versions = tuple(_version(name, facts) for name in (*names, *leaving))
    wanted = (roles.stable, roles.canary, roles.weight)
    as_wanted = route is not None and (route.stable, route.canary, route.weight) == wanted
    ready = all(version.condition is Condition.READY for version in versions)
    return DeploymentStatus(
        namespace=document.metadata.namespace,
        name=document.metadata.name,
        document=digest(document),
        revision=facts.revision,
        in_force=facts.in_force,
        routed=as_wanted and facts.in_force,
        settled=as_wanted and facts.in_force and ready,
        message=_message(facts, versions),
        address=facts.address,
        versions=versions,
        rollout=decision.status,
        rollouts=decision.history,
        action=(rollout.handled or None) if rollout is not None else None,
    )


def changes(before: RouteTable, after: RouteTable) -> Iterator[str]:
    """One line for each deployment whose traffic goes elsewhere now."""
    known = {deployment.key: deployment for deployment in before.deployments}
    for deployment in after.deployments:
        old = known.pop(deployment.key, None)
        if old is None or old.epoch != deployment.epoch:
            shares = ", ".join(f"{v.name} {share(deployment, v.name):g} %" for v in deployment.versions)
            yield f"{deployment.key}: traffic {shares} (route table {after.revision})"
    for key in known:
        yield f"{key}: out of the route table ({after.revision})"


def share(deployment: route_table.Deployment, version: str) -> float:
    """Percent of the requests that ask for no version."""
    if version == deployment.stable:
        return 100 - deployment.weight
    return deployment.weight if version == deployment.canary else 0.0


def _version(name: str, about: DeploymentFacts) -> VersionStatus:
    facts, roles, runtime = about.versions.get(name, VersionFacts()), about.decision.roles, about.document.spec.runtime
    ready = sum(replica.phase is Phase.READY for replica in facts.replicas)
    condition, reason = _condition(name in about.document.by_name, ready, facts)
    server = ", ".join(sorted({replica.server for replica in facts.replicas if replica.server is not None}))
    return VersionStatus(
        name=name,
        role={roles.stable: "stable", roles.canary: "canary"}.get(name),
        share=0 if about.route is None else share(about.route, name),
        condition=condition,
        reason=reason,
        runtime=f"{runtime} ({server})" if server else runtime,
        ready=ready,
        desired=facts.desired,
        restarts=facts.trouble.restarts,
        requests_per_second=None if facts.rates is None else round(facts.rates[0], 1),
        failures_per_second=None if facts.rates is None else round(facts.rates[1], 1),
        replicas=tuple(
            ReplicaStatus(
                index=replica.record.index,
                phase=replica.phase.value,
                pid=replica.record.identity.pid,
                rest=replica.record.ports["rest"],
                grpc=replica.record.ports["grpc"],
            )
            for replica in sorted(facts.replicas, key=lambda replica: replica.record.index)
        ),
    )


def _condition(declared: bool, ready: int, facts: VersionFacts) -> tuple[Condition, str]:
    if not declared:
        return Condition.LEAVING, "no longer declared"
    if ready >= facts.desired > 0:
        unrecorded = next((replica.unrecorded for replica in facts.replicas if replica.unrecorded), "")
        return Condition.READY, f"can't be recorded: {unrecorded}" if unrecorded else ""
    trouble = facts.trouble
    if trouble.backoff.failures >= FAILED_AFTER:
        return Condition.FAILED, trouble.reason
    starting = next((replica.reason for replica in facts.replicas if replica.phase is Phase.STARTING), "")
    return Condition.PROGRESSING, facts.problem or trouble.reason or starting


def _message(facts: DeploymentFacts, versions: Sequence[VersionStatus]) -> str:
    if not facts.address:
        return f"the gateway is not ready: {facts.gateway}"
    roles, route, parts = facts.decision.roles, facts.route, []
    if facts.refused is not None:
        parts.append(f"the gateway goes on as before, since it refuses the new route: {facts.refused}")
    ready = {version.name for version in versions if version.ready}
    if route is not None and route.stable != roles.stable and roles.stable not in ready:
        parts.append(f"{route.stable} stays stable until {roles.stable} is ready")
    elif roles.stable not in ready:
        parts.append(f"{roles.stable} is stable and not ready, so its requests are refused")
    if roles.canary and roles.weight and roles.canary not in ready:
        parts.append(f"{roles.canary} is not ready: its {roles.weight:g} % stay with {roles.stable}")
    if facts.decision.outdated:
        parts.append(facts.decision.outdated)
    return "; ".join(parts)
