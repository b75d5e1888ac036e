"""The gateway's route table, from the documents and the replicas that are ready. Pure.

Weight is given only where it can be answered:

- A canary without a ready replica has no weight: its share stays with stable until it is ready.
- A stable without one keeps its share all the same, unless the version that was stable before still runs: then that
  one stays stable until the new one is ready. A canary never takes more than its weight, least of all because stable
  is in trouble; requests to a stable that is down are refused while it is started again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployer.spec import ModelDeployment
from gateway import table
from gateway.table import Endpoint, RouteTable

Ready = Mapping[tuple[str, str], Sequence[Endpoint]]
"""The endpoints of the ready replicas by deployment (`namespace/name`) and version."""


def routes(previous: RouteTable, documents: Sequence[ModelDeployment], ready: Ready) -> RouteTable:
    """The table that follows `previous`: with the next revision, or `previous` itself if nothing is to change.

    The older of two deployments stays before the newer one, since a bare name means the first (decision 22).
    """
    age = {deployment.key: index for index, deployment in enumerate(previous.deployments)}
    before = {deployment.key: deployment for deployment in previous.deployments}
    deployments = tuple(
        _deployment(before.get(document.key), document, ready)
        for document in sorted(documents, key=lambda document: age.get(document.key, len(age)))
    )
    if deployments == previous.deployments:
        return previous
    return RouteTable(revision=previous.revision + 1, deployments=deployments)


def _deployment(before: table.Deployment | None, document: ModelDeployment, ready: Ready) -> table.Deployment:
    def endpoints(version: str | None) -> tuple[Endpoint, ...]:
        return tuple(ready.get((document.key, version), ())) if version is not None else ()

    traffic = document.spec.traffic
    stable, canary = traffic.stable, traffic.canary
    versions = [table.Version(name=v.name, servable=_servable(document, v.name)) for v in document.spec.versions]
    if before is not None and before.stable != stable and not endpoints(stable) and endpoints(before.stable):
        stable = before.stable
        if stable not in document.by_name:
            versions.append(before.by_name[stable])
    if canary == stable:
        canary = None
    weight = traffic.weight if canary is not None and endpoints(canary) else 0.0
    known = (before.stable, before.canary, before.weight, before.epoch) if before is not None else (None, None, 0.0, -1)
    return table.Deployment(
        namespace=document.metadata.namespace,
        name=document.metadata.name,
        runtime=document.spec.runtime,
        stable=stable,
        canary=canary,
        weight=weight,
        epoch=known[3] if (stable, canary, weight) == known[:3] else known[3] + 1,
        versions=tuple(v.model_copy(update={"endpoints": endpoints(v.name)}) for v in versions),
    )


def _servable(document: ModelDeployment, version: str) -> int | None:
    return document.by_name[version].number if document.spec.runtime == "tfserving" else None
