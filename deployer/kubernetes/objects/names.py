"""What things are called on a cluster. Pure."""

from __future__ import annotations

import hashlib

GROUP = "turnout.dev"
VERSION = "v1alpha1"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
SHORT_NAME = "md"

FIELD_MANAGER = "turnout"
"""Who owns the fields that Turnout applies."""
LEASE = "turnout-operator"

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
RUNTIME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
DEPLOYMENT_LABEL = f"{GROUP}/deployment"
VERSION_LABEL = f"{GROUP}/version"
CONFIG_ANNOTATION = f"{GROUP}/config"
"""On pods: a hash of the files that they are given, so that a change of those replaces the pods."""

REST_PORT, GRPC_PORT, METRICS_PORT = "rest", "grpc", "metrics"
"""The names of a version's ports, whatever its runtime."""

_LONGEST = 63
_HASH = 8


def version_name(deployment: str, version: str) -> str:
    """What each object of a version is called, as short and as plain as a Service's name has to be (RFC 1035).

    `deployment`-`version` where that will do. One that begins with a digit gets `m-` before it; one of more than 63
    characters is cut, and ends in a hash of the whole.
    """
    name = f"{deployment}-{version}"
    if name[0].isdigit():
        name = f"m-{name}"
    if len(name) <= _LONGEST:
        return name
    # The slash stands in no name, so that the two parts can't be taken for two others.
    digest = hashlib.sha256(f"{deployment}/{version}".encode()).hexdigest()[:_HASH]
    return f"{name[: _LONGEST - _HASH - 1].rstrip('-')}-{digest}"


def selector(deployment: str, version: str) -> dict[str, str]:
    """The labels that a version's pods are found by."""
    return {DEPLOYMENT_LABEL: deployment, VERSION_LABEL: version}


def labels(deployment: str, version: str, runtime: str) -> dict[str, str]:
    """The labels of each object of a version."""
    return {
        MANAGED_BY_LABEL: "turnout",
        RUNTIME_LABEL: runtime,
        INSTANCE_LABEL: deployment,
        **selector(deployment, version),
    }
