"""What runs a version and what finds it: Deployment, ConfigMap, Service, PodDisruptionBudget. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.kubernetes.manifests import pod
from deployer.kubernetes.manifests.basics import Object
from deployer.kubernetes.objects import names
from deployer.runtimes.base import Server

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

_METRICS_BESIDE_REST = 9090
"""A Service lists no port number twice, so metrics on REST's port have another number there."""


def deployment_object(deployment: ModelDeployment, version: Version, server: Server, metadata: Object) -> Object:
    """The Deployment that runs `version`, with its fewest replicas."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": version.replicas[0],
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": pod.PROGRESS,
            "selector": {"matchLabels": names.selector(deployment.metadata.name, version.name)},
            # A new replica is ready before an old one goes.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": pod.template(deployment, version, server, metadata["name"]),
        },
    }


def config_map(files: dict[str, str], metadata: Object) -> Object:
    """The files that a version's pods are given."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files}


def service(deployment: ModelDeployment, version: Version, server: Server, metadata: Object) -> Object:
    """The headless Service by whose EndpointSlices gateways find the pods, and Prometheus their metrics."""
    listed = [(names.REST_PORT, server.rest, server.rest), (names.GRPC_PORT, server.grpc, server.grpc)]
    if server.metrics is not None:
        number = _METRICS_BESIDE_REST if server.metrics == server.rest else server.metrics
        listed.append((names.METRICS_PORT, number, server.metrics))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": "None",
            "selector": names.selector(deployment.metadata.name, version.name),
            "ports": [
                {"name": name, "port": number, "targetPort": target, "protocol": "TCP"}
                for name, number, target in listed
            ],
        },
    }


def disruption_budget(deployment: ModelDeployment, version: Version, metadata: Object) -> Object | None:
    """One replica at a time may be evicted. With one alone there is no budget: its node could never be drained."""
    if version.replicas[0] < 2:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {
            "maxUnavailable": 1,
            # Replicas that don't answer keep no node from being drained either.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.selector(deployment.metadata.name, version.name)},
        },
    }
