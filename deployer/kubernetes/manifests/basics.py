"""What all manifests have in common: the objects' form, whose they are, and what the cluster has. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployer.errors import TurnoutError
from deployer.kubernetes.objects import names

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

Object = dict[str, Any]
"""A Kubernetes object, or a part of one: plain data, as JSON has it."""


@dataclass(frozen=True)
class Options:
    """What the cluster has, as far as the objects depend on it."""

    seldon_crd: bool = False
    """Whether Seldon's custom resource is installed."""
    keda: bool = False
    """Whether KEDA's is."""
    prometheus: str | None = None
    """The address of the Prometheus that has the gateways' metrics, as KEDA reaches it."""


@dataclass(frozen=True)
class Owner:
    """The ModelDeployment on the cluster that the objects end with."""

    name: str
    uid: str


class CannotRender(TurnoutError):
    """A version that can't be had on Kubernetes, or not on this cluster. `field` is the path of the field to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


def metadata(deployment: ModelDeployment, version: Version, owner: Owner | None) -> Object:
    """The metadata of each object of `version`."""
    name = deployment.metadata.name
    made: Object = {
        "name": names.version_name(name, version.name),
        "namespace": deployment.metadata.namespace,
        "labels": names.labels(name, version.name, deployment.spec.runtime),
    }
    if owner is not None:
        made["ownerReferences"] = [
            {
                "apiVersion": f"{names.GROUP}/{names.VERSION}",
                "kind": names.KIND,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return made


def field(deployment: ModelDeployment, version: Version, name: str) -> str:
    """The path of a version's field, as people read it in messages."""
    return f"spec.versions.{deployment.spec.versions.index(version)}.{name}"
