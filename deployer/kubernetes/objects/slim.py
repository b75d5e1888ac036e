"""What is kept of an object: the rest would be most of the operator's memory. Pure."""

from __future__ import annotations

from deployer.kubernetes.objects.kinds import POD, Kind, Object

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_POD_METADATA = ("name", "namespace", "uid", "resourceVersion", "labels", "deletionTimestamp")
_POD_STATUS = ("phase", "conditions", "initContainerStatuses", "containerStatuses")


def slim(resource: Object, kind: Kind) -> Object:
    """The object without who manages its fields, except for who scales it; of a pod only how it does."""
    metadata = dict(resource["metadata"])
    if kind is POD:
        status = resource.get("status", {})
        return {
            "kind": resource["kind"],
            "metadata": {name: metadata[name] for name in _POD_METADATA if name in metadata},
            "status": {name: status[name] for name in _POD_STATUS if name in status},
        }
    scalers = [entry for entry in metadata.pop("managedFields", ()) if entry.get("subresource") == "scale"]
    if scalers:
        metadata["managedFields"] = scalers
    if _LAST_APPLIED in metadata.get("annotations", {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    return {**resource, "metadata": metadata}
