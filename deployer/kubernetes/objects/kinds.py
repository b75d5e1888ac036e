"""The kinds of objects that the operator reads and writes, and where the API server has them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from deployer.document.model import API_VERSION, KIND

Object = dict[str, Any]
"""An object of the API server as JSON has it."""


class Key(NamedTuple):
    """What a ModelDeployment is known by."""

    namespace: str
    name: str


class Id(NamedTuple):
    """What an object is known by within a namespace."""

    kind: str
    name: str


@dataclass(frozen=True)
class Kind:
    """`extension`: it is there only where another project's custom resource is installed."""

    kind: str
    api_version: str
    plural: str
    extension: bool = False

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL's path of one object, or of all in `namespace` (None: in all namespaces)."""
        group = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        parts = [*(("namespaces", namespace) if namespace else ()), self.plural, name, subresource]
        return "/".join([group, *(quote(part, safe="") for part in parts if part)])


MODEL_DEPLOYMENT = Kind(KIND, API_VERSION, "modeldeployments")
ENDPOINT_SLICE = Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices")
POD = Kind("Pod", "v1", "pods")
LEASE = Kind("Lease", "coordination.k8s.io/v1", "leases")
EVENT = Kind("Event", "v1", "events")
SCALED_OBJECT = Kind("ScaledObject", "keda.sh/v1alpha1", "scaledobjects", extension=True)
SELDON_DEPLOYMENT = Kind("SeldonDeployment", "machinelearning.seldon.io/v1", "seldondeployments", extension=True)

MADE = (
    Kind("ConfigMap", "v1", "configmaps"),
    Kind("Service", "v1", "services"),
    Kind("Deployment", "apps/v1", "deployments"),
    Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
    SCALED_OBJECT,
    SELDON_DEPLOYMENT,
)
"""What a ModelDeployment is made into, in the order of making."""

BY_KIND = {kind.kind: kind for kind in MADE}


def identity(resource: Object) -> Id:
    return Id(resource["kind"], resource["metadata"]["name"])


def is_owned(resource: Object, uid: str) -> bool:
    """Whether the object belongs to the one with `uid`, as its controller."""
    return any(owner.get("controller") and owner["uid"] == uid for owner in owners(resource))


def owners(resource: Object) -> list[Object]:
    """The owner references of the object."""
    found: list[Object] = resource["metadata"].get("ownerReferences", [])
    return found
