"""The gateway's route table, from the documents and the replicas that are ready. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployer.document.model import ModelDeployment
from deployer.rollout.controller import Split
from deployer.rollout.route import route
from gateway.contract import route_table
from gateway.contract.route_table import Endpoint, RouteTable

Ready = Mapping[tuple[str, str], Sequence[Endpoint]]
"""The endpoints of the ready replicas by deployment (`namespace/name`) and version."""


def routes(
    previous: RouteTable, documents: Sequence[ModelDeployment], ready: Ready, roles: Mapping[str, Split]
) -> RouteTable:
    """The table that follows `previous`: with the next revision, or `previous` itself if nothing is to change.

    `roles`: who gets the traffic, for each of the deployments by its key.

    The older of two deployments stays before the newer one, since a bare name means the first
    (0022-a-bare-name-is-the-oldest).
    """
    age = {deployment.key: index for index, deployment in enumerate(previous.deployments)}
    before = {deployment.key: deployment for deployment in previous.deployments}
    endpoints: dict[str, dict[str, Sequence[Endpoint]]] = {}
    for (key, version), found in ready.items():
        endpoints.setdefault(key, {})[version] = found
    deployments = tuple(
        _deployment(before.get(document.key), document, endpoints.get(document.key, {}), roles[document.key])
        for document in sorted(documents, key=lambda document: age.get(document.key, len(age)))
    )
    if deployments == previous.deployments:
        return previous
    return RouteTable(revision=previous.revision + 1, deployments=deployments)


def _deployment(
    before: route_table.Deployment | None,
    document: ModelDeployment,
    ready: Mapping[str, Sequence[Endpoint]],
    roles: Split,
) -> route_table.Deployment:
    endpoints = {version: tuple(found) for version, found in ready.items() if found}
    after = route(before, document, endpoints, roles)
    versions = tuple(v.model_copy(update={"endpoints": endpoints.get(v.name, ())}) for v in after.versions)
    after = after.model_copy(update={"versions": versions})
    return before if before == after else after  # the same object is soon seen to be the same
