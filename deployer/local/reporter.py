"""What people are told: a deployment's status, and the changes of the route table in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deployer.document.model import ModelDeployment
from deployer.local.policy.backoff import Trouble
from deployer.local.policy.plan import Phase
from deployer.local.policy.status import Condition, DeploymentStatus, ReplicaStatus, VersionStatus
from deployer.local.replicas import Replica
from deployer.local.state_folder import StateFolder, digest
from deployer.rollout.checkpoint import Checkpoint
from deployer.rollout.controller import Decision, Split
from deployer.rollout.state import is_under_way
from gateway.contract import route_table
from gateway.contract.route_table import RouteTable

FAILED_AFTER = 2
"""Failures in a row before a version counts as one that can't run, and no longer as one being started again."""


@dataclass(frozen=True)
class VersionFacts:
    """What a supervisor knows of one version."""

    replicas: Sequence[Replica] = ()
    desired: int = 0
    trouble: Trouble = field(default_factory=Trouble)
    problem: str | None = None
    """Why none can be started now."""
    rates: tuple[float, float] | None = None


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
    changed: Mapping[str, int] = field(default_factory=dict)
    """By deployment, the revision that last changed its route; the table's, where it isn't known."""


class Reporter:
    """Writes statuses to the state folder, where they have changed."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._written: dict[str, DeploymentStatus] = {}
        self._unsettled: set[str] = set()
        self._table = RouteTable(revision=0)
        self._changed: dict[str, int] = {}

    @property
    def settled(self) -> bool:
        """Whether all was as declared when statuses were last written, with no rollout under way."""
        return not self._unsettled

    def write(self, documents: Iterable[ModelDeployment], facts: Facts) -> bool:
        """Whether with this all deployments have become settled that were not before."""
        self._compare(facts.table)
        facts = replace(facts, changed=self._changed)
        statuses = {document.key: describe(document, facts) for document in documents}
        for key, status in statuses.items():
            if self._written.get(key) != status:
                self._state.write_status(key, status)
        if statuses.keys() != self._written.keys():
            self._state.keep_statuses(set(statuses))
        unsettled = self._unsettled
        self._unsettled = {s.document for s in statuses.values() if not s.settled or is_under_way(s.rollout)}
        self._written = statuses
        return bool(unsettled) and bool(statuses) and not self._unsettled

    def _compare(self, table: RouteTable) -> None:
        """A status names the revision that last changed its own route: else each change would write all statuses."""
        if table is not self._table:
            before = {deployment.key: deployment for deployment in self._table.deployments}
            self._changed = {
                deployment.key: self._changed[deployment.key]
                if deployment == before.get(deployment.key)
                else table.revision
                for deployment in table.deployments
            }
            self._table = table


def describe(document: ModelDeployment, facts: Facts) -> DeploymentStatus:
    """The status of the deployment that `document` describes."""
    decision = facts.decisions.get(document.key, Decision(Checkpoint(), Split.of(document), {}))
    roles, rollout = decision.roles, decision.checkpoint.rollout
    routed = facts.table.find(document.metadata.name, document.metadata.namespace)
    revision = facts.changed.get(document.key, facts.table.revision)
    in_force = bool(facts.address) and facts.revision >= revision and document.key not in facts.refused
    names = [version.name for version in document.spec.versions]
    known = facts.versions.get(document.key, {})
    leaving = [name for name in known if name not in names]
    versions = tuple(
        _version(name, routed, document, roles, known.get(name, VersionFacts())) for name in (*names, *leaving)
    )
    as_wanted = routed is not None and (routed.stable, routed.canary, routed.weight) == (
        roles.stable,
        roles.canary,
        roles.weight,
    )
    ready = all(version.condition is Condition.READY for version in versions)
    return DeploymentStatus(
        namespace=document.metadata.namespace,
        name=document.metadata.name,
        document=digest(document),
        revision=revision,
        in_force=in_force,
        routed=as_wanted and in_force,
        settled=as_wanted and in_force and ready,
        message=_message(document.key, decision, routed, versions, facts),
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


def _version(
    name: str, routed: route_table.Deployment | None, document: ModelDeployment, roles: Split, facts: VersionFacts
) -> VersionStatus:
    ready = sum(replica.phase is Phase.READY for replica in facts.replicas)
    condition, reason = _condition(name in document.by_name, ready, facts)
    servers = {replica.process.server for replica in facts.replicas if replica.process is not None}
    server = ", ".join(sorted(servers))
    return VersionStatus(
        name=name,
        role={roles.stable: "stable", roles.canary: "canary"}.get(name),
        share=0 if routed is None else share(routed, name),
        condition=condition,
        reason=reason,
        runtime=f"{document.spec.runtime} ({server})" if server else document.spec.runtime,
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
        return Condition.READY, ""
    trouble = facts.trouble
    if trouble.backoff.failures >= FAILED_AFTER:
        return Condition.FAILED, trouble.reason
    starting = next((replica.reason for replica in facts.replicas if replica.phase is Phase.STARTING), "")
    return Condition.PROGRESSING, facts.problem or trouble.reason or starting


def _message(
    key: str,
    decision: Decision,
    routed: route_table.Deployment | None,
    versions: Sequence[VersionStatus],
    facts: Facts,
) -> str:
    if not facts.address:
        return f"the gateway is not ready: {facts.gateway}"
    roles, parts = decision.roles, []
    if key in facts.refused:
        parts.append(f"the gateway goes on as before, since it refuses the new route: {facts.refused[key]}")
    ready = {version.name for version in versions if version.ready}
    if routed is not None and routed.stable != roles.stable and roles.stable not in ready:
        parts.append(f"{routed.stable} stays stable until {roles.stable} is ready")
    elif roles.stable not in ready:
        parts.append(f"{roles.stable} is stable and not ready, so its requests are refused")
    if roles.canary and roles.weight and roles.canary not in ready:
        parts.append(f"{roles.canary} is not ready: its {roles.weight:g} % stay with {roles.stable}")
    if decision.outdated:
        parts.append(decision.outdated)
    return "; ".join(parts)
