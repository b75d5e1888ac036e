"""What this machine refuses of documents that Kubernetes could run."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.document.model import ModelDeployment
from deployer.local.policy.limits import KubernetesOnly, check


def deployment(runtime: str, version: dict[str, Any], **sections: Any) -> ModelDeployment:
    return ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "digits"},
            "spec": {
                "runtime": runtime,
                "versions": [{"name": "v1", **version}],
                "traffic": {"stable": "v1"},
                **sections,
            },
        }
    )


ON_CPU = {
    "autoscaling": {"maxReplicas": 2, "target": {"cpu": 50}},
    "resources": {"requests": {"cpu": 1}},
}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            deployment("tfserving", {"model": "s3://m/1"}),
            "spec.versions[0].model: s3://m/1 can be fetched on Kubernetes",
        ),
        (
            deployment("tfserving", {"model": "m/1", **ON_CPU}),
            "spec.versions[0].autoscaling.target.cpu: replicas follow",
        ),
        (deployment("seldon", {"image": "a"}), "spec.versions[0].image: an image runs on Kubernetes only"),
        (
            deployment("seldon", {"model": "m", "implementation": "SKLEARN_SERVER"}),
            "spec.versions[0].implementation: SKLEARN_SERVER runs on Kubernetes only",
        ),
        (deployment("seldon", {"model": "m"}, seldon={"protocol": "v2"}), "spec.seldon.protocol: v2 is spoken on"),
        (
            deployment("oip", {"image": "a", "model": "m"}, oip={"server": "other", "ports": {"rest": 1, "grpc": 2}}),
            "spec.oip.server: other runs on Kubernetes only",
        ),
        (
            deployment("oip", {"model": "m"}),
            "spec.versions[0].implementation: on this machine mlserver has to be told what loads the model",
        ),
    ],
)
def test_refused(document: ModelDeployment, message: str) -> None:
    with pytest.raises(KubernetesOnly) as raised:
        check([document])
    assert str(raised.value).startswith(f"default/digits: {message}")
    assert len(str(raised.value).splitlines()) == 1


def test_all_reasons_of_all_documents_are_told() -> None:
    with pytest.raises(KubernetesOnly) as raised:
        check([deployment("tfserving", {"model": "gs://m/1", **ON_CPU}), deployment("seldon", {"image": "a"})])
    assert len(str(raised.value).splitlines()) == 3


def test_what_only_pods_need_is_passed_over() -> None:
    pods = {"image": "a", "args": ["--b"], "pod": {"volumes": [{"path": "/c", "pvc": "d"}]}}
    check([deployment("tfserving", {"model": "m/1", **pods}), deployment("seldon", {"model": "m", **pods})])
    check([deployment("oip", {"model": "m", "implementation": "mlserver_sklearn.SKLearnModel", **pods})])
