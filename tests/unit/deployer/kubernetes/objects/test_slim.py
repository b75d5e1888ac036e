"""What is kept of objects in the operator's memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deployer.kubernetes.objects.kinds import BY_KIND, POD
from deployer.kubernetes.objects.slim import slim

APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SCALE = {"manager": "keda", "subresource": "scale"}


def workload(**metadata: Any) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": {"name": "digits-v1", **metadata}, "spec": {"replicas": 1}}


@pytest.mark.parametrize(
    ("found", "slimmed"),
    [
        (workload(), workload()),
        (workload(managedFields=[{"manager": "kubectl"}]), workload()),
        (workload(managedFields=[{"manager": "kubectl"}, SCALE]), workload(managedFields=[SCALE])),
        (workload(annotations={APPLIED: "{}", "a": "b"}), workload(annotations={"a": "b"})),
        (workload(annotations={"a": "b"}), workload(annotations={"a": "b"})),
    ],
)
def test_who_manages_an_object_is_left_out_but_for_who_scales_it(found: Any, slimmed: Any) -> None:
    before = copy.deepcopy(found)
    assert slim(found, BY_KIND["Deployment"]) == slimmed
    assert found == before


def test_of_a_pod_stays_how_it_does() -> None:
    pod = {
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "1", "labels": {"a": "b"}, "annotations": {"c": "d"}, "ownerReferences": []},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"ready": True}]},
    }
    assert slim(pod, POD) == {
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "1", "labels": {"a": "b"}},
        "status": {"phase": "Running", "containerStatuses": [{"ready": True}]},
    }


def test_a_pod_that_has_no_status_yet() -> None:
    assert slim({"kind": "Pod", "metadata": {"name": "p"}}, POD) == {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "status": {},
    }
