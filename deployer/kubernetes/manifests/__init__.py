"""A ModelDeployment as Kubernetes objects. Pure: the same document and options give the same objects, in one order.

They hold nothing empty and amounts as the API server returns them, so that what is live can be compared with them: live
objects have more fields, never other values.
"""

from __future__ import annotations

from deployer.kubernetes.manifests.basics import CannotRender, Object, Options, Owner
from deployer.spec import ModelDeployment, Version

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
    raise NotImplementedError


def autoscaler_missing(deployment: ModelDeployment, version: Version, options: Options) -> str | None:
    """Why `version` has no autoscaler although it asks for one; None where it has one, or wants none."""
    raise NotImplementedError
