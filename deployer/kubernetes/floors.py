"""The least replicas that versions need for the time of a rollout (decision 18). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.spec import Autoscaling, ModelDeployment, Version


def floored(document: ModelDeployment, floors: Mapping[str, int]) -> ModelDeployment:
    """The document as it would be if each version asked for its floor at least."""
    versions = tuple(_raised(version, floors.get(version.name, 0)) for version in document.spec.versions)
    return document.model_copy(update={"spec": document.spec.model_copy(update={"versions": versions})})


def _raised(version: Version, floor: int) -> Version:
    least, most = version.replicas
    if floor <= least:
        return version
    scaling = version.autoscaling or Autoscaling(min_replicas=least, max_replicas=most)
    raised = scaling.model_copy(update={"min_replicas": floor, "max_replicas": max(floor, most)})
    return version.model_copy(update={"autoscaling": raised})
