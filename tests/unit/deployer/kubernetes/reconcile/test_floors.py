from __future__ import annotations

from typing import Any

import pytest

from deployer.kubernetes.manifests import Options, manifests
from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.reconcile.floors import floored
from tests.fakes.deployments import deployment

OPTIONS = Options(seldon_crd=True, keda=True, prometheus="http://prometheus:9090")
CPU: Object = {"minReplicas": 2, "maxReplicas": 9, "target": {"cpu": 70}}
IN_FLIGHT: Object = {"minReplicas": 2, "maxReplicas": 9, "target": {"inFlight": 4}}


def made(runtime: str, kind: str, **version: Any) -> Object:
    asks = {"resources": {"requests": {"cpu": 1}}}
    (found,) = (
        one
        for one in manifests(deployment(runtime, {"name": "v1", "image": "team/v1:1", **asks, **version}), OPTIONS)
        if one["kind"] == kind
    )
    return found


def numbers(node: Any) -> set[int]:
    """All that say how many replicas there are at least."""
    if isinstance(node, dict):
        own = {node[name] for name in ("replicas", "minReplicas", "minReplicaCount") if name in node}
        return own.union(*map(numbers, node.values()))
    return set().union(*map(numbers, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize(
    ("runtime", "kind", "scaling"),
    [
        ("oip", "Deployment", CPU),
        ("oip", "HorizontalPodAutoscaler", CPU),
        ("oip", "ScaledObject", IN_FLIGHT),
        ("seldon", "SeldonDeployment", CPU),
        ("seldon", "SeldonDeployment", IN_FLIGHT),
        ("seldon", "SeldonDeployment", {"minReplicas": 2, "maxReplicas": 2}),
    ],
)
def test_each_kind_that_has_replicas_has_its_floor(runtime: str, kind: str, scaling: Object) -> None:
    found = made(runtime, kind, autoscaling=scaling)
    assert numbers(found) == {2}
    assert numbers(floored(found, 5)) == {5}
    assert floored(found, 1) == found
    assert numbers(found) == {2}, "it was changed in its place"


def test_what_has_no_replicas_stays() -> None:
    for kind in ("Service", "PodDisruptionBudget"):
        found = made("oip", kind, autoscaling=CPU)
        assert floored(found, 5) == found
