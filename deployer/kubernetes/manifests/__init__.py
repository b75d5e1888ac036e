"""A ModelDeployment as Kubernetes objects. Pure: the same document and options give the same objects, in one order.

They hold nothing empty and amounts as the API server returns them, so that what is live can be compared with them: live
objects have more fields, never other values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deployer.kubernetes.manifests import oip, pod, seldon, seldon_operator, tfserving, workload
from deployer.kubernetes.manifests.autoscaling import autoscaler
from deployer.kubernetes.manifests.autoscaling import missing as autoscaler_missing
from deployer.kubernetes.manifests.basics import CannotRender, Object, Options, Owner, metadata
from deployer.kubernetes.manifests.server import Server
from deployer.spec import ModelDeployment, Version

__all__ = ["CannotRender", "Object", "Options", "Owner", "autoscaler_missing", "manifests", "version_objects"]

_SERVERS: Mapping[str, Callable[[ModelDeployment, Version], Server]] = {
    "tfserving": tfserving.server,
    "seldon": seldon.server,
    "oip": oip.server,
}


def manifests(deployment: ModelDeployment, options: Options, owner: Owner | None = None) -> tuple[Object, ...]:
    """The objects of all versions, in the versions' order; within one, what others need comes first.

    Replicas are each version's minReplicas: who applies them leaves the field out where an autoscaler owns it.

    Raises:
        CannotRender: a version can't be had on Kubernetes, or not on a cluster with these options.
    """
    return tuple(
        made for version in deployment.spec.versions for made in version_objects(deployment, version, options, owner)
    )


def version_objects(
    deployment: ModelDeployment, version: Version, options: Options, owner: Owner | None = None
) -> tuple[Object, ...]:
    """The objects of one version of `deployment`, all with the name `names.version_name` gives. Raises as above."""
    head = metadata(deployment, version, owner)
    by_seldon = seldon_operator.is_used(deployment, options)
    server = (seldon_operator.server if by_seldon else _SERVERS[deployment.spec.runtime])(deployment, version)
    files = pod.files(server, version)
    made = (
        workload.config_map(files, head) if files else None,
        seldon_operator.seldon_deployment(deployment, version, server, options, head)
        if by_seldon
        else workload.deployment_object(deployment, version, server, head),
        workload.service(deployment, version, server, head),
        workload.disruption_budget(deployment, version, head),
        None if by_seldon else autoscaler(deployment, version, options, head),
    )
    return tuple(item for item in made if item is not None)
