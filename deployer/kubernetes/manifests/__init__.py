"""A ModelDeployment as Kubernetes objects. Pure: the same document and options give the same objects, in one order.

They hold nothing empty and amounts as the API server returns them, so that what is live can be compared with them: live
objects have more fields, never other values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.kubernetes.manifests import pod, workload
from deployer.kubernetes.manifests.autoscaling import autoscaler
from deployer.kubernetes.manifests.autoscaling import missing as autoscaler_missing
from deployer.kubernetes.manifests.basics import CannotRender, Object, Options, Owner, metadata

if TYPE_CHECKING:
    from deployer.document.model import ModelDeployment, Version

__all__ = ["CannotRender", "Object", "Options", "Owner", "autoscaler_missing", "manifests", "version_objects"]


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
    server = deployment.runtime.container(deployment, version, options)
    resource = deployment.runtime.resource(deployment, version, server, options, head)
    files = pod.files(server, version)
    made = (
        workload.config_map(files, head) if files else None,
        resource or workload.deployment_object(deployment, version, server, head),
        workload.service(deployment, version, server, head),
        workload.disruption_budget(deployment, version, head),
        None if resource else autoscaler(deployment, version, options, head),
    )
    return tuple(item for item in made if item is not None)
